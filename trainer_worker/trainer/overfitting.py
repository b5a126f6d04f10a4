"""What held-out data says while training goes on: which weights are the best, when to stop, and when to warn.

What counts is the loss; of methods that compare pairs the accuracy, and of equal accuracies the lower loss.
"""

import math
from collections.abc import Iterator

from trainer_worker.trainer.engine.evaluate import Evaluation
from trainer_worker.trainer.run import Run
from trainer_worker.trainer.telling import Told, info, warning
from trainer_worker.trainer.weights import moving_weights

# Evaluations above the best in a row, and how far above: less may be chance.
TURNED_UP_AFTER = 2
TURNED_UP_BY = 1.01


def take_note(run: Run, evaluation: Evaluation) -> Iterator[Told]:
    """Takes an evaluation into account, and says in words what it means."""
    state = run.state
    training_loss = state.interval_loss / state.interval_steps if state.interval_steps else None
    state.interval_loss, state.interval_steps = 0.0, 0
    run.predicts = math.isfinite(evaluation.loss)
    if not run.predicts:
        state.validation_loss = state.validation_bits_per_byte = None
        yield from no_held_out_loss(run, evaluation.loss)
        return
    state.validation_loss, state.validation_bits_per_byte = evaluation.loss, evaluation.bits_per_byte
    if is_best(run, evaluation):
        state.best_loss, state.best_bits_per_byte = evaluation.loss, evaluation.bits_per_byte
        state.best_accuracy = evaluation.accuracy
        state.best_step, state.best_training_loss = state.step, training_loss
        keep_best(run)
    count_in_vain(run, evaluation.loss if evaluation.accuracy is None else 1 - evaluation.accuracy)
    if "score" not in evaluation.others:  # of a method whose training loss is no measure of what the score measures
        yield from warn(run, training_loss)
    yield from stop_early(run)


def is_best(run: Run, evaluation: Evaluation) -> bool:
    state = run.state
    if state.best_loss is None:
        return True
    if evaluation.accuracy is None or state.best_accuracy is None:
        return evaluation.loss < state.best_loss
    return (-evaluation.accuracy, evaluation.loss) < (-state.best_accuracy, state.best_loss)


def best_in_words(run: Run) -> str:
    """What the best weights are told by, and how good they are."""
    state = run.state
    if state.best_accuracy is None:
        return f"lowest held-out loss: {state.best_loss:.4f}"
    return f"highest held-out accuracy: {state.best_accuracy:.1%}"


def no_held_out_loss(run: Run, loss: float) -> Iterator[Told]:
    step = run.state.step
    if not run.told_before:
        message = f"The held-out loss after step {step} is {loss}: the model no longer predicts all of the text."
        yield warning("no_held_out_loss", message, {"step": step, "loss": loss})


def publishes_best(run: Run) -> bool:
    """Best weights are published if that is asked for, and with early stopping unless that is refused."""
    checkpoints = run.spec.checkpoints
    if checkpoints.HasField("publish_best"):
        return checkpoints.publish_best
    return run.spec.regularization.early_stopping.patience > 0


def keep_best(run: Run) -> None:
    """Copies what moves, in the memory of the host."""
    if publishes_best(run):
        run.best = {name: weight.detach().to("cpu", copy=True) for name, weight in moving_weights(run).items()}


def count_in_vain(run: Run, loss: float) -> None:
    """An evaluation is in vain if it is not better by `min_delta` than the last one that was not. Of pairs, `loss` is
    the share that comes out the wrong way round."""
    state, rule = run.state, run.spec.regularization.early_stopping
    if state.patience_loss is None or loss < state.patience_loss - rule.min_delta:
        state.patience_loss, state.evaluations_in_vain = loss, 0
    else:
        state.evaluations_in_vain += 1


def stop_early(run: Run) -> Iterator[Told]:
    """Lets the next step be the last one, once patience is at its end: this step may have a checkpoint already, and the
    complete one needs a step of its own."""
    state, patience = run.state, run.spec.regularization.early_stopping.patience
    if not patience or state.evaluations_in_vain < patience or state.step + 1 >= run.spec.steps or state.last_step:
        return
    state.last_step = state.step + 1
    if run.told_before:
        return
    message = (
        f"Training ends with step {state.last_step}: {patience} evaluations in a row were no better. "
        f"After step {state.best_step} there was the {best_in_words(run)}."
    )
    details = {"step": state.step, "best_step": state.best_step, "best_loss": state.best_loss}
    yield info("stopped_early", message, details)


def warn(run: Run, training_loss: float | None) -> Iterator[Told]:
    """Says once that held-out loss goes up while training loss goes down."""
    state = run.state
    best = state.best_training_loss
    risen = (state.validation_loss or 0.0) > (state.best_loss or 0.0) * TURNED_UP_BY
    turned = risen and state.evaluations_in_vain >= TURNED_UP_AFTER
    if state.overfitting_told or not turned or training_loss is None or best is None or training_loss >= best:
        return
    state.overfitting_told = True
    if run.told_before:
        return
    unit = " nats per token" if state.best_accuracy is None else ""
    message = (
        f"The model begins to learn its data by heart: since step {state.best_step} the held-out loss went up from "
        f"{state.best_loss:.4f} to {state.validation_loss:.4f}{unit}, while the training loss went down from "
        f"{best:.4f} to {training_loss:.4f}. More data, fewer steps, dropout, weight decay or early stopping help."
    )
    details = {"step": state.step, "best_step": state.best_step, "training_loss": training_loss}
    yield warning("overfitting", message, details | {"validation_loss": state.validation_loss})

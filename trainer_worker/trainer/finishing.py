"""The end of a run: the checkpoint that becomes the model."""

from collections.abc import Iterator

from artifacts import StoreUnavailable
from trainer_worker.trainer.engine import memory
from trainer_worker.trainer.failures import TrainingFailed, diverged
from trainer_worker.trainer.keeping import keep_surely
from trainer_worker.trainer.overfitting import best_in_words, publishes_best
from trainer_worker.trainer.run import Run
from trainer_worker.trainer.telling import Told, info
from trainer_worker.trainer.weights import put_back
from tutelage.v1 import jobs_pb2


def finish(run: Run, retry_delays_s: tuple[float, ...]) -> Iterator[Told]:
    """Writes the complete checkpoint.

    Raises: TrainingFailed if it is no good or finds no room; artifacts.StoreUnavailable.
    """
    yield from choose_best(run)
    if not run.weights_are_finite() or not run.predicts:
        raise diverged(f"After step {run.state.step} the model no longer predicts anything.")
    yield jobs_pb2.Usage(peak_memory_bytes=memory.peak_bytes(run.device))
    stored = yield from keep_surely(run, retry_delays_s, complete=True)
    if not stored:
        if run.kept.trouble is not None and not run.kept.trouble.full:
            raise StoreUnavailable(run.kept.trouble.why)
        raise TrainingFailed(
            jobs_pb2.FAILURE_REASON_NO_SPACE,
            f"No room for the last checkpoint in {len(retry_delays_s) + 1} tries over {sum(retry_delays_s):.0f} s.",
            help="Free space in the artifact store and submit the job again; its last checkpoint is kept.",
        )


def choose_best(run: Run) -> Iterator[Told]:
    """Puts the weights with the lowest held-out loss in place of the last ones, if those are to be published."""
    state = run.state
    if not publishes_best(run) or run.best is None or state.best_step == state.step:
        return
    put_back(run, run.best)
    state.validation_loss, state.validation_bits_per_byte = state.best_loss, state.best_bits_per_byte
    run.predicts = True
    message = f"Publishes the weights after step {state.best_step}, of the {best_in_words(run)}."
    yield info("best_published", message, {"step": state.best_step, "loss": state.best_loss})

"""Next-token prediction, and the loop and the step that all methods of training share.

B sequences of a batch   T positions   X positions of all sequences (B · T)   D width   V vocabulary
"""

import time
from collections.abc import Callable, Generator

import numpy as np
import torch

from trainer_worker.trainer.blame import remember
from trainer_worker.trainer.engine import samples
from trainer_worker.trainer.engine.batch import Batch
from trainer_worker.trainer.engine.chains import data_link, loss_link
from trainer_worker.trainer.engine.evaluate import Evaluation
from trainer_worker.trainer.engine.evaluate import evaluate as evaluate_batches
from trainer_worker.trainer.engine.faultpoints import faultpoint
from trainer_worker.trainer.engine.loss import token_losses
from trainer_worker.trainer.engine.optimizers import clip, gradient_norm
from trainer_worker.trainer.engine.precision import autocast
from trainer_worker.trainer.engine.schedule import learning_rate
from trainer_worker.trainer.finishing import finish
from trainer_worker.trainer.health import is_number, judge, roll_back_if_lost, skipped, watch_loss, within_memory
from trainer_worker.trainer.keeping import collect, keep, keep_surely, settle
from trainer_worker.trainer.observing import observe
from trainer_worker.trainer.run import Found, Run
from trainer_worker.trainer.telling import Told, progress
from tutelage_internal.v1 import pipe_pb2


def train(
    run: Run, *, stop: Callable[[], bool], retry_delays_s: tuple[float, ...]
) -> Generator[Told, None, "pipe_pb2.Ending.ValueType"]:
    """Trains to the last step, or to the one after which `stop` says so.

    What comes out of a step is told in this order: the checkpoint, the sample, the metrics. Going on from that
    checkpoint tells the rest again, up to the last bit, if it was not recorded. A checkpoint that is stored while
    training goes on is told at a later step.
    """
    yield from observe(run) if run.resumed else keep(run)
    run.kept.stall_s = 0.0  # nothing was kept waiting by the first one: there was nothing yet
    yield progress(pipe_pb2.SECTION_FIRST_STEP, step=run.state.step)
    checkpoint_owed = False

    while not run.over:
        healthy = yield from step(run)

        # Keep and tell: make sure of what was reached, then look at it.
        stopping = stop()
        checkpoint_owed |= stopping or run.state.step % run.spec.checkpoints.interval_steps == 0
        if checkpoint_owed and healthy and not run.over:
            yield from keep_surely(run, retry_delays_s) if stopping else keep(run)
            checkpoint_owed = False
        yield from collect(run)
        yield from observe(run)
        if stopping and healthy and not run.over:
            return pipe_pb2.ENDING_STOPPED

        # Go back, if the numbers have been astray for too long.
        if (yield from roll_back_if_lost(run)):
            checkpoint_owed = False
            yield from observe(run)

    yield from settle(run)
    yield from finish(run, retry_delays_s)
    return pipe_pb2.ENDING_COMPLETE


def step(run: Run) -> Generator[Told, None, bool]:
    """One step: the weights learn from one batch. Returns whether they moved."""
    began, method = time.perf_counter(), run.method
    batch, numbers_B = yield from method.next_batch(run)
    found = yield from within_memory(run, lambda: method.forward_and_backward(run, batch))
    loss, norm = adjust(run, found)
    count(run, numbers_B, loss=loss, norm=norm, positions=batch.positions, seconds=time.perf_counter() - began)
    remember(run, batch, numbers_B, found.losses.cpu().numpy(), mean=loss)
    faultpoint("step_done")
    yield progress(pipe_pb2.SECTION_STEP, step=run.state.step)
    healthy = is_number(loss, norm)
    yield from watch_loss(run, loss) if healthy else skipped(run, loss=loss, norm=norm)
    return healthy


def next_batch(run: Run) -> Generator[Told, None, tuple[Batch, np.ndarray]]:
    """The sequences of the next step, and their numbers (B,): a function of seed and place in the data alone."""
    yield from ()
    state = run.state
    return samples.batch(run.training, seed=state.seed, first_sample=state.samples, size=state.batch_size)


def forward_and_backward(run: Run, batch: Batch) -> Found:
    """Leaves in each weight the gradient of the batch's mean loss. Returns the loss of every target, (B, T) float32.

    The batch is computed in parts that fit into memory. Each part counts by its targets, so that the sum of their
    gradients is that of the whole batch, however many targets a part has.
    """
    losses = []
    for part in batch.to(run.device).split(run.state.micro_batch_size):
        # Forward: at every position, predict the token that comes next.
        with autocast(run.state.precision, device=run.device):
            hidden_BTD = run.predict(part)

            # Compare: how wrong was each prediction, in nats?
            losses_X = token_losses(
                hidden_BTD.flatten(0, 1),
                run.model.output_weight,
                part.targets_BT.flatten(),
                label_smoothing=run.spec.regularization.label_smoothing,
                soft_cap=run.model.config.logit_soft_cap,
            )

        # Backward: how should each weight have been, to be less wrong?
        loss = losses_X.sum() / max(1, batch.supervised)
        run.scaler.scaled(loss).backward()
        losses.append(losses_X.detach().view_as(part.targets_BT))
    losses_BT = torch.cat(losses)
    return Found(loss=losses_BT.sum() / max(1, batch.supervised), losses=losses_BT)


def adjust(run: Run, found: Found) -> tuple[float, float]:
    """Moves the weights against their gradients, unless the numbers have gone astray. Reading them is the one wait of a
    step. Returns the mean loss, and the norm of the gradient; what else was found goes into the metrics."""
    run.scaler.unscale(run.model)
    loss, norm, *others = torch.stack((found.loss, gradient_norm(run.model), *found.metrics.values())).tolist()
    run.state.metrics = dict(zip(found.metrics, others, strict=True))
    if is_number(loss, norm):
        clip(run.model, norm=norm, clip_norm=run.spec.optimization.clip_norm)
        run.optimizer.set_learning_rate(rate_of(run, step=run.state.step + 1))
        run.optimizer.step()
    run.optimizer.zero_grad()
    return loss, norm


def rate_of(run: Run, *, step: int) -> float:
    return learning_rate(step, steps=run.spec.steps, spec=run.spec.optimization)


def count(run: Run, numbers_B: np.ndarray, *, loss: float, norm: float, positions: int, seconds: float) -> None:
    """Moves the state one step on, and keeps what was measured; numbers that are none are left out."""
    state = run.state
    state.step += 1
    state.samples += state.batch_size
    state.tokens += positions
    state.data_chain = data_link(state.data_chain, step=state.step, samples=numbers_B)
    state.loss_chain = loss_link(state.loss_chain, step=state.step, loss=loss, norm=norm)
    metrics = state.metrics | {
        "train/loss": loss,
        "train/lr": rate_of(run, step=state.step),
        "train/grad_norm": norm,
        "train/tokens": float(state.tokens),
        "perf/step_seconds": seconds,
        "perf/tokens_per_second": positions / seconds,
    }
    state.metrics = {key: value for key, value in metrics.items() if is_number(value)}
    judge(run, loss=loss, norm=norm)


def evaluate(run: Run) -> Generator[Told, None, Evaluation | None]:
    """Predicts the held-out sequences; None if there are none."""
    state, spec = run.state, run.spec
    batches = samples.validation_batches(
        run.validation, sequences=spec.evaluation.sequences, rows=state.micro_batch_size
    )
    evaluation = None
    for found in evaluate_batches(run.model, batches, token_bytes_V=run.bytes_of_token, precision=state.precision):
        yield progress(pipe_pb2.SECTION_EVALUATE, step=state.step)
        evaluation = found
    return evaluation

"""Pretraining: a decoder learns to predict the next token of a text.

B sequences of a micro-batch   T positions   V vocabulary
"""

import math
import pathlib
import time
from collections.abc import Callable, Generator, Iterator

import torch
from torch import Tensor

from artifacts import Store
from trainer_worker.trainer.engine import data
from trainer_worker.trainer.engine.evaluate import next_token_loss
from trainer_worker.trainer.engine.faultpoints import faultpoint
from trainer_worker.trainer.engine.optimizers import clip, gradient_norm, set_learning_rate
from trainer_worker.trainer.engine.precision import autocast
from trainer_worker.trainer.engine.schedule import learning_rate
from trainer_worker.trainer.failures import TrainingFailed
from trainer_worker.trainer.keeping import RETRY_DELAYS_S, save, save_patiently
from trainer_worker.trainer.observing import observe
from trainer_worker.trainer.preparation import Run, prepare
from trainer_worker.trainer.telling import Told, progress, warning
from tutelage.v1 import jobs_pb2
from tutelage_internal.v1 import pipe_pb2, workers_pb2

SKIPPED_STEPS_MAX = 3


def pretrain(
    assignment: workers_pb2.Assignment,
    *,
    store: Store,
    scratch: pathlib.Path,
    stop: Callable[[], bool] = lambda: False,
    retry_delays_s: tuple[float, ...] = RETRY_DELAYS_S,
) -> Generator[Told, None, "pipe_pb2.Ending.ValueType"]:
    """Trains to the last step, or to the one after which `stop` says so; yields facts and signs of progress.

    What comes out of a step is told in this order: the checkpoint, the sample, the metrics. Going on from that
    checkpoint tells the rest again, up to the last bit, if it was not recorded.

    Returns: ENDING_COMPLETE, or ENDING_STOPPED. Raises: TrainingFailed, UnusableData, BadCheckpoint.
    """
    run = yield from prepare(assignment, store=store, scratch=scratch)
    spec, state, model = run.spec, run.state, run.model
    yield from observe(run) if run.resumed else save(run)
    yield progress(pipe_pb2.SECTION_FIRST_STEP, step=state.step)
    checkpoint_owed = False

    while state.step < spec.steps:
        began = time.perf_counter()

        # Forward and compare: predict every next token of the batch, and measure how wrong that was.
        loss = torch.zeros((), device=run.device)
        for tokens_BT in micro_batches(run):
            with autocast(state.precision, device=run.device):
                logits_BTV = model(tokens_BT[:, :-1])
            share = len(tokens_BT) / state.batch_size
            part = next_token_loss(logits_BTV, tokens_BT[:, 1:]) * share

            # Backward: how should each weight have been, to be less wrong?
            part.backward()
            loss += part.detach()

        # Adjust: move the weights, unless the numbers have gone astray. Reading them is the one wait in a step.
        loss_value, norm = torch.stack((loss, gradient_norm(model))).tolist()
        rate = rate_of(run, step=state.step + 1)
        healthy = math.isfinite(loss_value) and math.isfinite(norm)
        if healthy:
            clip(model, norm=norm, clip_norm=spec.optimization.clip_norm)
            set_learning_rate(run.optimizer, rate)
            run.optimizer.step()
        model.zero_grad(set_to_none=True)
        count(run, loss=loss_value, norm=norm, rate=rate, seconds=time.perf_counter() - began)
        faultpoint("step_done")
        yield progress(pipe_pb2.SECTION_STEP, step=state.step)
        if not healthy:
            yield from skipped(run, loss=loss_value, norm=norm)

        # Keep and tell: make sure of what was reached, then look at it.
        stopping, over = stop(), state.step == spec.steps
        checkpoint_owed |= stopping or state.step % spec.checkpoints.interval_steps == 0
        if checkpoint_owed and healthy and not over:
            yield from save_patiently(run, retry_delays_s) if stopping else save(run)
            checkpoint_owed = False
        yield from observe(run)
        if stopping and healthy and not over:
            return pipe_pb2.ENDING_STOPPED

    yield from finish(run, retry_delays_s)
    return pipe_pb2.ENDING_COMPLETE


def micro_batches(run: Run) -> Iterator[Tensor]:
    """The batch of the next step in parts that are computed one after the other. Shape of each: (B, T + 1), int64."""
    state = run.state
    batch_BT = data.batch(run.windows, seed=state.seed, first_sample=state.samples, size=state.batch_size)
    yield from batch_BT.to(run.device).split(state.micro_batch_size)


def rate_of(run: Run, *, step: int) -> float:
    return learning_rate(step, steps=run.spec.steps, spec=run.spec.optimization)


def count(run: Run, *, loss: float, norm: float, rate: float, seconds: float) -> None:
    """Moves the state one step on, and keeps what was measured; numbers that are none are left out."""
    state = run.state
    tokens = state.batch_size * run.windows.context_length
    state.step += 1
    state.samples += state.batch_size
    state.tokens += tokens
    state.metrics = {
        "train/loss": loss,
        "train/lr": rate,
        "train/grad_norm": norm,
        "train/tokens": float(state.tokens),
        "perf/step_seconds": seconds,
        "perf/tokens_per_second": tokens / seconds,
    }
    finite = math.isfinite(loss) and math.isfinite(norm)
    state.skipped_in_a_row = 0 if finite else state.skipped_in_a_row + 1
    state.metrics = {key: value for key, value in state.metrics.items() if math.isfinite(value)}


def skipped(run: Run, *, loss: float, norm: float) -> Iterator[Told]:
    """Says that the weights were not moved. Raises: TrainingFailed if that happens too often in a row.

    Going back to an earlier checkpoint in a new lineage would be the next thing to try; that is not done yet.
    """
    state = run.state
    details = {"step": state.step, "loss": loss, "grad_norm": norm, "in_a_row": state.skipped_in_a_row}
    message = f"Step {state.step} did not move the weights: the loss was {loss}, the norm of the gradient {norm}."
    if state.step > run.recorded_step:
        yield warning("step_skipped", message, details)
    if state.skipped_in_a_row > SKIPPED_STEPS_MAX:
        raise diverged(f"The loss or its gradient was not finite in {state.skipped_in_a_row} steps in a row.")


def diverged(message: str) -> TrainingFailed:
    help = "Lower the learning rate, lengthen warm-up, set clip_norm, or train in fp32. The last checkpoint is kept."
    return TrainingFailed(jobs_pb2.FAILURE_REASON_DIVERGED, message, help=help)


def finish(run: Run, retry_delays_s: tuple[float, ...]) -> Iterator[Told]:
    """Writes the checkpoint that becomes the model. Raises: TrainingFailed if it is no good, or finds no room."""
    loss = run.state.validation_loss
    if not run.weights_are_finite() or (loss is not None and not math.isfinite(loss)):
        raise diverged(f"After step {run.state.step} the model no longer predicts anything.")
    stored = yield from save_patiently(run, retry_delays_s, complete=True)
    if not stored:
        raise TrainingFailed(
            jobs_pb2.FAILURE_REASON_NO_SPACE,
            f"No room for the last checkpoint in {len(retry_delays_s) + 1} tries over {sum(retry_delays_s):.0f} s.",
            help="Free space in the artifact store and submit the job again; its last checkpoint is kept.",
        )

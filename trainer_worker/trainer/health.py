"""What a run does about numbers that have gone astray, and about memory that is not there.

A loss or gradient that is not finite: the step does not move the weights. More than three such steps in a row: back to
the newest checkpoint, and on with other samples, in a new lineage of steps. Twice without getting beyond the bad place:
the job fails as DIVERGED, and its last checkpoint is kept.
"""

import math
import statistics
from collections.abc import Callable, Generator, Iterator
from typing import TypeVar

from trainer_worker.trainer.engine import memory, rng
from trainer_worker.trainer.engine.checkpoint import TrainingState
from trainer_worker.trainer.engine.errors import BadCheckpoint
from trainer_worker.trainer.failures import diverged
from trainer_worker.trainer.keeping import settle
from trainer_worker.trainer.resuming import go_on_from, read_newest
from trainer_worker.trainer.run import Run, Spec
from trainer_worker.trainer.telling import Told, warning
from tutelage.v1 import jobs_pb2

Result = TypeVar("Result")

SKIPPED_STEPS_MAX = 3
ROLLBACKS_MAX = 2

# A spike is a loss that is far above the median of the last ones: by so many times the median distance from it, and by
# more than a share of the median itself, lest a run that has come to rest calls every ripple a spike.
LOSSES_REMEMBERED = 32
LOSSES_NEEDED = 16
SPIKE_DISTANCES = 8.0
SPIKE_SHARE = 0.15


def skipped(run: Run, *, loss: float, norm: float) -> Iterator[Told]:
    """Says that the weights were not moved."""
    state = run.state
    details = {"step": state.step, "loss": loss, "grad_norm": norm, "in_a_row": state.skipped_in_a_row}
    message = f"Step {state.step} did not move the weights: the loss was {loss}, the norm of the gradient {norm}."
    if not run.told_before:
        yield warning("step_skipped", message, details)


def watch_loss(run: Run, loss: float) -> Iterator[Told]:
    """Flags a loss that is far above the last ones, once in a while."""
    state = run.state
    recent, state.recent_losses = state.recent_losses, [*state.recent_losses, loss][-LOSSES_REMEMBERED:]
    quiet = state.spike_step and state.step - state.spike_step < LOSSES_REMEMBERED
    if len(recent) < LOSSES_NEEDED or quiet:
        return
    median = statistics.median(recent)
    distance = statistics.median([abs(other - median) for other in recent])
    if loss - median <= max(SPIKE_DISTANCES * distance, SPIKE_SHARE * abs(median)):
        return
    state.spike_step = state.step
    if not run.told_before:
        message = f"The loss of step {state.step} was {loss:.4f}, far above the {median:.4f} of the steps before it."
        yield warning("loss_spike", message, {"step": state.step, "loss": loss, "median": median})


def is_lost(run: Run) -> bool:
    """Whether too many steps in a row moved nothing."""
    return run.state.skipped_in_a_row > SKIPPED_STEPS_MAX


def roll_back_if_lost(run: Run) -> Generator[Told, None, bool]:
    """After too many steps in a row that moved nothing: back to the newest checkpoint. Returns whether it went back.

    Raises: TrainingFailed if it went back too often already, or has nothing to go back to.
    """
    state = run.state
    if not is_lost(run):
        return False
    reason = f"The loss or its gradient was not finite in {state.skipped_in_a_row} steps in a row"
    yield from settle(run)
    if state.rollbacks >= ROLLBACKS_MAX:
        raise diverged(f"{reason}, and was so again after going back {state.rollbacks} times.")
    if run.kept.newest is None:
        raise diverged(f"{reason}, and there is no checkpoint to go back to.")
    try:
        checkpoint = read_newest(run)
    except BadCheckpoint as error:
        raise diverged(f"{reason}, and the checkpoint to go back to is no good: {error}.") from error
    go_on_from(run, checkpoint)
    enter_lineage(run.state, run.spec, lineage=state.lineage + 1)
    run.state.rollbacks, run.state.bad_step = state.rollbacks + 1, max(state.step, state.bad_step)
    run.state.micro_batch_size = state.micro_batch_size
    run.recorded_step = run.state.step
    yield jobs_pb2.RolledBack(
        from_step=state.step, to_step=run.state.step, message=f"{reason}.", lineage=run.state.lineage
    )
    return True


def enter_lineage(state: TrainingState, spec: Spec, *, lineage: int) -> None:
    """Begins a new line of steps at a checkpoint of an older one, with samples that no older line can have seen.

    Which samples those are follows from the number of the line alone: an attempt that goes on from an older checkpoint
    after a rollback reads the same ones.
    """
    lines = lineage - state.lineage
    state.samples += lines * spec.steps * state.batch_size
    state.lineage = lineage
    state.rollbacks += lines
    state.bad_step = max(state.bad_step, state.step + spec.checkpoints.interval_steps + SKIPPED_STEPS_MAX + 1)
    state.skipped_in_a_row = 0


def judge(run: Run, *, loss: float, norm: float) -> None:
    """Counts steps that did not move the weights. A healthy step beyond the bad place makes up for going back.

    In float16 a gradient that overflows now and then is how the scale of the loss finds its size: not a bad sign.
    """
    state, healthy = run.state, is_number(loss, norm)
    expected = run.scaler.update(healthy=healthy)
    state.scaler = run.scaler.state() if run.scaler.active else {}
    if not healthy:
        state.skipped_steps += 1
        state.skipped_in_a_row += 0 if expected else 1
        return
    state.skipped_in_a_row = 0
    state.interval_loss += loss
    state.interval_steps += 1
    if state.rollbacks and state.step > state.bad_step:
        state.rollbacks = 0


def within_memory(run: Run, compute: Callable[[], Result]) -> Generator[Told, None, Result]:
    """Computes something, with micro-batches half the size each time that memory runs out: the same samples again.

    Raises: what `compute` raises, and its error for lack of memory if a micro-batch is one sequence already.
    """
    state = run.state
    while True:
        random = rng.generators()
        try:
            return compute()
        except Exception as error:
            if not memory.is_out_of_memory(error) or state.micro_batch_size == 1:
                raise
            words = str(error).partition("\n")[0][:200]
        # Only here has the error let go of the tensors of the failed pass.
        run.optimizer.zero_grad()
        memory.release(run.device)
        rng.put_back(random)
        before, state.micro_batch_size = state.micro_batch_size, state.micro_batch_size // 2
        message = f"No memory for {before} sequences at once: step {state.step + 1} takes {state.micro_batch_size}."
        yield warning("micro_batch_halved", message, {"step": state.step + 1, "from": before, "error": words})


def is_number(*values: float) -> bool:
    return all(math.isfinite(value) for value in values)

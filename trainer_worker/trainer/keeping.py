"""Checkpoints of a run: written, told, and tried again when there is no room."""

import time
from collections.abc import Generator

from artifacts import NoSpace
from trainer_worker.trainer.engine.checkpoint import write_checkpoint
from trainer_worker.trainer.engine.faultpoints import faultpoint
from trainer_worker.trainer.preparation import Run
from trainer_worker.trainer.telling import Told, progress, warning
from tutelage_internal.v1 import facts_pb2, pipe_pb2

# Together about a minute. A checkpoint on the way is not tried again until the next is due.
RETRY_DELAYS_S = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
SIGN_INTERVAL_S = 5.0


def save(run: Run, *, complete: bool = False) -> Generator[Told, None, bool]:
    """Writes and tells a checkpoint. Returns whether there is one: without room, training goes on without."""
    state = run.state
    yield progress(pipe_pb2.SECTION_CHECKPOINT, step=state.step)
    if not run.weights_are_finite():
        message = f"No checkpoint after step {state.step}: a weight is not a finite number."
        yield warning("checkpoint_skipped", message, {"step": state.step})
        return False
    try:
        files = write_checkpoint(
            run.store,
            run.checkpoint_prefix,
            model=run.model,
            optimizer=run.optimizer,
            tokenizer=run.tokenizer,
            state=state,
        )
    except NoSpace as error:
        yield warning("checkpoint_failed", f"No room for the checkpoint after step {state.step}.", {"error": error})
        return False
    yield facts_pb2.CheckpointWritten(
        step=state.step,
        artifact_prefix=files.prefix,
        manifest_sha256=files.manifest_sha256,
        size_bytes=files.size_bytes,
        complete=complete,
        parameters=run.model.config.parameters,
        validation_loss=state.validation_loss,
        validation_bits_per_byte=state.validation_bits_per_byte,
    )
    faultpoint("checkpoint_told")
    return True


def save_patiently(run: Run, delays_s: tuple[float, ...], *, complete: bool = False) -> Generator[Told, None, bool]:
    """Tries again after each of the delays. Returns whether there is a checkpoint at last."""
    for delay_s in delays_s:
        stored = yield from save(run, complete=complete)
        if stored:
            return True
        yield from wait(delay_s, step=run.state.step)
    return (yield from save(run, complete=complete))


def wait(delay_s: float, *, step: int) -> Generator[Told, None, None]:
    """Passes time in short pieces, with a sign of life after each."""
    until = time.monotonic() + delay_s
    while (left_s := until - time.monotonic()) > 0:
        time.sleep(min(left_s, SIGN_INTERVAL_S))
        yield progress(pipe_pb2.SECTION_CHECKPOINT, step=step)

"""Checkpoints of a run: taken on the step, stored while training goes on, and told when they are stored.

Training waits only for the files to be written without being handed to the disk. One snapshot is stored at a time; of
those that become due meanwhile the newest one is next.
"""

import contextlib
import pathlib
import tempfile
import time
from collections.abc import Generator, Iterator

from artifacts import FileSet, NoSpace
from artifacts.disk import no_space_is_told
from trainer_worker.trainer import snapshots
from trainer_worker.trainer.engine.adapter_files import save_adapter_config
from trainer_worker.trainer.engine.checkpoint import fill_checkpoint
from trainer_worker.trainer.engine.faultpoints import faultpoint
from trainer_worker.trainer.run import Run, Waiting
from trainer_worker.trainer.snapshots import NotKept, Outcome, Stored
from trainer_worker.trainer.telling import Told, info, progress, warning
from trainer_worker.trainer.weights import moving_weights, published_weights
from tutelage_internal.v1 import facts_pb2, pipe_pb2

# Together about a minute. A checkpoint on the way is not tried again until the next is due.
RETRY_DELAYS_S = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
SIGN_INTERVAL_S = 5.0
POLL_S = 60.0


def keep(run: Run, *, complete: bool = False) -> Iterator[Told]:
    """Takes a snapshot and hands it over to be stored. Without room for it, training goes on without."""
    began, step = time.perf_counter(), run.state.step
    yield progress(pipe_pb2.SECTION_CHECKPOINT, step=step)
    if not run.weights_are_finite():
        message = f"No checkpoint after step {step}: a weight is not a finite number."
        yield warning("checkpoint_skipped", message, {"step": step})
        return
    try:
        waiting = snapshot(run, complete=complete)
    except NoSpace as error:
        run.kept.trouble = NotKept(why=str(error), full=True)
        yield warning("checkpoint_failed", f"No room for the checkpoint after step {step}.", {"error": error})
        return
    yield from hand_over(run, waiting)
    run.kept.stall_s += time.perf_counter() - began
    yield from collect(run)


def snapshot(run: Run, *, complete: bool) -> Waiting:
    """Writes the files of a checkpoint into a folder for temporary files. Raises: artifacts.NoSpace."""
    state, weights = run.state, None
    if complete:
        weights = published_weights(run)
    elif not run.adapted:
        weights = run.model.state_dict()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="snapshot-"))
    with no_space_is_told(), removed_unless_filled(folder):
        fill_checkpoint(
            folder,
            model=run.model,
            weights=weights,
            adapters=moving_weights(run) if run.adapted else None,
            best=None if complete else run.best,
            reference=None if complete or run.reference is None else run.reference.tensors(),
            optimizer=run.optimizer,
            tokenizer=run.tokenizer,
            state=state,
        )
        if run.adapted:
            save_adapter_config(folder, run.model)
    return Waiting(
        step=state.step,
        lineage=state.lineage,
        prefix=prefix_of(run),
        folder=folder,
        complete=complete,
        validation_loss=state.validation_loss,
        validation_bits_per_byte=state.validation_bits_per_byte,
    )


def prefix_of(run: Run) -> str:
    """Where the checkpoint of this step is stored: apart from that of the same step before a rollback."""
    line = f"-l{run.state.lineage}" if run.state.lineage > 1 else ""
    return f"{run.checkpoint_prefix}/step-{run.state.step}{line}"


@contextlib.contextmanager
def removed_unless_filled(folder: pathlib.Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        snapshots.remove(folder)
        raise


def hand_over(run: Run, waiting: Waiting) -> Iterator[Told]:
    """Begins to store a snapshot, or puts it in the place of the one that waits."""
    kept = run.kept
    if kept.in_flight is None:
        begin(run, waiting)
        return
    if kept.next is not None:
        snapshots.remove(kept.next.folder)
        message = f"The checkpoint after step {kept.next.step} gave way to the one after step {waiting.step}: "
        yield info("checkpoint_superseded", message + "an older one is still being stored.", {"step": kept.next.step})
    kept.next = waiting


def begin(run: Run, waiting: Waiting) -> None:
    run.kept.in_flight = waiting
    run.kept.storing.begin(waiting.prefix, waiting.folder)
    faultpoint("checkpoint_handed")


def collect(run: Run, *, wait_s: float = 0.0) -> Iterator[Told]:
    """Tells what became of snapshots, as far as that is known after waiting so long."""
    kept = run.kept
    while kept.in_flight is not None and (outcome := kept.storing.outcome(wait_s=wait_s)) is not None:
        done, kept.in_flight = kept.in_flight, None
        snapshots.remove(done.folder)
        if kept.next is not None:
            following, kept.next = kept.next, None
            begin(run, following)
        yield from told(run, done, outcome)


def told(run: Run, done: Waiting, outcome: Outcome) -> Iterator[Told]:
    match outcome:
        case NotKept():
            run.kept.trouble = outcome
            message = f"No room for the checkpoint after step {done.step}."
            if not outcome.full:
                message = f"The checkpoint after step {done.step} was not stored: {outcome.why}."
            yield warning("checkpoint_failed", message, {"error": outcome.why, "step": done.step})
        case Stored(files):
            run.kept.newest, run.kept.newest_step = files, done.step
            yield written(run, done, files)
            faultpoint("checkpoint_told")


def written(run: Run, done: Waiting, files: FileSet) -> facts_pb2.CheckpointWritten:
    return facts_pb2.CheckpointWritten(
        step=done.step,
        lineage=done.lineage,
        artifact_prefix=files.prefix,
        manifest_sha256=files.manifest_sha256,
        size_bytes=files.size_bytes,
        complete=done.complete,
        parameters=run.model.config.parameters,
        validation_loss=done.validation_loss,
        validation_bits_per_byte=done.validation_bits_per_byte,
    )


def settle(run: Run) -> Iterator[Told]:
    """Waits until nothing is on its way into the store any more, without a sign of life: the watchdog has a limit."""
    if run.kept.in_flight is not None:
        yield progress(pipe_pb2.SECTION_CHECKPOINT, step=run.state.step)
    while run.kept.in_flight is not None:
        yield from collect(run, wait_s=POLL_S)


def keep_surely(run: Run, delays_s: tuple[float, ...], *, complete: bool = False) -> Generator[Told, None, bool]:
    """Waits until the checkpoint is stored, and tries again after each of the delays. Returns whether it is at last."""
    for delay_s in (0.0, *delays_s):
        yield from wait(delay_s, step=run.state.step)
        run.kept.newest_step = -1
        yield from keep(run, complete=complete)
        yield from settle(run)
        if run.kept.newest_step == run.state.step:
            return True
    return False


def wait(delay_s: float, *, step: int) -> Iterator[Told]:
    """Passes time in short pieces, with a sign of life after each."""
    until = time.monotonic() + delay_s
    while (left_s := until - time.monotonic()) > 0:
        time.sleep(min(left_s, SIGN_INTERVAL_S))
        yield progress(pipe_pb2.SECTION_CHECKPOINT, step=step)

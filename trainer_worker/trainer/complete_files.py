"""The files that short work ends with, stored as a whole and told."""

import pathlib
from collections.abc import Iterator

import torch

from artifacts import NoSpace, Store
from trainer_worker.trainer.engine import memory
from trainer_worker.trainer.failures import TrainingFailed
from trainer_worker.trainer.snapshots import store_snapshot
from trainer_worker.trainer.telling import Told, progress
from tutelage.v1 import jobs_pb2
from tutelage_internal.v1 import facts_pb2, pipe_pb2, workers_pb2

STEP = 1  # short work is one step


def keep_complete(
    assignment: workers_pb2.Assignment, folder: pathlib.Path, *, store: Store, parameters: int, step: int = STEP
) -> Iterator[Told]:
    """Stores the files of a folder under the prefix of the attempt, and tells them; `step` is the last one.

    Raises: TrainingFailed if there is no room; artifacts.StoreUnavailable.
    """
    yield progress(pipe_pb2.SECTION_CHECKPOINT, step=step)
    try:
        files = store_snapshot(store, f"{assignment.checkpoint_prefix}/step-{step}", folder)
    except NoSpace as error:
        help = "Free space in the artifact store and submit the job again."
        raise TrainingFailed(jobs_pb2.FAILURE_REASON_NO_SPACE, f"No room for the files: {error}", help=help) from error
    yield jobs_pb2.Usage(peak_memory_bytes=memory.peak_bytes(torch.device("cpu")))
    yield facts_pb2.CheckpointWritten(
        step=step,
        artifact_prefix=files.prefix,
        manifest_sha256=files.manifest_sha256,
        size_bytes=files.size_bytes,
        complete=True,
        parameters=parameters,
    )

"""Listing the files that a job has made."""

from collections.abc import Sequence

from artifacts import CorruptFileSet, NotStored, StoredFile
from services.domain.errors import WrongState
from services.domain.job_states import JobState
from services.domain.jobs import Checkpoint, Job
from services.domain.projects import Caller
from services.jobs.own_job import find_own_job
from services.ports import House, UnitOfWork, store_errors


def list_job_files(house: House, *, caller: Caller, parent: str) -> tuple[StoredFile, ...]:
    """Return the files of a complete job by name, and none before it is complete. Raises: NotFound."""
    with house.storage.read() as uow:
        job = find_own_job(uow, caller=caller, name=parent, field="parent")
        complete = complete_files(uow, job)
    return tuple(files_of(house, job, complete)) if complete else ()


def complete_files(uow: UnitOfWork, job: Job) -> Checkpoint | None:
    """Return the complete file set of a job that has succeeded."""
    if job.state is not JobState.SUCCEEDED:
        return None
    return next((each for each in uow.checkpoints.usable(job.uid) if each.complete), None)


def files_of(house: House, job: Job, complete: Checkpoint) -> Sequence[StoredFile]:
    """Return what the manifest names. Raises: WrongState if the store has lost it."""
    try:
        with store_errors():
            return house.store.files(complete.artifact_prefix, manifest_sha256=complete.manifest_sha256)
    except (CorruptFileSet, NotStored) as error:
        raise WrongState.of(f"the files of {job.name} cannot be read: {error}", state="CORRUPT") from error

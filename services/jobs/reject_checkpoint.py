"""Giving a checkpoint up that cannot be read back."""

import dataclasses
import datetime

from services.domain.job_events import Note, NoteLevel
from services.domain.jobs import AttemptEnd, Checkpoint, CheckpointState, FailureReason, Job, JobFailure
from services.domain.work import VerifySpec
from services.jobs.attempt import lock_attempt
from services.jobs.ending import close_attempt, end_early
from services.ports import House, UnitOfWork


def reject_checkpoint(
    house: House, *, job_uid: str, epoch: int, step: int, manifest_sha256: str, message: str
) -> Checkpoint | None:
    """Mark a checkpoint CORRUPT, and return the next older one to go on from.

    None if there is none: the job has failed with NO_CHECKPOINT, for it is never begun anew in silence. Verification
    begins with a checkpoint of another job, which is marked, too: the next one begins with an older one.
    Raises: StaleAttempt.
    """
    with house.storage.write() as uow:
        job, attempt = lock_attempt(uow, job_uid, epoch=epoch)
        now = uow.now()
        rejected = _begun_with(uow, job, step=step)
        if rejected is not None and rejected.manifest_sha256 == manifest_sha256:
            uow.checkpoints.set_state(rejected.uid, CheckpointState.CORRUPT)
            job = uow.events.append(job, [_note(rejected, message)], time=now)
            _tell_owner(uow, rejected, than=job, now=now)
        older = uow.checkpoints.newest_usable(job_uid)
        job = dataclasses.replace(job, checkpoint_step=older.step if older else None, update_time=now)
        if older is None:
            job = _without_checkpoint(house, uow, job, now=now)
            close_attempt(uow, attempt, AttemptEnd.FAILED, now=now, message=message)
        uow.jobs.save(job)
        uow.commit()
    return older


def _begun_with(uow: UnitOfWork, job: Job, *, step: int) -> Checkpoint | None:
    if isinstance(job.spec, VerifySpec) and job.base:
        return uow.checkpoints.find_at(job.base.artifact_prefix)
    return uow.checkpoints.find(job.uid, step=step)


def _tell_owner(uow: UnitOfWork, rejected: Checkpoint, *, than: Job, now: datetime.datetime) -> None:
    """Let the job that wrote a checkpoint, if it is another `than` this, show the newest that is left."""
    owner = None if rejected.job_uid == than.uid else uow.jobs.lock_by_uid(rejected.job_uid)
    if owner is not None:
        older = uow.checkpoints.newest_usable(owner.uid)
        uow.jobs.save(dataclasses.replace(owner, checkpoint_step=older.step if older else None, update_time=now))


def _without_checkpoint(house: House, uow: UnitOfWork, job: Job, *, now: datetime.datetime) -> Job:
    failure = JobFailure(
        reason=FailureReason.NO_CHECKPOINT,
        message="No intact checkpoint is left to go on from.",
        help="Check the artifact store, then submit the job again.",
    )
    return end_early(house, uow, job, end=AttemptEnd.FAILED, message=failure.message, failure=failure)


def _note(rejected: Checkpoint, message: str) -> Note:
    return Note(
        level=NoteLevel.ERROR,
        kind="checkpoint_corrupt",
        message=f"the checkpoint of step {rejected.step} cannot be used: {message[:1000]}",
        details={"step": str(rejected.step), "manifest_sha256": rejected.manifest_sha256},
    )

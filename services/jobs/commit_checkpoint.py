"""Making a written checkpoint count."""

import dataclasses
import datetime

from artifacts import CorruptFileSet
from services.domain.errors import FactGap, InvalidField, WrongState
from services.domain.job_events import CheckpointCommitted, CheckpointWritten
from services.domain.job_states import Desire, JobState, Trigger
from services.domain.jobs import Checkpoint, CheckpointState, Job, checkpoint_prefix
from services.jobs.attempt import lock_attempt
from services.jobs.moving import move
from services.ports import House, UnitOfWork, store_errors


def commit_checkpoint(house: House, *, job_uid: str, epoch: int, written: CheckpointWritten, through_seq: int) -> None:
    """Keep a row of a checkpoint, once every fact up to it has arrived and the store holds it as named.

    With the complete checkpoint the job is FINALIZING. The same manifest again changes nothing.
    Raises: StaleAttempt, FactGap, InvalidField, WrongState if the store does not hold it or another one counts.
    """
    _check_place(written, prefix=checkpoint_prefix(job_uid, epoch=epoch))
    _check_store(house, written)
    with house.storage.write() as uow:
        job, attempt = lock_attempt(uow, job_uid, epoch=epoch)
        if attempt.last_fact_seq < through_seq:
            raise FactGap.of(expected_seq=attempt.last_fact_seq + 1, got_seq=through_seq)
        if _counts_already(uow, job, written):
            return
        job = _committed(house, uow, job, written, now=uow.now())
        uow.jobs.save(job)
        uow.commit()


def _check_place(written: CheckpointWritten, *, prefix: str) -> None:
    expected = f"{prefix}/step-{written.step}"
    if written.artifact_prefix != expected:
        raise InvalidField.of(
            "checkpoint.artifact_prefix", f"must be {expected}, got {ascii(written.artifact_prefix[:200])}"
        )


def _check_store(house: House, written: CheckpointWritten) -> None:
    try:
        with store_errors():
            found = house.store.find_file_set(written.artifact_prefix)
    except CorruptFileSet as error:
        raise WrongState.of(f"{written.artifact_prefix} cannot be read: {error}", state="CORRUPT") from error
    if found is None:
        raise WrongState.of(f"the store holds no file set {written.artifact_prefix}", state="MISSING")
    if (found.manifest_sha256, found.size_bytes) != (written.manifest_sha256, written.size_bytes):
        raise WrongState.of(f"the manifest of {written.artifact_prefix} is not the one named", state="DIFFERENT")


def _counts_already(uow: UnitOfWork, job: Job, written: CheckpointWritten) -> bool:
    if job.state is JobState.FINALIZING:
        newest = uow.checkpoints.newest_usable(job.uid)
        if newest is not None and newest.complete:
            return True
    same_step = uow.checkpoints.find(job.uid, lineage=job.lineage, step=written.step)
    if same_step is None:
        return False
    if same_step.manifest_sha256 != written.manifest_sha256:
        raise WrongState.of(f"another checkpoint of step {written.step} counts already", state=same_step.state.value)
    return True


def _committed(house: House, uow: UnitOfWork, job: Job, written: CheckpointWritten, *, now: datetime.datetime) -> Job:
    uow.checkpoints.add(_checkpoint(job, written, uid=house.chance.uid(), now=now))
    newer = job.checkpoint_step is None or written.step > job.checkpoint_step
    job = dataclasses.replace(
        job,
        checkpoint_step=written.step,
        attempts_without_progress=0 if newer else job.attempts_without_progress,
        update_time=now,
    )
    told = CheckpointCommitted(
        step=written.step, size_bytes=written.size_bytes, manifest_sha256=written.manifest_sha256
    )
    job = uow.events.append(job, [told], time=now)
    if written.complete and job.state in (JobState.STARTING, JobState.RUNNING):
        # From here on a pause is too late, and one that was asked for is forgotten.
        job = move(uow, dataclasses.replace(job, desire=Desire.RUN), Trigger.COMPLETE, now=now)
    return job


def _checkpoint(job: Job, written: CheckpointWritten, *, uid: str, now: datetime.datetime) -> Checkpoint:
    return Checkpoint(
        uid=uid,
        job_uid=job.uid,
        lineage=job.lineage,
        epoch=job.epoch,
        state=CheckpointState.COMMITTED,
        create_time=now,
        **{field.name: getattr(written, field.name) for field in dataclasses.fields(written)},
    )

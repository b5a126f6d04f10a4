"""Making a written checkpoint count."""

import dataclasses
import datetime

from artifacts import CorruptFileSet
from services.domain.errors import FactGap, InvalidField, WrongState
from services.domain.job_events import CheckpointCommitted, CheckpointWritten
from services.domain.job_states import Desire, JobState, Trigger
from services.domain.jobs import Checkpoint, CheckpointState, Job, checkpoint_prefix, line_of_checkpoint
from services.jobs.attempt import lock_attempt
from services.jobs.moving import move
from services.ports import House, UnitOfWork, store_errors


def commit_checkpoint(house: House, *, job_uid: str, epoch: int, written: CheckpointWritten, through_seq: int) -> None:
    """Keep a row of a checkpoint, once every fact up to it has arrived and the store holds it as named.

    With the complete checkpoint the job is FINALIZING. The same manifest again changes nothing. A checkpoint may arrive
    after the metrics of later steps, since it is written while training goes on; what was recorded stays recorded.
    Raises: StaleAttempt, FactGap, InvalidField, WrongState if the store does not hold it, another one counts, or it is
    of a line of steps that the run has left.
    """
    _check_place(written, prefix=checkpoint_prefix(job_uid, epoch=epoch))
    _check_store(house, written)
    with house.storage.write() as uow:
        job, attempt = lock_attempt(uow, job_uid, epoch=epoch)
        if attempt.last_fact_seq < through_seq:
            raise FactGap.of(expected_seq=attempt.last_fact_seq + 1, got_seq=through_seq)
        if _counts_already(uow, job, written):
            return
        _check_line(job, written)
        job = _committed(house, uow, job, written, now=uow.now())
        uow.jobs.save(job)
        uow.commit()


def _check_place(written: CheckpointWritten, *, prefix: str) -> None:
    expected = f"{prefix}/step-{written.step}"
    line = line_of_checkpoint(written.artifact_prefix)
    if written.artifact_prefix not in (expected, f"{expected}-l{line}"):
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
    same_step = uow.checkpoints.find(job.uid, step=written.step)
    if same_step is None:
        return False
    if same_step.manifest_sha256 != written.manifest_sha256:
        raise WrongState.of(f"another checkpoint of step {written.step} counts already", state=same_step.state.value)
    return True


def _check_line(job: Job, written: CheckpointWritten) -> None:
    """Refuse what was written before the run went back to an earlier step, and is told only now.

    Up to the step at which the present line began, it and the line before are the same. A trainer that does not say
    which line it means cannot have come further on the present one than what is recorded of it.
    """
    line = written.lineage or line_of_checkpoint(written.artifact_prefix)
    if line:
        last = {job.lineage: written.step, job.lineage - 1: job.line_start}.get(line, -1)
    else:
        last = written.step if job.lineage == 1 else job.recorded_step + 1
    if written.step > last:
        words = f"the checkpoint of step {written.step} is of a line of steps that was left; the run is on line"
        raise WrongState.of(f"{words} {job.lineage}", state="ABANDONED")


def _committed(house: House, uow: UnitOfWork, job: Job, written: CheckpointWritten, *, now: datetime.datetime) -> Job:
    if uow.checkpoints.states([written.artifact_prefix]):
        raise WrongState.of(f"{written.artifact_prefix} is another checkpoint's already", state="TAKEN")
    uow.checkpoints.add(_checkpoint(job, written, uid=house.chance.uid(), now=now))
    newer = job.checkpoint_step is None or written.step > job.checkpoint_step
    job = dataclasses.replace(
        job,
        checkpoint_step=written.step if newer else job.checkpoint_step,
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
    told = {field.name: getattr(written, field.name) for field in dataclasses.fields(written)}
    lineage = written.lineage or line_of_checkpoint(written.artifact_prefix) or job.lineage
    return Checkpoint(
        uid=uid,
        job_uid=job.uid,
        epoch=job.epoch,
        state=CheckpointState.COMMITTED,
        create_time=now,
        **{**told, "lineage": lineage},
    )

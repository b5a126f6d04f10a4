"""Ending an attempt, by the word of its supervisor."""

from services.domain.errors import FactGap, StaleAttempt
from services.domain.job_states import Desire, JobState, Trigger
from services.domain.jobs import AttemptEnd, Job, JobFailure
from services.jobs.attempt import lock_attempt
from services.jobs.completing import completed
from services.jobs.ending import close_attempt, end_early
from services.jobs.moving import move
from services.ports import House, UnitOfWork


def finish_attempt(
    house: House,
    *,
    job_uid: str,
    epoch: int,
    end: AttemptEnd,
    through_seq: int,
    failure: JobFailure | None = None,
) -> JobState:
    """End an attempt and return the state of the job; repeated, it returns the state and changes nothing.

    COMPLETE publishes the model version in the same transaction, if the job makes one; else its files are all there is.
    Raises: StaleAttempt, FactGap, WrongState for COMPLETE
    without the complete checkpoint.
    """
    with house.storage.write() as uow:
        repeated = _repeated(uow, job_uid, epoch=epoch, end=end)
        if repeated is not None:
            return repeated
        job, attempt = lock_attempt(uow, job_uid, epoch=epoch)
        if attempt.last_fact_seq < through_seq:
            raise FactGap.of(expected_seq=attempt.last_fact_seq + 1, got_seq=through_seq)
        job = _ended(house, uow, job, end=end, failure=failure)
        close_attempt(uow, attempt, end, now=uow.now(), message=failure.message if failure else "")
        uow.jobs.save(job)
        uow.commit()
    return job.state


def _repeated(uow: UnitOfWork, job_uid: str, *, epoch: int, end: AttemptEnd) -> JobState | None:
    job = uow.jobs.lock_by_uid(job_uid)  # first, so that the same call at the same time has ended before we look
    attempt = uow.attempts.find(job_uid, epoch=epoch)
    if job is None or attempt is None or attempt.end is not end:
        return None
    if job.epoch != epoch:
        raise StaleAttempt.of(job_uid, epoch=epoch)
    return job.state


def _ended(house: House, uow: UnitOfWork, job: Job, *, end: AttemptEnd, failure: JobFailure | None) -> Job:
    if job.state is JobState.CANCELLING:
        return end_early(house, uow, job, end=end, message="no process is left")
    if end is AttemptEnd.COMPLETE:
        return completed(house, uow, job)
    if end is AttemptEnd.PAUSED and job.state in (JobState.STARTING, JobState.RUNNING):
        return _stopped(uow, job)
    if end is AttemptEnd.PAUSED:
        end = AttemptEnd.DRAINED
    message = failure.message if failure else _MESSAGES[end]
    return end_early(house, uow, job, end=end, message=message, failure=failure)


_MESSAGES = {
    AttemptEnd.DRAINED: "the worker is leaving; the next one goes on from the last checkpoint",
    AttemptEnd.INTERRUPTED: "the trainer was interrupted",
    AttemptEnd.CANCELLED: "the trainer was stopped although nobody had cancelled the job",
    AttemptEnd.FAILED: "the trainer ended with an error",
}


def _stopped(uow: UnitOfWork, job: Job) -> Job:
    """The pause took effect; one that was taken back meanwhile queues the job again."""
    now = uow.now()
    paused = move(uow, job, Trigger.STOP, now=now)
    if paused.desire is not Desire.RUN:
        return paused
    uow.outbox.add(job.uid, due_time=now)
    return move(uow, paused, Trigger.RESUME, now=now, message="the pause was taken back meanwhile")

"""Ending an attempt early: the lease, the budgets and the wishes of the owner decide what follows."""

import dataclasses
import datetime

from services.domain.budgets import judge
from services.domain.job_states import JobState, Trigger
from services.domain.jobs import Attempt, AttemptEnd, Job, JobFailure
from services.jobs.moving import move
from services.ports import House, UnitOfWork


def close_attempt(
    uow: UnitOfWork, attempt: Attempt, end: AttemptEnd, *, now: datetime.datetime, message: str = ""
) -> None:
    """Write how an attempt ended."""
    uow.attempts.save(dataclasses.replace(attempt, end=end, end_time=now, message=message))


def end_early(
    house: House,
    uow: UnitOfWork,
    job: Job,
    *,
    end: AttemptEnd,
    message: str,
    failure: JobFailure | None = None,
) -> Job:
    """Return the job after an attempt that did not complete it: cancelled, paused, failed, or waiting for the next one.

    A cancel is honoured whatever else happened; a pause is, unless the job has failed or is complete.
    """
    now = uow.now()
    if job.state is JobState.CANCELLING:
        return move(uow, job, Trigger.CONFIRM_CANCEL, now=now, message=message)
    verdict = judge(job, end=end, failure=failure, jitter=house.chance.jitter())
    job = verdict.job
    if verdict.failure is not None:
        return move(uow, job, Trigger.FAIL, now=now, message=verdict.failure.message, failure=verdict.failure)
    if job.pausing:
        return move(uow, job, Trigger.STOP, now=now, message=message)
    due = now + datetime.timedelta(seconds=verdict.wait_s)
    job = move(uow, job, Trigger.LOSE, now=now, message=message)
    uow.outbox.add(job.uid, due_time=due)
    return dataclasses.replace(job, not_before=due)

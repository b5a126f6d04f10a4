"""Ending a job for good."""

import dataclasses
import datetime

from services.domain.errors import WrongState
from services.domain.job_states import FINAL, Desire, JobState, Trigger
from services.domain.jobs import Job
from services.domain.projects import Caller
from services.domain.requests import NO_REQUEST_KEY, RequestKey
from services.jobs.moving import move
from services.jobs.own_job import lock_own_job
from services.ports import House, UnitOfWork


def cancel_job(house: House, *, caller: Caller, name: str, request: RequestKey = NO_REQUEST_KEY) -> Job:
    """Cancel a job: at once if nobody works on it, else as soon as its worker has heard.

    A cancelled job is returned as it is, and so is one that is being cancelled.
    Raises: NotFound, WrongState if it has succeeded or failed, RequestIdReused.
    """
    with house.storage.write() as uow:
        job = lock_own_job(uow, caller=caller, name=name)
        now = uow.now()
        repeated = uow.requests.remember(caller, request, resource=job.name, time=now) is not None
        if repeated or job.state in (JobState.CANCELLING, JobState.CANCELLED):
            return job
        job = _cancelled(uow, job, caller=caller, now=now)
        uow.jobs.save(job)
        uow.audit.record(caller, resource=job.name, time=now)
        uow.commit()
    return job


def _cancelled(uow: UnitOfWork, job: Job, *, caller: Caller, now: datetime.datetime) -> Job:
    if job.state in FINAL:
        raise WrongState.of(f"{job.name} is over: it has {job.state.value.lower()}", state=job.state.value)
    held = job.held
    job = dataclasses.replace(job, desire=Desire.CANCEL)
    job = move(uow, job, Trigger.CANCEL, now=now, message=f"cancelled by {caller.api_key}")
    return job if held else move(uow, job, Trigger.CONFIRM_CANCEL, now=now)

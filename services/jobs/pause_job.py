"""Stopping a job for a while."""

import dataclasses
import datetime

from services.domain.errors import WrongState
from services.domain.job_events import Note, NoteLevel
from services.domain.job_states import WAITING, Desire, JobState, Trigger
from services.domain.jobs import Job
from services.domain.projects import Caller
from services.domain.requests import NO_REQUEST_KEY, RequestKey
from services.jobs.moving import move, wish
from services.jobs.own_job import lock_own_job
from services.ports import House, UnitOfWork


def pause_job(house: House, *, caller: Caller, name: str, request: RequestKey = NO_REQUEST_KEY) -> Job:
    """Pause a job: at once if it waits, else at its next step, with a checkpoint.

    A job that is paused, or about to be, is returned as it is.
    Raises: NotFound, WrongState if it is finalizing, ending or over, RequestIdReused.
    """
    with house.storage.write() as uow:
        job = lock_own_job(uow, caller=caller, name=name)
        now = uow.now()
        repeated = uow.requests.remember(caller, request, resource=job.name, time=now) is not None
        if repeated or job.state is JobState.PAUSED or job.pausing:
            return job
        job = _paused(uow, job, caller=caller, now=now)
        uow.jobs.save(job)
        uow.audit.record(caller, resource=job.name, time=now)
        uow.commit()
    return job


def _paused(uow: UnitOfWork, job: Job, *, caller: Caller, now: datetime.datetime) -> Job:
    if job.state in WAITING:
        job = dataclasses.replace(job, desire=Desire.PAUSE)
        return move(uow, job, Trigger.HOLD, now=now, message=f"paused by {caller.api_key}")
    if job.state in (JobState.STARTING, JobState.RUNNING):
        message = f"{caller.api_key} asked for a pause; the job stops at its next step, with a checkpoint"
        return wish(uow, job, Desire.PAUSE, note=_note("pausing", message, caller), now=now)
    raise WrongState.of(f"{job.name} is {job.state.value}, too late for a pause", state=job.state.value)


def _note(kind: str, message: str, caller: Caller) -> Note:
    return Note(level=NoteLevel.INFO, kind=kind, message=message, details={"api_key": caller.api_key})

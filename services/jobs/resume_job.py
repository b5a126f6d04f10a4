"""Putting a paused job back into the queue."""

import dataclasses
import datetime

from services.domain.errors import WrongState
from services.domain.job_events import Note, NoteLevel
from services.domain.job_states import Desire, JobState, Trigger
from services.domain.jobs import Job
from services.domain.projects import Caller
from services.domain.requests import NO_REQUEST_KEY, RequestKey
from services.jobs.moving import move, wish
from services.jobs.own_job import lock_own_job
from services.ports import House, UnitOfWork


def resume_job(house: House, *, caller: Caller, name: str, request: RequestKey = NO_REQUEST_KEY) -> Job:
    """Resume a paused job, or take back a pause that has not taken effect yet.

    Raises: NotFound, WrongState if it is neither paused nor about to be, RequestIdReused.
    """
    with house.storage.write() as uow:
        job = lock_own_job(uow, caller=caller, name=name)
        now = uow.now()
        if uow.requests.remember(caller, request, resource=job.name, time=now) is not None:
            return job
        job = _resumed(uow, job, caller=caller, now=now)
        uow.jobs.save(job)
        uow.audit.record(caller, resource=job.name, time=now)
        uow.commit()
    return job


def _resumed(uow: UnitOfWork, job: Job, *, caller: Caller, now: datetime.datetime) -> Job:
    if job.pausing:
        message = f"{caller.api_key} took the pause back"
        note = Note(level=NoteLevel.INFO, kind="resuming", message=message, details={"api_key": caller.api_key})
        return wish(uow, job, Desire.RUN, note=note, now=now)
    if job.state is not JobState.PAUSED:
        raise WrongState.of(f"{job.name} is {job.state.value}, and not paused", state=job.state.value)
    uow.outbox.add(job.uid, due_time=now)
    job = dataclasses.replace(job, desire=Desire.RUN)
    return move(uow, job, Trigger.RESUME, now=now, message=f"resumed by {caller.api_key}")

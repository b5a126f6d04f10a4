"""Moving a job from state to state: the table decides, and the history tells."""

import dataclasses
import datetime

from services.domain.job_events import Note, StateChanged
from services.domain.job_states import FINAL, HELD, Desire, JobState, Trigger
from services.domain.jobs import Job, JobFailure
from services.ports import UnitOfWork


def move(
    uow: UnitOfWork,
    job: Job,
    trigger: Trigger,
    *,
    now: datetime.datetime,
    message: str = "",
    failure: JobFailure | None = None,
    model_version: str = "",
) -> Job:
    """Return the job after a trigger, with the event appended; the verb saves it. Raises: WrongState."""
    before = job.state
    job = dataclasses.replace(job.moved(trigger), update_time=now, failure=failure, model_version=model_version)
    if job.state not in HELD:
        job = job.released()
    if job.state in FINAL:
        job = dataclasses.replace(job, end_time=now)
    if job.state is not JobState.BACKOFF:
        job = dataclasses.replace(job, not_before=None)
    changed = StateChanged(
        before=before,
        after=job.state,
        message=message or trigger.value,
        failure=failure,
        model_version=model_version,
    )
    return uow.events.append(job, [changed], time=now)


def wish(uow: UnitOfWork, job: Job, desire: Desire, *, note: Note, now: datetime.datetime) -> Job:
    """Return the job with another desire and a note of it in the history; the verb saves it."""
    job = dataclasses.replace(job, desire=desire, update_time=now)
    return uow.events.append(job, [note], time=now)

"""Reading what happened to jobs after a cursor: the verbs behind WatchJob and its tailer."""

from collections.abc import Collection, Mapping, Sequence

from services.domain.errors import InvalidField
from services.domain.job_events import JobEvent
from services.domain.jobs import Job
from services.domain.limits import EVENTS_READ_MAX
from services.domain.projects import Caller
from services.jobs.own_job import find_own_job
from services.ports import House


def watch_job(house: House, *, caller: Caller, name: str, after_cursor: int) -> Job:
    """Return the job that may be watched from this cursor on. Raises: NotFound, InvalidField."""
    with house.storage.read() as uow:
        job = find_own_job(uow, caller=caller, name=name)
    if not 0 <= after_cursor <= job.last_seq:
        raise InvalidField.of(
            "after_cursor", f"must be 0 to {job.last_seq}, the last cursor of the job, got {after_cursor}"
        )
    return job


def read_job_events(house: House, *, job_uid: str, after: int, count_max: int = EVENTS_READ_MAX) -> Sequence[JobEvent]:
    """Return what happened to a job after a cursor, metrics included, oldest first and without a gap."""
    with house.storage.read() as uow:
        return uow.events.read(job_uid, after=after, count_max=min(count_max, EVENTS_READ_MAX))


def read_job_heads(house: House, *, job_uids: Collection[str]) -> Mapping[str, int]:
    """Return the last cursor of each of these jobs."""
    with house.storage.read() as uow:
        return uow.events.last_seqs(job_uids)

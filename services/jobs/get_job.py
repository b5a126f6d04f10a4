"""Reading one job."""

from services.domain.jobs import Job
from services.domain.projects import Caller
from services.jobs.own_job import find_own_job
from services.ports import House


def get_job(house: House, *, caller: Caller, name: str) -> Job:
    """Return a job of the caller's project. Raises: NotFound."""
    with house.storage.read() as uow:
        return find_own_job(uow, caller=caller, name=name)

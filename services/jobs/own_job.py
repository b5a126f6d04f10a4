"""Finding the job that a caller names, in the caller's own project only."""

from services.domain import names
from services.domain.errors import NotFound
from services.domain.jobs import Job
from services.domain.projects import Caller
from services.ports import UnitOfWork


def find_own_job(uow: UnitOfWork, *, caller: Caller, name: str, field: str = "name") -> Job:
    """Return the job. Raises: NotFound, the same for a missing job and for another project's."""
    (job_id,) = names.ids_in_own_project(name, pattern=names.JOB, own_project=caller.project_id, field=field)
    return _found(uow.jobs.find(caller.project_id, job_id), name, field=field)


def lock_own_job(uow: UnitOfWork, *, caller: Caller, name: str) -> Job:
    """Return the job and hold it until the unit of work ends. Raises: NotFound."""
    (job_id,) = names.ids_in_own_project(name, pattern=names.JOB, own_project=caller.project_id)
    return _found(uow.jobs.lock(caller.project_id, job_id), name)


def _found(job: Job | None, name: str, *, field: str = "name") -> Job:
    if job is None:
        raise NotFound.of(name, field=field)
    return job

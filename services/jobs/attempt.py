"""Holding an attempt: the guard of everything that a worker writes."""

from services.domain.errors import StaleAttempt
from services.domain.jobs import Attempt, Job
from services.ports import UnitOfWork


def lock_attempt(uow: UnitOfWork, job_uid: str, *, epoch: int) -> tuple[Job, Attempt]:
    """Return the job and the attempt that holds it, locked until the unit of work ends.

    The guard is the epoch together with a state that is held; a lease that is over only lets others take the job, and
    taking it is what raises the epoch. Raises: StaleAttempt, also for a job that does not exist.
    """
    job = uow.jobs.lock_by_uid(job_uid)
    if job is None or not job.held or job.epoch != epoch:
        raise StaleAttempt.of(job_uid, epoch=epoch)
    attempt = uow.attempts.find(job_uid, epoch=epoch)
    assert attempt is not None, "a claim writes the attempt together with the epoch"
    return job, attempt

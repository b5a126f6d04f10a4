"""Taking a job back whose worker has fallen silent."""

from services.domain.jobs import AttemptEnd, Job
from services.jobs.ending import close_attempt, end_early
from services.ports import House


def reclaim_lease(house: House) -> Job | None:
    """End the attempt of one job whose lease is over, and return the job; None if there is no such job.

    A cancel is honoured here too: a cancelled job whose worker is lost is CANCELLED, and never tried again.
    """
    with house.storage.write() as uow:
        job = uow.jobs.lock_expired(now=uow.now())
        if job is None:
            return None
        message = f"workers/{job.worker_id} was not heard from for {house.leases.lease_s:g} s"
        attempt = uow.attempts.latest(job.uid, ended=False)
        if attempt is not None:
            close_attempt(uow, attempt, AttemptEnd.LEASE_LOST, now=uow.now(), message=message)
        job = end_early(house, uow, job, end=AttemptEnd.LEASE_LOST, message=message)
        uow.jobs.save(job)
        uow.commit()
    return job

"""Rings again for jobs that have waited for a while: their bell may be lost, and a lost bell must cost seconds only."""

import datetime

from services.ports import House


def ring_again(house: House, *, waiting_s: float) -> int:
    """Ring for each job that could have been claimed for that long; return how many. Raises: Unavailable."""
    with house.storage.read() as uow:
        now = uow.now()
        since = now - datetime.timedelta(seconds=waiting_s)
        waiting = uow.jobs.claimable_before(now=now, waiting_since=since)
    for job_uid in waiting:
        house.dispatcher.ring(job_uid)
    return len(waiting)

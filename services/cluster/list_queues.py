"""Listing queues: there is one, counted over all projects."""

from services.domain.projects import Caller
from services.domain.workers import Queue
from services.ports import House


def list_queues(house: House, *, caller: Caller) -> tuple[Queue, ...]:
    """Return all queues."""
    with house.storage.read() as uow:
        return (uow.jobs.queue(now=uow.now()),)

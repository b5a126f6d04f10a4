"""Listing workers, most recently heard from first."""

import dataclasses

from services.domain.pages import PageRequest, cut_page, page_size
from services.domain.positions import read_time_position, time_position
from services.domain.projects import Caller
from services.domain.workers import Worker
from services.ports import House


def list_workers(house: House, *, caller: Caller, page: PageRequest) -> tuple[tuple[Worker, ...], str]:
    """Return a page of workers, each with the caller's jobs that it holds, and the token of the next page."""
    size = page_size(page.size)
    binding = ("workers", caller.api_key)
    after = read_time_position(house.keys.unseal_page(page.token, binding=binding))
    with house.storage.read() as uow:
        found = uow.workers.page(after=after, count_max=size + 1, now=uow.now(), lease_s=house.leases.lease_s)
        held = uow.jobs.of_workers(caller.project_id, [worker.info.id for worker in found])
    workers = [dataclasses.replace(worker, jobs=tuple(held.get(worker.info.id, ()))) for worker in found]
    return cut_page(workers, size=size, position=_position, keys=house.keys, binding=binding)


def _position(worker: Worker) -> tuple[str, str]:
    return time_position(worker.heartbeat_time, uid=worker.info.id)

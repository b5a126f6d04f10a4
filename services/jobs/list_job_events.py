"""Listing the events of a job, without metrics, oldest first."""

from services.domain.job_events import JobEvent
from services.domain.limits import EVENTS_PAGE_SIZE_DEFAULT
from services.domain.pages import PageRequest, cut_page, page_size
from services.domain.projects import Caller
from services.jobs.own_job import find_own_job
from services.ports import House


def list_job_events(
    house: House, *, caller: Caller, parent: str, page: PageRequest
) -> tuple[tuple[JobEvent, ...], str]:
    """Return a page of events and the token of the next one. Raises: NotFound, InvalidField."""
    size = page_size(page.size, default=EVENTS_PAGE_SIZE_DEFAULT)
    with house.storage.read() as uow:
        job = find_own_job(uow, caller=caller, name=parent, field="parent")
        binding = ("job events", caller.api_key, job.uid)
        position = house.keys.unseal_page(page.token, binding=binding)
        after = position[0] if position else 0
        found = uow.events.read_without_metrics(job.uid, after=after, count_max=size + 1)
    return cut_page(found, size=size, position=lambda event: (event.seq,), keys=house.keys, binding=binding)

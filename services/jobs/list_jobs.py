"""Listing jobs: filtered, ordered, in pages that cost the same at any depth."""

from services.domain import filters, names
from services.domain.errors import InvalidField
from services.domain.job_states import JobState
from services.domain.jobs import Job
from services.domain.pages import Page, PageRequest, cut_page, page_size
from services.domain.positions import read_time_position, time_position
from services.domain.projects import Caller
from services.ports import House

_FIELDS = {
    "state": filters.enum_field(JobState),
    "create_time": filters.time_field(),
    "end_time": filters.time_field(),
    "model": filters.text_field(),
    "dataset": filters.text_field(),
    "labels": filters.map_field(),
}
_ORDERS = {"": True, "create_time desc": True, "create_time asc": False, "create_time": False}


def list_jobs(
    house: House, *, caller: Caller, parent: str, page: PageRequest, filter: str = "", order_by: str = ""
) -> tuple[tuple[Job, ...], str]:
    """Return a page of jobs, newest first by default, and the token of the next one. Raises: InvalidField, NotFound."""
    names.ids_in_own_project(parent, pattern=names.PROJECT, own_project=caller.project_id, field="parent")
    size, descending = page_size(page.size), _descending(order_by)
    matching = filters.parse_filter(filter, fields=_FIELDS)
    binding = ("jobs", caller.api_key, filter, str(descending))
    after = read_time_position(house.keys.unseal_page(page.token, binding=binding))
    with house.storage.read() as uow:
        wanted = Page(size=size, after=after, descending=descending)
        found = uow.jobs.page(caller.project_id, matching=matching, page=wanted)
    return cut_page(found, size=size, position=_key, keys=house.keys, binding=binding)


def _descending(order_by: str) -> bool:
    words = " ".join(order_by.split())
    if words not in _ORDERS:
        raise InvalidField.of("order_by", f"must be create_time desc or create_time asc, got {ascii(order_by[:80])}")
    return _ORDERS[words]


def _key(job: Job) -> tuple[str, str]:
    return time_position(job.create_time, uid=job.uid)

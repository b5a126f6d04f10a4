"""Lists feedback sets."""

from services.domain.feedback_sets import FeedbackSet
from services.domain.names import PROJECT, ids_in_own_project
from services.domain.pages import Page, PageRequest, cut_page, page_size
from services.domain.positions import read_time_position, time_position
from services.domain.projects import Caller
from services.ports import House


def list_feedback_sets(
    house: House, *, caller: Caller, parent: str, page: PageRequest
) -> tuple[tuple[FeedbackSet, ...], str]:
    """Return a page of feedback sets, newest first, and the token of the next page."""
    ids_in_own_project(parent, pattern=PROJECT, own_project=caller.project_id, field="parent")
    size, binding = page_size(page.size), ("feedback sets", caller.project_id)
    after = read_time_position(house.keys.unseal_page(page.token, binding=binding))
    with house.storage.read() as uow:
        found = uow.feedback_sets.page(caller.project_id, page=Page(size=size, after=after))
    return cut_page(found, size=size, position=_position, keys=house.keys, binding=binding)


def _position(of: FeedbackSet) -> tuple[str, str]:
    return time_position(of.create_time, uid=of.uid)

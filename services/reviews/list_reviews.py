"""Listing reviews."""

from services.domain import names
from services.domain.pages import Page, PageRequest, cut_page, page_size
from services.domain.positions import read_time_position, time_position
from services.domain.projects import Caller
from services.domain.reviews import Review
from services.ports import House
from services.reviews.get_review import with_progress


def list_reviews(house: House, *, caller: Caller, parent: str, page: PageRequest) -> tuple[tuple[Review, ...], str]:
    """Return a page of reviews, newest first, and the token of the next one. Raises: InvalidField, NotFound."""
    names.ids_in_own_project(parent, pattern=names.PROJECT, own_project=caller.project_id, field="parent")
    size, binding = page_size(page.size), ("reviews", caller.api_key)
    after = read_time_position(house.keys.unseal_page(page.token, binding=binding))
    with house.storage.read() as uow:
        found = uow.reviews.page(caller.project_id, page=Page(size=size, after=after))
        shown, token = cut_page(found, size=size, position=_key, keys=house.keys, binding=binding)
        return with_progress(uow, *shown), token


def _key(review: Review) -> tuple[str, str]:
    return time_position(review.create_time, uid=review.uid)

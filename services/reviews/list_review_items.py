"""Listing the items of a review, as its owner sees them."""

from services.domain.pages import Page, PageRequest, cut_page, page_size
from services.domain.projects import Caller
from services.domain.reviews import ReviewItem
from services.ports import House
from services.reviews.own_review import find_own_review


def list_review_items(
    house: House, *, caller: Caller, parent: str, page: PageRequest
) -> tuple[tuple[ReviewItem, ...], str]:
    """Return a page of items in the order of their numbers, and the token of the next one.

    Raises: InvalidField, NotFound.
    """
    size = page_size(page.size)
    with house.storage.read() as uow:
        review = find_own_review(uow, caller=caller, name=parent, field="parent")
        binding = ("review_items", caller.api_key, review.uid)
        position = house.keys.unseal_page(page.token, binding=binding)
        after = None if position is None else (int(position[0]),)
        found = uow.reviews.page_items(review.uid, page=Page(size=size, after=after, descending=False))
    return cut_page(found, size=size, position=lambda item: (item.number,), keys=house.keys, binding=binding)

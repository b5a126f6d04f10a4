"""Listing a reviewer's own votes."""

from services.domain.pages import Page, PageRequest, cut_page, page_size
from services.domain.projects import Caller
from services.domain.review_items import blind
from services.domain.reviews import Vote
from services.ports import House
from services.reviews.own_review import find_assigned_review


def list_own_votes(house: House, *, caller: Caller, parent: str, page: PageRequest) -> tuple[tuple[Vote, ...], str]:
    """Return a page of the caller's own votes in a review, newest first, and the token of the next one.

    Candidates are in the order in which they were shown, and no model is named. Raises: InvalidField, NotFound.
    """
    size = page_size(page.size)
    with house.storage.read() as uow:
        review = find_assigned_review(uow, caller=caller, name=parent, field="parent")
        binding = ("own_votes", caller.api_key, review.uid)
        position = house.keys.unseal_page(page.token, binding=binding)
        after = None if position is None else (int(position[0]),)
        found = uow.votes.page_of_reviewer(review.uid, reviewer=caller.api_key, page=Page(size=size, after=after))
    shown, token = cut_page(found, size=size, position=lambda vote: (vote.seq,), keys=house.keys, binding=binding)
    return tuple(map(blind, shown)), token

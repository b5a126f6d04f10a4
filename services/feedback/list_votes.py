"""Lists votes."""

from services.domain.errors import InvalidField, NotFound
from services.domain.names import PROJECT, REVIEW, did_you_mean, ids_in_own_project
from services.domain.pages import Page, PageRequest, cut_page, page_size
from services.domain.projects import Caller
from services.domain.reviews import Vote
from services.ports import House, UnitOfWork


def list_votes(
    house: House, *, caller: Caller, parent: str, page: PageRequest, review: str = "", source: str = ""
) -> tuple[tuple[Vote, ...], str]:
    """Return a page of votes in whatever state, newest first, and the token of the next page.

    Raises: NotFound for the review, InvalidField for a review and a source at once.
    """
    ids_in_own_project(parent, pattern=PROJECT, own_project=caller.project_id, field="parent")
    if review and source:
        raise InvalidField.of("source", "goes without `review`: votes of a review have the source `review`")
    size, binding = page_size(page.size), ("votes", caller.project_id, review, source)
    position = house.keys.unseal_page(page.token, binding=binding)
    wanted = Page(size=size, after=None if position is None else tuple(position))
    with house.storage.read() as uow:
        review_uid = _review_uid(uow, caller=caller, name=review) if review else None
        found = uow.votes.page(caller.project_id, page=wanted, review_uid=review_uid, source=source)
    return cut_page(found, size=size, position=_position, keys=house.keys, binding=binding)


def _review_uid(uow: UnitOfWork, *, caller: Caller, name: str) -> str:
    (review_id,) = ids_in_own_project(name, pattern=REVIEW, own_project=caller.project_id, field="review")
    found = uow.reviews.find(caller.project_id, review_id)
    if found is None:
        raise NotFound.of(name, hint=did_you_mean(review_id, uow.reviews.ids(caller.project_id)), field="review")
    return found.uid


def _position(vote: Vote) -> tuple[int]:
    return (vote.seq,)

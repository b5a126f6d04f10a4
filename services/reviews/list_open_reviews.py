"""Listing what a reviewer can work on."""

from services.domain import names
from services.domain.limits import ITEMS_LEFT_COUNTED_MAX, ITEMS_LEFT_EXACT_MAX
from services.domain.projects import Caller
from services.domain.reviews import OpenReview, Review
from services.ports import House, UnitOfWork


def list_open_reviews(house: House, *, caller: Caller, parent: str) -> tuple[OpenReview, ...]:
    """Return the reviews that the caller may work on, newest first. Raises: InvalidField, NotFound."""
    names.ids_in_own_project(parent, pattern=names.PROJECT, own_project=caller.project_id, field="parent")
    with house.storage.read() as uow:
        found = uow.reviews.open_for(caller.project_id, reviewer=caller.api_key)
        return tuple(_seen(uow, review, reviewer=caller.api_key) for review in found)


def _seen(uow: UnitOfWork, review: Review, *, reviewer: str) -> OpenReview:
    progress = uow.seats.find_reviewer(review.uid, reviewer=reviewer)
    left = uow.seats.count_left(
        review.uid,
        reviewer=reviewer,
        after=progress.passed_position,
        exact_max=ITEMS_LEFT_EXACT_MAX,
        count_max=ITEMS_LEFT_COUNTED_MAX,
    )
    held = len(uow.seats.held(review.uid, reviewer=reviewer))
    waiting = uow.seats.count_waiting(review.uid, reviewer=reviewer) if review.repeat_share else 0
    votes = progress.votes + progress.repeats
    return OpenReview(review=review, items_left=left + held + waiting, votes=votes)

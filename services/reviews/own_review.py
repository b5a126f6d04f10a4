"""Finding what a caller names: reviews of the own project for those who manage, own seats and votes for reviewers."""

from services.domain import names
from services.domain.errors import NotFound
from services.domain.projects import Caller
from services.domain.reviews import Review, ReviewerProgress, Seat, Vote
from services.ports import UnitOfWork


def find_own_review(uow: UnitOfWork, *, caller: Caller, name: str, field: str = "name") -> Review:
    """Return a review of the caller's project. Raises: NotFound with the nearest id, InvalidField for another shape."""
    (review_id,) = names.ids_in_own_project(name, pattern=names.REVIEW, own_project=caller.project_id, field=field)
    review = uow.reviews.find(caller.project_id, review_id)
    if review is None:
        hint = names.did_you_mean(review_id, uow.reviews.ids(caller.project_id))
        raise NotFound.of(name, hint=hint, field=field)
    return review


def find_assigned_review(uow: UnitOfWork, *, caller: Caller, name: str, field: str = "name") -> Review:
    """Return a review that the caller may work on. Raises: NotFound, alike for one of others and for none at all."""
    (review_id,) = names.ids_in_own_project(name, pattern=names.REVIEW, own_project=caller.project_id, field=field)
    review = uow.reviews.find(caller.project_id, review_id)
    if review is None or not review.is_for(caller.api_key):
        raise NotFound.of(name, field=field)
    return review


def lock_own_seat(uow: UnitOfWork, *, caller: Caller, name: str) -> tuple[Review, ReviewerProgress, Seat]:
    """Return a seat of the caller's with its review, and hold the caller's progress: their calls come one by one.

    Raises: NotFound, alike for another's seat and for none at all.
    """
    review_id, uid = names.ids_in_own_project(name, pattern=names.SEAT, own_project=caller.project_id)
    review = uow.reviews.find(caller.project_id, review_id)
    if review is None or not review.is_for(caller.api_key):
        raise NotFound.of(name)
    progress = uow.seats.lock_reviewer(review.uid, reviewer=caller.api_key)
    seat = uow.seats.find(caller.project_id, review_id=review_id, uid=uid, reviewer=caller.api_key)
    if seat is None:
        raise NotFound.of(name)
    return review, progress, seat


def find_own_vote(uow: UnitOfWork, *, caller: Caller, name: str) -> tuple[Review, Vote]:
    """Return a vote that the caller gave in a review, and that review. Raises: NotFound, alike for another's vote."""
    (uid,) = names.ids_in_own_project(name, pattern=names.VOTE, own_project=caller.project_id)
    vote = uow.votes.find(caller.project_id, uid)
    review = uow.reviews.find_by_uid(vote.item.review_uid) if vote and vote.item.review_uid else None
    if vote is None or review is None or vote.reviewer != caller.api_key:
        raise NotFound.of(name)
    return review, vote

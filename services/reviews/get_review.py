"""Looking at one review."""

import dataclasses

from services.domain.projects import Caller
from services.domain.reviews import Review
from services.ports import House, UnitOfWork
from services.reviews.own_review import find_own_review


def get_review(house: House, *, caller: Caller, name: str) -> Review:
    """Return a review with how far it has come. Raises: NotFound, InvalidField."""
    with house.storage.read() as uow:
        return with_progress(uow, find_own_review(uow, caller=caller, name=name))[0]


def with_progress(uow: UnitOfWork, *reviews: Review) -> tuple[Review, ...]:
    """Return reviews with how far they have come."""
    found = uow.reviews.progress([review.uid for review in reviews], now=uow.now()) if reviews else {}
    return tuple(dataclasses.replace(review, progress=found[review.uid]) for review in reviews)

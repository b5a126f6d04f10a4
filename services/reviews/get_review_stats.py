"""Looking at what the votes of a review say."""

import dataclasses

from services.domain.projects import Caller
from services.domain.review_stats import ReviewStats, review_stats
from services.ports import House
from services.reviews.get_review import with_progress
from services.reviews.own_review import find_own_review


def get_review_stats(house: House, *, caller: Caller, name: str) -> ReviewStats:
    """Return agreement, win rates, bias and the right answers to gold items, of the votes that count now.

    Raises: NotFound, InvalidField.
    """
    with house.storage.read() as uow:
        (review,) = with_progress(uow, find_own_review(uow, caller=caller, name=name))
        votes = uow.counted_votes.of_review(review.uid)
    return dataclasses.replace(review_stats(votes, kind=review.kind, seed_of=review.uid), progress=review.progress)

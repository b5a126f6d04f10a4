"""Changing a review while people work on it."""

import dataclasses

from services.domain.errors import FieldViolation, InvalidField, WrongState
from services.domain.judgements import text_violations
from services.domain.limits import GUIDELINES_CHARACTERS_MAX, OVERLAP_MAX
from services.domain.projects import Caller
from services.domain.requests import NO_REQUEST_KEY, RequestKey
from services.domain.reviews import Review
from services.ports import House
from services.reviews.get_review import with_progress
from services.reviews.own_review import find_own_review


def update_review(
    house: House,
    *,
    caller: Caller,
    name: str,
    overlap: int | None = None,
    guidelines: str | None = None,
    closed: bool | None = None,
    request: RequestKey = NO_REQUEST_KEY,
) -> Review:
    """Raise the number of votes of each item, write new guidelines, close or open a review; None leaves it as it is.

    Votes that were given stay, with the version of the guidelines that their reviewer saw.
    Raises: InvalidField, NotFound, WrongState for an overlap below the present one and for another one in a duel,
    RequestIdReused.
    """
    _check(overlap=overlap, guidelines=guidelines)
    with house.storage.write() as uow:
        found = find_own_review(uow, caller=caller, name=name)
        now = uow.now()
        repeated = uow.requests.remember(caller, request, resource=found.name, time=now) is not None
        before = uow.reviews.lock(found.uid) or found
        if repeated:
            return with_progress(uow, before)[0]
        after = _changed(before, overlap=overlap, guidelines=guidelines, closed=closed)
        if after == before:
            return with_progress(uow, before)[0]
        after = dataclasses.replace(after, update_time=now)
        uow.reviews.save(after)
        if after.overlap > before.overlap:
            uow.reviews.raise_overlap(after.uid, by=after.overlap - before.overlap)
        uow.audit.record(caller, resource=after.name, time=now)
        (shown,) = with_progress(uow, after)
        uow.commit()
    return shown


def _check(*, overlap: int | None, guidelines: str | None) -> None:
    found: list[FieldViolation] = []
    if overlap is not None and not 1 <= overlap <= OVERLAP_MAX:
        found.append(FieldViolation("overlap", f"must be 1 to {OVERLAP_MAX}, got {overlap}"))
    if guidelines is not None:
        found += text_violations("guidelines", guidelines, most=GUIDELINES_CHARACTERS_MAX)
    if found:
        raise InvalidField.of_all(found)


def _changed(review: Review, *, overlap: int | None, guidelines: str | None, closed: bool | None) -> Review:
    if overlap is not None and overlap < review.overlap:
        words = f"overlap is {review.overlap} and can only be raised: votes that were given stay; got {overlap}"
        raise WrongState.of(words, state=review.state.value)
    if overlap not in (None, review.overlap) and review.duel:
        words = f"is held for {review.duel}, whose verdict must not change by asking for more votes of each pair"
        raise WrongState.of(f"{review.name} {words}; begin another duel", state=review.state.value)
    rewritten = guidelines is not None and guidelines != review.guidelines
    return dataclasses.replace(
        review,
        overlap=review.overlap if overlap is None else overlap,
        guidelines=review.guidelines if guidelines is None else guidelines,
        guidelines_version=review.guidelines_version + rewritten,
        closed=review.closed if closed is None else closed,
    )

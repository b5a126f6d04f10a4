"""Saying what the right answer of an item is."""

import dataclasses

from services.domain import names
from services.domain.errors import NotFound
from services.domain.judgements import Judgement, check_judgement
from services.domain.projects import Caller
from services.domain.requests import NO_REQUEST_KEY, RequestKey
from services.domain.reviews import Review, ReviewItem, texts_of
from services.ports import House, UnitOfWork

_NUMBER_MAX = 2**62


def set_gold_answer(
    house: House, *, caller: Caller, name: str, gold: Judgement | None, request: RequestKey = NO_REQUEST_KEY
) -> ReviewItem:
    """Make an item a gold item, candidates counted in its own order, or an ordinary one again if there is no answer.

    Raises: NotFound, InvalidField for an answer that the review does not take, RequestIdReused.
    """
    with house.storage.write() as uow:
        review, item = _find(uow, caller=caller, name=name)
        now = uow.now()
        if uow.requests.remember(caller, request, resource=item.name, time=now) is not None:
            return item
        if gold is not None and gold.says_nothing:
            gold = None
        if gold is not None:
            texts = texts_of(item.candidates)
            check_judgement(gold, kind=review.kind, candidates=texts, rubric=review.rubric_keys, field="gold")
        uow.reviews.set_gold(item.uid, gold)
        uow.audit.record(caller, resource=item.name, time=now)
        uow.commit()
    return dataclasses.replace(item, gold=gold)


def _find(uow: UnitOfWork, *, caller: Caller, name: str) -> tuple[Review, ReviewItem]:
    ids = names.ids_in_own_project(name, pattern=names.REVIEW_ITEM, own_project=caller.project_id)
    review_id, number = ids
    review = uow.reviews.find(caller.project_id, review_id)
    known = review is not None and number.isascii() and number.isdecimal() and int(number) < _NUMBER_MAX
    item = uow.reviews.find_item(review.uid, number=int(number)) if review and known else None
    if review is None or item is None:
        raise NotFound.of(name)
    return review, item

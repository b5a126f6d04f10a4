"""A process may die at any line: what was not committed did not happen, and doing it again does it once."""

import contextlib
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from services.domain.judgements import Judgement
from services.domain.requests import RequestKey
from services.domain.reviews import SeatState, VoteState
from services.reviews.expire_seats import expire_seats
from services.reviews.save_draft import save_draft
from services.reviews.update_review import update_review
from services.storage.tables.reviews import review, review_item, review_reviewer, seat, vote, vote_change
from tests.support.reviews import FIRST, ReviewBench

TABLES = (review, review_item, review_reviewer, seat, vote, vote_change)
A_REQUEST = RequestKey(request_id=str(uuid.UUID(int=7)), body_sha256="a" * 64)


class Killed(BaseException):
    """The process is gone."""


@contextlib.contextmanager
def killed_before(reviews: ReviewBench, count: int) -> Iterator[list[int]]:
    """Die before a statement, counted from 0; the list holds how many there were."""
    seen = [0]

    def look(*_: Any) -> None:
        seen[0] += 1
        if seen[0] == count + 1:
            raise Killed

    engine = reviews.bench.storage.engine
    sa.event.listen(engine, "before_cursor_execute", look)
    try:
        yield seen
    finally:
        sa.event.remove(engine, "before_cursor_execute", look)


def everything(reviews: ReviewBench) -> list[Any]:
    """Return every row of the subject."""
    with reviews.bench.storage.engine.connect() as connection:
        return [sorted(map(repr, connection.execute(sa.select(table)))) for table in TABLES]


@pytest.mark.parametrize("deed", ["take", "vote", "vote_after_loss", "undo", "skip", "draft", "expire", "raise"])
def test_a_deed_that_is_cut_off_anywhere_did_not_happen(reviews: ReviewBench, deed: str) -> None:
    review, anna = reviews.with_items(3, repeat_share=0.5), reviews.reviewer("anna")
    (held,) = reviews.take(anna, review)
    if deed in ("expire", "vote_after_loss"):
        reviews.expire(held)
    if deed == "vote_after_loss":
        expire_seats(reviews.house)
    given = reviews.vote(anna, held) if deed == "undo" else None
    caller = reviews.caller("UpdateReview")
    deeds: dict[str, Callable[[], Any]] = {
        "take": lambda: reviews.take(anna, review, seats=2),
        "vote": lambda: reviews.vote(anna, held, request=A_REQUEST),
        "vote_after_loss": lambda: reviews.vote(anna, held, request=A_REQUEST),
        "undo": lambda: given and reviews.undo(anna, given, request=A_REQUEST),
        "skip": lambda: reviews.skip(anna, held),
        "draft": lambda: save_draft(reviews.house, caller=anna, name=held.name, draft=Judgement(rationale="hm")),
        "expire": lambda: expire_seats(reviews.house),
        "raise": lambda: update_review(reviews.house, caller=caller, name=review.name, overlap=2, request=A_REQUEST),
    }
    before, statement = everything(reviews), 0
    while True:
        with killed_before(reviews, statement) as seen, contextlib.suppress(Killed):
            deeds[deed]()
        if seen[0] <= statement:
            break
        assert everything(reviews) == before, statement
        statement += 1
    assert statement > 3
    assert everything(reviews) != before


def test_what_was_cut_off_and_done_again_is_done_once(reviews: ReviewBench) -> None:
    review, anna = reviews.with_items(1), reviews.reviewer("anna")
    (held,) = reviews.take(anna, review)
    for _ in range(3):
        reviews.vote(anna, held, FIRST, request=A_REQUEST)
    (kept,) = reviews.ledger(review)
    for _ in range(3):
        reviews.undo(anna, kept, request=A_REQUEST)
    assert [each.state for each in reviews.ledger(review)] == [VoteState.WITHDRAWN]
    with reviews.house.storage.read() as uow:
        found = uow.seats.find_by_uid(held.uid)
    assert found is not None and found.state is SeatState.HELD

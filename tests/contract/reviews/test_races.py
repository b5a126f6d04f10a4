"""Many reviewers at once, on PostgreSQL, where they truly are at once: no place is held twice, no vote is lost."""

import collections
import concurrent.futures
import threading
import uuid
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from services.domain.errors import DomainError, SeatLost, Unavailable
from services.domain.projects import Caller
from services.domain.requests import RequestKey
from services.domain.reviews import Review, Seat, SeatState
from services.reviews.expire_seats import expire_seats
from services.reviews.take_seats import take_seats
from services.reviews.update_review import update_review
from services.storage.tables.reviews import review_item, seat
from services.storage.unit_of_work import SqlStorage
from tests.support.houses import make_bench
from tests.support.reviews import FIRST, ReviewBench, make_review_bench


@pytest.fixture
def reviews(postgresql_storage: SqlStorage, tmp_path: Any) -> ReviewBench:
    """A bench for reviews on PostgreSQL."""
    return make_review_bench(make_bench(postgresql_storage, artifacts_dir=tmp_path / "artifacts"))


def at_once(count: int, deed: Callable[[int], Any]) -> list[Any]:
    """Do something so many times at the same time; what is refused is returned."""
    barrier = threading.Barrier(count)

    def run(number: int) -> Any:
        barrier.wait()
        try:
            return deed(number)
        except DomainError as error:
            return error

    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


def check_places(reviews: ReviewBench, *, overlap: int) -> None:
    """Check that each item has as many free seats as its overlap leaves."""
    taken = sa.and_(seat.c.item_uid == review_item.c.uid, seat.c.state.in_(["HELD", "VOTED"]), ~seat.c.repeat)
    count = sa.select(sa.func.count()).select_from(seat).where(taken).scalar_subquery()
    with reviews.bench.storage.engine.connect() as connection:
        rows = connection.execute(sa.select(review_item.c.number, review_item.c.free_seats, count)).all()
    assert [row for row in rows if row[1] + row[2] != overlap] == []


@pytest.mark.parametrize("overlap", [1, 2])
def test_reviewers_who_ask_at_once_never_sit_on_the_same_place(reviews: ReviewBench, overlap: int) -> None:
    review = reviews.with_items(8, overlap=overlap)
    people = [reviews.reviewer(f"r{number:02}") for number in range(16)]
    found = at_once(16, lambda number: reviews.take(people[number], review, seats=1))
    per_item = collections.Counter(each.item.number for seats in found for each in seats)
    assert sum(per_item.values()) == min(16, 8 * overlap)
    assert max(per_item.values()) <= overlap
    check_places(reviews, overlap=overlap)


def test_the_same_reviewer_at_once_holds_no_more_than_asked_for(reviews: ReviewBench) -> None:
    review, anna = reviews.with_items(20), reviews.reviewer("anna")
    found = at_once(8, lambda _: reviews.take(anna, review, seats=2))
    assert len({each.uid for seats in found for each in seats}) == 2


def test_a_doubled_vote_is_one_vote(reviews: ReviewBench) -> None:
    review, anna = reviews.with_items(1), reviews.reviewer("anna")
    (seat,) = reviews.take(anna, review)
    key = RequestKey(request_id=str(uuid.UUID(int=7)), body_sha256="a" * 64)
    same = at_once(6, lambda number: reviews.vote(anna, seat, request=key if number % 2 else RequestKey()))
    assert len({vote.uid for vote in same}) == 1
    assert len(reviews.ledger(review)) == 1


def test_a_doubled_undo_is_one_undo(reviews: ReviewBench) -> None:
    review, anna = reviews.with_items(1), reviews.reviewer("anna")
    vote = reviews.vote(anna, reviews.take(anna, review)[0])
    found = at_once(6, lambda _: reviews.undo(anna, vote))
    assert {seat.state for seat in found} == {SeatState.HELD}
    with reviews.house.storage.read() as uow:
        assert uow.seats.find_reviewer(review.uid, reviewer=anna.api_key).votes == 0


@pytest.mark.parametrize("turn", range(6))
def test_a_lost_seat_is_won_by_one_of_the_two_who_want_it(reviews: ReviewBench, turn: int) -> None:
    review, anna, ben = reviews.with_items(1), reviews.reviewer("anna"), reviews.reviewer("ben")
    (held,) = reviews.take(anna, review)
    reviews.expire(held)
    deeds: list[Callable[[], Any]] = [lambda: reviews.vote(anna, held), lambda: reviews.take(ben, review)]
    voted, taken = at_once(2, lambda number: deeds[number]())
    assert isinstance(voted, SeatLost) == bool(taken), (turn, voted, taken)
    check_places(reviews, overlap=1)


def test_everything_at_once_leaves_the_books_in_order(reviews: ReviewBench) -> None:
    """Reviewers take, vote, undo and skip while seats expire and the overlap is raised; the counts agree at the end."""
    review = reviews.with_items(30, overlap=2, repeat_share=0.2)
    people = [reviews.reviewer(f"r{number:02}") for number in range(10)]

    def work(number: int) -> int:
        if number == 10:
            caller = reviews.caller("UpdateReview")
            update_review(reviews.house, caller=caller, name=review.name, overlap=3)
            return 0
        if number == 11:
            return sum(expire_seats(reviews.house) for _ in range(20))
        done = 0
        for turn in range(30):
            for each in _taken(reviews, people[number], review):
                if (turn + number) % 7 == 3:
                    reviews.skip(people[number], each)
                elif (turn + number) % 5 == 2:
                    reviews.expire(each)
                else:
                    done += _voted(reviews, people[number], each, undo=turn % 6 == 1)
        return done

    found = at_once(12, work)
    assert not [each for each in found if isinstance(each, Exception)]
    check_places(reviews, overlap=3)
    counting = [vote for vote in reviews.ledger(review) if vote.state.value == "SUBMITTED"]
    assert sum(found[:10]) == len(counting)
    per_item = collections.Counter(vote.item.number for vote in counting if not vote.repeat)
    assert max(per_item.values()) <= 3
    assert max(collections.Counter((v.item.number, v.reviewer, v.repeat) for v in counting).values()) == 1
    with reviews.house.storage.read() as uow:
        progress = uow.reviews.progress([review.uid], now=uow.now())[review.uid]
    assert progress.votes == sum(per_item.values())


def _taken(reviews: ReviewBench, person: Caller, review: Review) -> tuple[Seat, ...]:
    """Take seats as a tool does, which asks again when it is told to."""
    for _ in range(20):
        try:
            return reviews.take(person, review, seats=2)
        except Unavailable:
            continue
    raise AssertionError("there was never a seat")


def _voted(reviews: ReviewBench, person: Caller, each: Seat, *, undo: bool) -> int:
    try:
        vote = reviews.vote(person, each, FIRST)
    except SeatLost:
        return 0
    if undo:
        reviews.vote(person, reviews.undo(person, vote), FIRST)
    return 1


def test_waiting_reviewers_are_not_sent_away_while_an_item_is_free(reviews: ReviewBench) -> None:
    """An item that is locked for a moment is not taken: whoever finds nothing else waits for it."""
    review = reviews.with_items(1, overlap=8)
    people = [reviews.reviewer(f"r{number:02}") for number in range(8)]
    found = at_once(8, lambda number: take_seats(reviews.house, caller=people[number], name=review.name))
    assert [len(each.seats) for each in found] == [1] * 8


def test_who_has_a_seat_does_not_wait_for_the_review(reviews: ReviewBench) -> None:
    """They hold the seat's row, and the caretaker who holds the review may want it: both would wait for ever."""
    review, anna = reviews.with_items(1), reviews.reviewer("anna")
    (held,) = reviews.take(anna, review)
    reviews.expire(held)
    with reviews.house.storage.write() as uow:
        uow.reviews.lock(review.uid)
        assert [each.uid for each in reviews.take(anna, review, seats=2)] == [held.uid]

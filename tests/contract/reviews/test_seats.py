"""Seats: who sits where, for how long, and what happens when somebody leaves."""

import dataclasses
import uuid

import pytest

from services.domain.errors import InvalidField, NotFound, SeatLost, WrongState
from services.domain.judgements import Correction, Judgement, Verdict
from services.domain.requests import NO_REQUEST_KEY, RequestKey
from services.domain.reviews import Seat, SeatState
from services.reviews.expire_seats import expire_seats
from services.reviews.save_draft import save_draft
from services.reviews.take_seats import take_seats
from services.reviews.update_review import update_review
from tests.support.reviews import SECOND, ReviewBench

A_DRAFT = Judgement(rationale="I am not sure", correction=Correction(candidate=1, text="better"))


def test_seats_come_in_the_order_of_the_items(reviews: ReviewBench) -> None:
    review, anna = reviews.with_items(4), reviews.reviewer("anna")
    seats = reviews.take(anna, review, seats=3)
    assert [seat.item.number for seat in seats] == [1, 2, 3]
    assert [seat.prompt.text for seat in seats] == ["prompt 1", "prompt 2", "prompt 3"]
    assert {frozenset(seat.candidates) for seat in seats[:1]} == {frozenset({"answer 0 to 1", "answer 1 to 1"})}


def test_taking_again_gives_the_same_seats(reviews: ReviewBench) -> None:
    review, anna = reviews.with_items(9), reviews.reviewer("anna")
    first = reviews.take(anna, review, seats=3)
    again = reviews.take(anna, review, seats=4)
    assert [seat.uid for seat in again[:3]] == [seat.uid for seat in first]
    assert [seat.candidates for seat in again[:3]] == [seat.candidates for seat in first]
    assert all(seat.expire_time >= before.expire_time for seat, before in zip(again, first, strict=False))


def test_fewer_seats_than_are_held_are_the_first_of_them(reviews: ReviewBench) -> None:
    review, anna = reviews.with_items(9), reviews.reviewer("anna")
    first = reviews.take(anna, review, seats=3)
    assert [seat.uid for seat in reviews.take(anna, review)] == [first[0].uid]


@pytest.mark.parametrize("overlap", [1, 2, 3])
def test_no_more_seats_than_the_overlap_and_each_for_another_reviewer(reviews: ReviewBench, overlap: int) -> None:
    review = reviews.with_items(1, overlap=overlap)
    people = [reviews.reviewer(name) for name in ("anna", "ben", "cleo", "dan")]
    got = [len(reviews.take(person, review, seats=2)) for person in people]
    assert got == [1] * overlap + [0] * (4 - overlap)


def test_nothing_is_left_after_every_vote(reviews: ReviewBench) -> None:
    review, anna = reviews.with_items(3), reviews.reviewer("anna")
    assert len(reviews.vote_on_all(anna, review)) == 3
    taken = take_seats(reviews.house, caller=anna, name=review.name)
    assert (taken.seats, taken.items_left) == ((), 0)


def test_what_is_left_is_counted_with_what_is_held(reviews: ReviewBench) -> None:
    review, anna, ben = reviews.with_items(5, overlap=2), reviews.reviewer("anna"), reviews.reviewer("ben")
    for _ in range(2):
        reviews.vote(anna, reviews.take(anna, review)[0])
    assert take_seats(reviews.house, caller=anna, name=review.name, seats=2).items_left == 3
    assert take_seats(reviews.house, caller=ben, name=review.name, seats=2).items_left == 5


def test_items_that_are_drawn_later_are_found(reviews: ReviewBench) -> None:
    review, anna = reviews.with_items(1), reviews.reviewer("anna")
    reviews.vote_on_all(anna, review)
    reviews.draw(review, 2, first=2)
    assert [seat.item.number for seat in reviews.take(anna, review, seats=5)] == [2, 3]


def test_a_skipped_item_comes_again_at_the_end_with_its_draft_under_the_same_name(reviews: ReviewBench) -> None:
    review, anna = reviews.with_items(3), reviews.reviewer("anna")
    seat = reviews.take(anna, review)[0]
    save_draft(reviews.house, caller=anna, name=seat.name, draft=A_DRAFT)
    reviews.skip(anna, seat)
    reviews.skip(anna, seat)
    seen: list[Seat] = []
    while len(seen) < 3:
        (next_one,) = reviews.take(anna, review)
        seen.append(next_one)
        reviews.vote(anna, next_one)
    assert [each.item.number for each in seen] == [2, 3, 1]
    assert (seen[-1].uid, seen[-1].draft, seen[-1].candidates) == (seat.uid, A_DRAFT, seat.candidates)


def test_what_one_skips_another_can_have(reviews: ReviewBench) -> None:
    review, anna, ben = reviews.with_items(1), reviews.reviewer("anna"), reviews.reviewer("ben")
    reviews.skip(anna, reviews.take(anna, review)[0])
    assert len(reviews.take(ben, review)) == 1
    assert reviews.take(anna, review) == ()


def test_a_draft_survives_leaving_and_coming_back(reviews: ReviewBench) -> None:
    review, anna = reviews.with_items(3), reviews.reviewer("anna")
    seat = reviews.take(anna, review, seats=2)[1]
    saved = save_draft(reviews.house, caller=anna, name=seat.name, draft=A_DRAFT)
    assert saved.draft == A_DRAFT
    reviews.expire(*reviews.take(anna, review, seats=2))
    assert expire_seats(reviews.house) == 2
    back = reviews.take(anna, review, seats=2)
    assert [each.uid for each in back] == [each.uid for each in reviews.take(anna, review, seats=2)]
    assert {each.uid: each.draft for each in back}[seat.uid] == A_DRAFT


def test_an_empty_draft_removes_what_was_saved(reviews: ReviewBench) -> None:
    review, anna = reviews.with_items(1), reviews.reviewer("anna")
    seat = reviews.take(anna, review)[0]
    save_draft(reviews.house, caller=anna, name=seat.name, draft=A_DRAFT)
    save_draft(reviews.house, caller=anna, name=seat.name, draft=Judgement())
    assert reviews.take(anna, review)[0].draft is None


def test_a_draft_prolongs_the_lease(reviews: ReviewBench) -> None:
    review, anna = reviews.with_items(1), reviews.reviewer("anna")
    seat = reviews.take(anna, review)[0]
    reviews.expire(seat)
    save_draft(reviews.house, caller=anna, name=seat.name, draft=A_DRAFT)
    assert expire_seats(reviews.house) == 0


def test_a_draft_that_cannot_become_a_judgement_is_refused(reviews: ReviewBench) -> None:
    review, anna = reviews.with_items(1), reviews.reviewer("anna")
    seat = reviews.take(anna, review)[0]
    with pytest.raises(InvalidField, match="draft.rationale"):
        save_draft(reviews.house, caller=anna, name=seat.name, draft=Judgement(rationale="\x07"))


def test_an_expired_seat_goes_to_whoever_asks_and_its_reviewer_is_told(reviews: ReviewBench) -> None:
    review, anna, ben = reviews.with_items(1), reviews.reviewer("anna"), reviews.reviewer("ben")
    seat = reviews.take(anna, review)[0]
    assert reviews.take(ben, review) == ()
    reviews.expire(seat)
    (other,) = reviews.take(ben, review)
    for attempt in (
        lambda: reviews.vote(anna, seat),
        lambda: save_draft(reviews.house, caller=anna, name=seat.name, draft=A_DRAFT),
    ):
        with pytest.raises(SeatLost, match="take a new seat"):
            attempt()
    assert reviews.take(anna, review) == ()
    reviews.vote(ben, other)
    assert [vote.reviewer for vote in reviews.ledger(review)] == [ben.api_key]


def test_a_seat_that_expired_is_good_still_while_nobody_has_it(reviews: ReviewBench) -> None:
    review, anna = reviews.with_items(2), reviews.reviewer("anna")
    first, second = reviews.take(anna, review, seats=2)
    reviews.expire(first, second)
    reviews.vote(anna, first)
    assert expire_seats(reviews.house) == 1
    reviews.vote(anna, second)
    assert len(reviews.ledger(review)) == 2
    assert reviews.take(anna, review) == ()


def test_a_skipped_seat_can_still_be_voted_from_while_nobody_has_it(reviews: ReviewBench) -> None:
    review, anna, ben = reviews.with_items(2), reviews.reviewer("anna"), reviews.reviewer("ben")
    first, second = reviews.take(anna, review, seats=2)
    reviews.skip(anna, first)
    reviews.skip(anna, second)
    reviews.vote(anna, first)
    assert [seat.item.number for seat in reviews.take(ben, review, seats=2)] == [2]
    with pytest.raises(SeatLost):
        reviews.vote(anna, second)


def test_the_caretaker_takes_away_what_is_over_and_nothing_else(reviews: ReviewBench) -> None:
    review, anna, ben = reviews.with_items(3, overlap=2), reviews.reviewer("anna"), reviews.reviewer("ben")
    over, kept = reviews.take(anna, review, seats=2)
    others = reviews.take(ben, review, seats=2)
    reviews.expire(over)
    assert expire_seats(reviews.house) == 1
    assert expire_seats(reviews.house) == 0
    with reviews.house.storage.read() as uow:
        states = {seat.uid: uow.seats.find_by_uid(seat.uid) for seat in (over, kept, *others)}
    assert [seat.state for seat in states.values() if seat] == [SeatState.LOST] + [SeatState.HELD] * 3


def test_the_overlap_can_be_raised_and_full_items_come_back(reviews: ReviewBench) -> None:
    review, anna, ben = reviews.with_items(3), reviews.reviewer("anna"), reviews.reviewer("ben")
    reviews.vote_on_all(anna, review)
    assert reviews.take(ben, review) == ()
    raised = update_review(reviews.house, caller=reviews.caller("UpdateReview"), name=review.name, overlap=2)
    assert raised.overlap == 2
    assert reviews.take(anna, review) == ()
    assert len(reviews.vote_on_all(ben, review)) == 3
    assert reviews.take(reviews.reviewer("cleo"), review) == ()


def test_the_overlap_cannot_be_lowered(reviews: ReviewBench) -> None:
    review = reviews.with_items(1, overlap=3)
    with pytest.raises(WrongState, match="overlap is 3 and can only be raised"):
        update_review(reviews.house, caller=reviews.caller("UpdateReview"), name=review.name, overlap=2)


def test_a_raise_that_is_repeated_after_a_higher_one_changes_nothing(reviews: ReviewBench) -> None:
    review, caller = reviews.with_items(1), reviews.caller("UpdateReview")
    request = RequestKey(request_id=str(uuid.UUID(int=7)), body_sha256="a" * 64)
    for overlap, key in ((2, request), (3, NO_REQUEST_KEY)):
        update_review(reviews.house, caller=caller, name=review.name, overlap=overlap, request=key)
    again = update_review(reviews.house, caller=caller, name=review.name, overlap=2, request=request)
    assert again.overlap == 3


def test_a_closed_review_gives_no_seats_and_takes_no_votes(reviews: ReviewBench) -> None:
    review, anna = reviews.with_items(2), reviews.reviewer("anna")
    seat, other = reviews.take(anna, review, seats=2)
    vote = reviews.vote(anna, other)
    update_review(reviews.house, caller=reviews.caller("UpdateReview"), name=review.name, closed=True)
    for attempt in (
        lambda: reviews.take(anna, review),
        lambda: reviews.vote(anna, seat),
        lambda: reviews.undo(anna, vote),
        lambda: save_draft(reviews.house, caller=anna, name=seat.name, draft=A_DRAFT),
    ):
        with pytest.raises(WrongState, match="is closed"):
            attempt()
    update_review(reviews.house, caller=reviews.caller("UpdateReview"), name=review.name, closed=False)
    reviews.vote(anna, seat)


def test_new_guidelines_hold_for_the_next_look_and_votes_keep_what_was_seen(reviews: ReviewBench) -> None:
    review, anna = reviews.with_items(2, guidelines="be kind"), reviews.reviewer("anna")
    (seat,) = reviews.take(anna, review)
    changed = update_review(
        reviews.house, caller=reviews.caller("UpdateReview"), name=review.name, guidelines="be strict"
    )
    assert changed.guidelines_version == 2
    assert reviews.vote(anna, seat).guidelines_version == 1
    assert reviews.take(anna, review)[0].guidelines_version == 2
    with reviews.house.storage.read() as uow:
        texts = [uow.reviews.guidelines(review.uid, version=version) for version in (1, 2, 3)]
    assert texts == ["be kind", "be strict", None]


@pytest.mark.parametrize("seats", [0, -1, 11])
def test_as_many_seats_as_there_may_be(reviews: ReviewBench, seats: int) -> None:
    review = reviews.with_items(1)
    with pytest.raises(InvalidField, match="must be 1 to 10"):
        reviews.take(reviews.reviewer("anna"), review, seats=seats)


def test_a_review_for_others_is_not_there(reviews: ReviewBench) -> None:
    anna, ben = reviews.reviewer("anna"), reviews.reviewer("ben")
    review = reviews.create(reviewers=(anna.api_key,))
    reviews.draw(review, 1)
    (seat,) = reviews.take(anna, review)
    for attempt in (
        lambda: reviews.take(ben, review),
        lambda: reviews.vote(ben, seat),
        lambda: reviews.skip(ben, seat),
        lambda: save_draft(reviews.house, caller=ben, name=seat.name, draft=A_DRAFT),
    ):
        with pytest.raises(NotFound, match="does not exist in your project"):
            attempt()
    stranger = dataclasses.replace(seat, uid="00000000-0000-4000-8000-000000000000")
    with pytest.raises(NotFound):
        reviews.vote(anna, stranger)


def test_nobody_sits_on_anothers_seat(reviews: ReviewBench) -> None:
    review, anna, ben = reviews.with_items(1, overlap=2), reviews.reviewer("anna"), reviews.reviewer("ben")
    (seat,) = reviews.take(anna, review)
    with pytest.raises(NotFound):
        reviews.vote(ben, seat)
    vote = reviews.vote(anna, seat, SECOND)
    with pytest.raises(NotFound):
        reviews.undo(ben, vote)


def test_the_order_is_by_chance_and_stays(reviews: ReviewBench) -> None:
    review, anna = reviews.with_items(60), reviews.reviewer("anna")
    orders = []
    for _ in range(60):
        (seat,) = reviews.take(anna, review)
        orders.append(seat.shown_order)
        reviews.vote(anna, seat, Judgement(verdict=Verdict.EQUAL))
    assert 15 < orders.count((0, 1)) < 45
    assert orders.count((0, 1)) + orders.count((1, 0)) == 60


def test_a_reviewer_who_is_far_in_the_queue_is_remembered_there(reviews: ReviewBench) -> None:
    """And what becomes free behind them is found all the same, for it moves to the end."""
    review, anna, ben = reviews.with_items(120, overlap=2), reviews.reviewer("anna"), reviews.reviewer("ben")
    (early,) = reviews.take(ben, review)
    for _ in range(100):
        reviews.vote(anna, reviews.take(anna, review)[0])
    with reviews.house.storage.read() as uow:
        passed = uow.seats.find_reviewer(review.uid, reviewer=anna.api_key).passed_position
    assert 40 < passed <= 100
    reviews.skip(ben, early)
    cleo = reviews.reviewer("cleo")
    assert len(reviews.vote_on_all(cleo, review)) == 120
    assert len(reviews.vote_on_all(anna, review)) == 20
    assert reviews.take(ben, review) == ()

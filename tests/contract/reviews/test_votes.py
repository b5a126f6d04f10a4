"""Votes: recorded once, shown blind, taken back, and never changed."""

import dataclasses
import uuid

import pytest
import sqlalchemy as sa

from services.domain.errors import InvalidField, RequestIdReused, WrongState
from services.domain.judgements import Correction, DiscardReason, Judgement, Verdict
from services.domain.pages import PageRequest
from services.domain.requests import RequestKey
from services.domain.reviews import VoteState
from services.reviews.get_review import get_review
from services.reviews.list_own_votes import list_own_votes
from services.storage.tables.reviews import vote, vote_change
from tests.support.reviews import FIRST, SECOND, ReviewBench

A_REQUEST = RequestKey(request_id=str(uuid.UUID(int=7)), body_sha256="a" * 64)


def test_a_vote_is_kept_in_the_order_of_the_item_and_shown_in_that_of_the_seat(reviews: ReviewBench) -> None:
    review, anna = reviews.with_items(12), reviews.reviewer("anna")
    for _ in range(12):
        (seat,) = reviews.take(anna, review)
        judgement = dataclasses.replace(SECOND, correction=Correction(candidate=0, text="better"))
        shown = reviews.vote(anna, seat, judgement)
        assert shown.judgement == judgement
        assert tuple(each.text for each in shown.candidates) == seat.candidates
        kept = reviews.ledger(review)[-1]
        assert kept.candidates[kept.judgement.preferred or 0].text == seat.candidates[1]
        assert kept.judgement.correction is not None
        assert kept.candidates[kept.judgement.correction.candidate].text == seat.candidates[0]
        assert kept.shown_order == seat.shown_order


def test_reviewers_see_neither_models_nor_items_nor_the_votes_of_others(reviews: ReviewBench) -> None:
    review, anna, ben = reviews.with_items(1, overlap=2), reviews.reviewer("anna"), reviews.reviewer("ben")
    shown = reviews.vote(anna, reviews.take(anna, review)[0])
    (seat,) = reviews.take(ben, review)
    reviews.vote(ben, seat)
    (own,), _ = list_own_votes(reviews.house, caller=ben, parent=review.name, page=PageRequest())
    for each in (shown, own):
        assert [candidate.model_version for candidate in each.candidates] == ["", ""]
        assert [candidate.seed for candidate in each.candidates] == [None, None]
        assert (each.item.name, each.shown_order) == ("", ())
    assert own.reviewer == ben.api_key


def test_a_repeated_request_is_the_same_vote(reviews: ReviewBench) -> None:
    review, anna = reviews.with_items(2), reviews.reviewer("anna")
    (seat,) = reviews.take(anna, review)
    votes = [reviews.vote(anna, seat, request=A_REQUEST) for _ in range(3)]
    assert len({each.uid for each in votes}) == 1
    assert len(reviews.ledger(review)) == 1
    with pytest.raises(RequestIdReused):
        reviews.vote(anna, seat, SECOND, request=dataclasses.replace(A_REQUEST, body_sha256="b" * 64))


def test_a_request_repeated_after_an_undo_returns_the_withdrawn_vote(reviews: ReviewBench) -> None:
    review, anna = reviews.with_items(1), reviews.reviewer("anna")
    (seat,) = reviews.take(anna, review)
    first = reviews.vote(anna, seat, request=A_REQUEST)
    reviews.undo(anna, first)
    again = reviews.vote(anna, seat, request=A_REQUEST)
    assert (again.uid, again.state) == (first.uid, VoteState.WITHDRAWN)
    assert len(reviews.ledger(review)) == 1


def test_another_reviewers_request_id_gives_nothing_away(reviews: ReviewBench) -> None:
    review, anna, ben = reviews.with_items(1, overlap=2), reviews.reviewer("anna"), reviews.reviewer("ben")
    reviews.vote(anna, reviews.take(anna, review)[0], request=A_REQUEST)
    (seat,) = reviews.take(ben, review)
    with pytest.raises(RequestIdReused):
        reviews.vote(ben, seat, request=dataclasses.replace(A_REQUEST, body_sha256="b" * 64))


def test_the_same_judgement_after_a_lost_answer_is_the_same_vote(reviews: ReviewBench) -> None:
    review, anna = reviews.with_items(1), reviews.reviewer("anna")
    (seat,) = reviews.take(anna, review)
    first = reviews.vote(anna, seat)
    assert reviews.vote(anna, seat).uid == first.uid
    with pytest.raises(WrongState, match="undo"):
        reviews.vote(anna, seat, SECOND)
    assert len(reviews.ledger(review)) == 1


def test_undo_gives_the_seat_back_with_the_vote_as_its_draft(reviews: ReviewBench) -> None:
    review, anna, ben = reviews.with_items(2, overlap=2), reviews.reviewer("anna"), reviews.reviewer("ben")
    (seat,) = reviews.take(anna, review)
    given = reviews.vote(anna, seat)
    reviews.vote_on_all(ben, review)
    back = reviews.undo(anna, given)
    assert (back.uid, back.draft, back.candidates) == (seat.uid, FIRST, seat.candidates)
    assert reviews.take(anna, review)[0].uid == seat.uid
    second = reviews.vote(anna, back, SECOND)
    assert second.uid != given.uid
    states = [each.state for each in reviews.ledger(review) if each.reviewer == anna.api_key]
    assert states == [VoteState.WITHDRAWN, VoteState.SUBMITTED]


def test_undo_keeps_the_place_so_that_the_overlap_is_never_overshot(reviews: ReviewBench) -> None:
    review, anna, ben = reviews.with_items(1), reviews.reviewer("anna"), reviews.reviewer("ben")
    given = reviews.vote(anna, reviews.take(anna, review)[0])
    reviews.undo(anna, given)
    assert reviews.take(ben, review) == ()


def test_undoing_twice_is_undoing_once(reviews: ReviewBench) -> None:
    review, anna = reviews.with_items(1), reviews.reviewer("anna")
    given = reviews.vote(anna, reviews.take(anna, review)[0])
    first = reviews.undo(anna, given, request=A_REQUEST)
    assert reviews.undo(anna, given, request=A_REQUEST).uid == first.uid
    assert reviews.undo(anna, given).uid == first.uid
    reviews.vote(anna, first, SECOND)
    with pytest.raises(WrongState, match="newer vote"):
        reviews.undo(anna, given)


def test_a_retracted_vote_cannot_be_undone(reviews: ReviewBench) -> None:
    review, anna = reviews.with_items(1), reviews.reviewer("anna")
    given = reviews.vote(anna, reviews.take(anna, review)[0])
    with reviews.house.storage.write() as uow:
        now = uow.now()
        assert uow.votes.change(given.uid, state=VoteState.RETRACTED, actor="owner", reason="spam", time=now)
        assert not uow.votes.change(given.uid, state=VoteState.RETRACTED, actor="owner", reason="twice", time=now)
        uow.commit()
    with pytest.raises(WrongState, match="retracted"):
        reviews.undo(anna, given)
    (kept,) = reviews.ledger(review)
    assert (kept.state, kept.retraction_reason) == (VoteState.RETRACTED, "spam")
    progress = get_review(reviews.house, caller=reviews.bench.caller, name=review.name).progress
    assert progress is not None and progress.votes == 0


def test_a_discard_is_a_vote_that_does_not_count(reviews: ReviewBench) -> None:
    review, anna = reviews.with_items(2), reviews.reviewer("anna")
    (seat,) = reviews.take(anna, review)
    given = reviews.vote(anna, seat, Judgement(discard=DiscardReason.BAD_PROMPT, rationale="no question"))
    assert given.state is VoteState.DISCARDED
    progress = get_review(reviews.house, caller=reviews.bench.caller, name=review.name).progress
    assert progress is not None
    assert (progress.votes, progress.votes_wanted, progress.items_done) == (0, 1, 1)
    assert reviews.undo(anna, given).draft == Judgement(discard=DiscardReason.BAD_PROMPT, rationale="no question")


@pytest.mark.parametrize(
    ("judgement", "field"),
    [
        (Judgement(), "judgement.verdict"),
        (Judgement(rating=5), "judgement.rating"),
        (Judgement(verdict=Verdict.EQUAL, rationale="\x1b[31m"), "judgement.rationale"),
        (Judgement(verdict=Verdict.EQUAL, rationale="x" * 10_001), "judgement.rationale"),
        (Judgement(verdict=Verdict.EQUAL, rubric={"helpful": 5}), "judgement.rubric"),
    ],
)
def test_a_judgement_that_the_review_does_not_take_leaves_nothing_behind(
    reviews: ReviewBench, judgement: Judgement, field: str
) -> None:
    review, anna = reviews.with_items(1), reviews.reviewer("anna")
    (seat,) = reviews.take(anna, review)
    with pytest.raises(InvalidField, match=field):
        reviews.vote(anna, seat, judgement, request=A_REQUEST)
    assert reviews.ledger(review) == []
    reviews.vote(anna, seat, request=A_REQUEST)


def test_a_correction_equal_to_what_was_shown_is_refused(reviews: ReviewBench) -> None:
    review, anna = reviews.with_items(1), reviews.reviewer("anna")
    (seat,) = reviews.take(anna, review)
    for candidate in (0, 1):
        same = Correction(candidate=candidate, text=seat.candidates[candidate])
        with pytest.raises(InvalidField, match="leave `correction` out"):
            reviews.vote(anna, seat, dataclasses.replace(FIRST, correction=same))


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf")])
def test_a_time_that_is_none_is_refused(reviews: ReviewBench, seconds: float) -> None:
    review, anna = reviews.with_items(1), reviews.reviewer("anna")
    (seat,) = reviews.take(anna, review)
    with pytest.raises(InvalidField, match="active_seconds"):
        reviews.vote(anna, seat, active_seconds=seconds)


def test_what_was_measured_stays_with_the_vote(reviews: ReviewBench) -> None:
    review, anna = reviews.with_items(1), reviews.reviewer("anna")
    (seat,) = reviews.take(anna, review)
    reviews.vote(anna, seat, active_seconds=1e9, scripted=True)
    (kept,) = reviews.ledger(review)
    assert (kept.active_seconds, kept.scripted, kept.source, kept.repeat) == (86400.0, True, "review", False)


def test_own_votes_come_newest_first_in_pages(reviews: ReviewBench) -> None:
    review, anna, ben = reviews.with_items(5, overlap=2), reviews.reviewer("anna"), reviews.reviewer("ben")
    reviews.vote_on_all(ben, review)
    given = [each.uid for each in reviews.vote_on_all(anna, review)]
    found, token = [], ""
    while True:
        page = PageRequest(size=2, token=token)
        votes, token = list_own_votes(reviews.house, caller=anna, parent=review.name, page=page)
        found += [each.uid for each in votes]
        if not token:
            break
    assert found == given[::-1]


def test_the_ledger_cannot_be_changed(reviews: ReviewBench) -> None:
    review, anna = reviews.with_items(1), reviews.reviewer("anna")
    given = reviews.vote(anna, reviews.take(anna, review)[0])
    reviews.undo(anna, given)
    for statement in (
        sa.update(vote).values(reviewer="somebody"),
        sa.delete(vote),
        sa.update(vote_change).values(reason="changed"),
        sa.delete(vote_change),
    ):
        refused = (sa.exc.DBAPIError,)
        with (
            pytest.raises(refused, match="never changed"),
            reviews.bench.storage.engine.begin() as connection,
        ):
            connection.execute(statement)


def test_texts_with_every_character_come_back_as_they_were(reviews: ReviewBench) -> None:
    review, anna = reviews.create(), reviews.reviewer("anna")
    texts = ("a\x00b \ufffd \U0001f600\u202e", "tab\tline\r\n\x1b[0m")
    reviews.draw(review, 1, texts=texts)
    (seat,) = reviews.take(anna, review)
    assert sorted(seat.candidates) == sorted(texts)
    reviews.vote(anna, seat, dataclasses.replace(FIRST, rationale='it\'s "quoted"; DROP TABLE vote; -- \\ % {}'))
    assert "DROP TABLE" in reviews.ledger(review)[0].judgement.rationale

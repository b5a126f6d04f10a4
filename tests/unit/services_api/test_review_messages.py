"""Judgements, votes, seats and reviews as messages, and back."""

import dataclasses
import datetime
from typing import Any

import pytest

from services.api.review_messages import judgement_of, open_review_message, vote_message
from services.api.translation import from_message, to_message
from services.domain.answers import Candidate, ChatMessage, Prompt
from services.domain.drawing import Checker, DrawOptions
from services.domain.judgements import Correction, DiscardReason, Judgement, ReviewKind, Thumb, Verdict
from services.domain.review_items import blind
from services.domain.review_resolution import ReviewDraft
from services.domain.reviews import (
    OpenReview,
    Review,
    ReviewItem,
    ReviewProgress,
    RubricQuestion,
    Seat,
    SeatState,
    Vote,
    VoteState,
)
from services.domain.work import DrawSpec
from tutelage.v1 import feedback_pb2, reviews_pb2, training_pb2

A_TIME = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
AN_ITEM = ReviewItem(
    uid="item",
    project_id="own",
    prompt=Prompt(messages=(ChatMessage(role="user", content="Why?"),)),
    candidates=(Candidate(text="a", model_version="m1", seed=0, logprob=-1.0), Candidate(text="b", score=0.5)),
    review_uid="review",
    review_id="helpfulness",
    number=7,
)
A_REVIEW = Review(
    project_id="own",
    id="helpfulness",
    uid="review",
    kind=ReviewKind.PAIR,
    draw=DrawSpec(
        models=("projects/own/models/chat/versions/1",),
        prompts="projects/own/datasets/prompts",
        samples=2,
        options=DrawOptions(max_tokens=10, temperature=0.5, top_k=0, top_p=1.0, seed=7),
        prompts_max=100,
        checker=Checker(name="contains", argument="x"),
    ),
    job_uid="job",
    job_id="draw-1",
    creator="projects/own/apiKeys/owner",
    create_time=A_TIME,
    update_time=A_TIME,
    rubric=(RubricQuestion(key="helpful", description="Does it help?"),),
    reviewers=("projects/own/apiKeys/anna",),
    progress=ReviewProgress(items=3, votes=2),
)
A_VOTE = Vote(
    uid="vote",
    item=AN_ITEM,
    reviewer="projects/own/apiKeys/anna",
    state=VoteState.SUBMITTED,
    judgement=Judgement(verdict=Verdict.PREFERS, preferred=1),
    shown_order=(1, 0),
    create_time=A_TIME,
    seat_uid="seat",
)


@pytest.mark.parametrize(
    "judgement",
    [
        Judgement(),
        Judgement(verdict=Verdict.PREFERS, preferred=0, strength=4, rubric={"helpful": 9}, rationale="clear"),
        Judgement(verdict=Verdict.BOTH_BAD, correction=Correction(candidate=1, text="better")),
        Judgement(thumb=Thumb.DOWN, rating=1),
        Judgement(ranking=(2, 0, 1)),
        Judgement(discard=DiscardReason.NOT_MY_EXPERTISE),
    ],
)
def test_a_judgement_goes_there_and_back(judgement: Judgement) -> None:
    assert judgement_of(to_message(judgement, feedback_pb2.Judgement)) == judgement


def test_a_vote_names_its_item_and_tells_what_was_answered() -> None:
    message = vote_message(A_VOTE)
    assert (message.name, message.item) == ("projects/own/votes/vote", "projects/own/reviews/helpfulness/items/7")
    assert [each.model_version for each in message.candidates] == ["m1", ""]
    assert list(message.shown_order) == [1, 0]
    assert message.judgement.preferred == 1
    assert unset(message, feedback_pb2.Vote) == {"active_seconds", "guidelines_version", "scripted", *_ENDS}


def test_a_blind_vote_tells_a_reviewer_nothing_more_than_they_saw() -> None:
    message = vote_message(blind(A_VOTE))
    assert [each.text for each in message.candidates] == ["b", "a"]
    assert message.judgement.preferred == 0
    assert "m1" not in str(message) and not message.item and not message.shown_order
    assert not any(each.HasField("seed") or each.HasField("logprob") for each in message.candidates)


def test_a_seat_shows_texts_in_the_order_of_its_reviewer() -> None:
    seat = Seat(
        uid="seat",
        item=AN_ITEM,
        reviewer="projects/own/apiKeys/anna",
        state=SeatState.HELD,
        shown_order=(1, 0),
        take_time=A_TIME,
        expire_time=A_TIME,
        guidelines_version=2,
        draft=Judgement(rationale="hm"),
    )
    message = to_message(seat, reviews_pb2.Seat)
    assert message.name == "projects/own/reviews/helpfulness/seats/seat"
    assert list(message.candidates) == ["b", "a"]
    assert message.prompt.messages[0].content == "Why?"
    assert "m1" not in str(message)
    assert unset(message, reviews_pb2.Seat) == set()


def test_a_review_is_told_whole() -> None:
    message = to_message(dataclasses.replace(A_REVIEW, guidelines="kind", repeat_share=0.1), reviews_pb2.Review)
    assert unset(message, reviews_pb2.Review) == {"duel"}
    assert message.draw.checker == training_pb2.Checker(name="contains", argument="x")
    assert message.state == reviews_pb2.REVIEW_STATE_DRAWING
    assert message.job == "projects/own/jobs/draw-1"
    duel = to_message(dataclasses.replace(A_REVIEW, duel_id="match"), reviews_pb2.Review)
    assert duel.duel == "projects/own/duels/match"


def test_a_reviewer_is_told_nothing_of_models() -> None:
    message = open_review_message(OpenReview(review=A_REVIEW, items_left=3, votes=1))
    assert (message.items_left, message.votes, message.drawing) == (3, 1, True)
    assert "chat" not in str(message)


def test_a_draft_of_a_review_is_read() -> None:
    asked = reviews_pb2.Review(
        kind=reviews_pb2.REVIEW_KIND_SINGLE,
        draw=training_pb2.DrawSpec(models=["projects/-/models/chat"], prompts="projects/-/datasets/prompts"),
        overlap=2,
        rubric=[reviews_pb2.RubricQuestion(key="helpful")],
    )
    draft = from_message(asked, ReviewDraft)
    assert (draft.kind, draft.overlap, draft.rubric) == (ReviewKind.SINGLE, 2, (RubricQuestion(key="helpful"),))
    assert draft.draw.samples is None and draft.draw.models == ("projects/-/models/chat",)
    assert from_message(reviews_pb2.Review(), ReviewDraft) == ReviewDraft()


_ENDS = ("retraction_reason", "end_user")


def unset(message: Any, kind: Any) -> set[str]:
    """Return the fields of a message that hold nothing."""
    return {field.name for field in kind.DESCRIPTOR.fields} - {field.name for field, _ in message.ListFields()}

"""Votes, feedback sets and retractions tell the same as their messages, field by field."""

import dataclasses
import datetime

import pytest
from google.protobuf.message import Message

from services.api.review_messages import vote_message
from services.api.translation import from_message, to_message
from services.domain.answers import Candidate, ChatMessage, Prompt
from services.domain.conflicts import ConflictPolicy
from services.domain.datasets import SignalCounts
from services.domain.feedback_exports import FeedbackFormat
from services.domain.feedback_sets import FeedbackSet, FreezeSettings
from services.domain.judgements import Correction, Judgement, Thumb
from services.domain.reviews import ReviewItem, Vote, VoteState
from services.feedback.freeze_feedback import FreezeDraft
from services.feedback.retract_vote import Retraction
from services.feedback.submit_feedback import FeedbackDraft
from tests.unit.services_api.test_translation import attributes
from tutelage.v1 import feedback_pb2 as pb

NOON = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.UTC)
TOLD = [
    (FeedbackSet, pb.FeedbackSet),
    (SignalCounts, pb.SignalCounts),
    (Vote, pb.Vote),
    (Retraction, pb.RetractVoteResponse),
]
READ = [(FeedbackDraft, pb.SubmitFeedbackRequest), (FreezeDraft, pb.FreezeFeedbackRequest)]


@pytest.mark.parametrize(("noun", "message"), TOLD, ids=lambda kind: kind.__name__)
def test_every_field_of_a_message_is_told_by_its_noun(noun: type, message: type[Message]) -> None:
    assert {field.name for field in message.DESCRIPTOR.fields} - attributes(noun) == set()


@pytest.mark.parametrize(("noun", "message"), READ, ids=lambda kind: kind.__name__)
def test_every_field_of_a_request_has_its_place_in_the_draft(noun: type, message: type[Message]) -> None:
    fields = {field.name for field in message.DESCRIPTOR.fields} - {"request_id"}
    assert fields == {field.name for field in dataclasses.fields(noun)}


@pytest.mark.parametrize(
    ("members", "numbers"), [(ConflictPolicy, pb.ConflictPolicy), (FeedbackFormat, pb.FeedbackFormat)]
)
def test_an_enum_has_the_same_words_on_both_sides(members: type, numbers: type) -> None:
    words = {name.split("_", 2)[2] for name in numbers.keys()}  # type: ignore[attr-defined]  # noqa: SIM118
    assert words - {"UNSPECIFIED"} == {member.name for member in members}  # type: ignore[attr-defined]


def test_feedback_is_read_as_it_was_sent() -> None:
    request = pb.SubmitFeedbackRequest(
        parent="projects/-",
        prompt=pb.Prompt(messages=[pb.ChatMessage(role="user", content="hello")]),
        candidates=[pb.Candidate(text="bleu")],
        judgement=pb.Judgement(thumb=pb.THUMB_DOWN, correction=pb.Correction(text="blue"), rationale="a letter"),
        end_user="u1",
    )
    assert from_message(request, FeedbackDraft) == FeedbackDraft(
        parent="projects/-",
        prompt=Prompt(messages=(ChatMessage(role="user", content="hello"),)),
        candidates=(Candidate(text="bleu"),),
        judgement=Judgement(thumb=Thumb.DOWN, correction=Correction(text="blue"), rationale="a letter"),
        end_user="u1",
    )


def test_what_is_left_out_of_a_freeze_is_left_to_the_service() -> None:
    draft = from_message(pb.FreezeFeedbackRequest(parent="projects/-", reviews=["r"]), FreezeDraft)
    assert draft == FreezeDraft(parent="projects/-", reviews=("r",))
    assert draft.settings == FreezeSettings()
    nothing = from_message(pb.FreezeFeedbackRequest(validation_share=0.0, bad_rating=1), FreezeDraft).settings
    assert (nothing.validation_share, nothing.scale.bad_rating) == (0.0, 1)


def test_a_vote_of_an_application_has_no_item() -> None:
    item = ReviewItem(uid="i", project_id="p", prompt=Prompt(text="a"), candidates=(Candidate(text="b", seed=0),))
    vote = Vote(
        uid="v",
        item=item,
        reviewer="projects/p/apiKeys/k",
        state=VoteState.RETRACTED,
        judgement=Judgement(rating=3),
        shown_order=(0,),
        create_time=NOON,
        source="app",
        retraction_reason="a minor",
    )
    message = vote_message(vote)
    assert (message.name, message.item, message.state) == ("projects/p/votes/v", "", pb.VOTE_STATE_RETRACTED)
    assert (message.prompt.text, message.candidates[0].seed, message.judgement.rating) == ("a", 0, 3)
    assert message.candidates[0].HasField("seed") and not message.judgement.HasField("preferred")
    told = Retraction(vote=vote, feedback_sets=("s",), model_versions=(), open_jobs=("j",))
    assert list(to_message(told, pb.RetractVoteResponse, vote=message).open_jobs) == ["j"]

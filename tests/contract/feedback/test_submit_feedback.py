"""What applications send: an item and a vote at once, well or not at all."""

import dataclasses
from typing import Any

import pytest
import sqlalchemy as sa

from services.domain import pages
from services.domain.answers import Candidate, ChatMessage, Prompt
from services.domain.errors import InvalidField, NotFound, RequestIdReused
from services.domain.judgements import Correction, DiscardReason, Judgement, Thumb, Verdict
from services.domain.pages import Page, PageRequest
from services.domain.reviews import Vote, VoteState
from services.feedback.get_vote import get_vote
from services.feedback.list_votes import list_votes
from services.storage.tables.reviews import review_item, vote
from tests.support.feedback import FeedbackBench, a_request
from tests.support.houses import add_project


def count(feedback: FeedbackBench, table: sa.Table) -> int:
    with feedback.bench.storage.engine.connect() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()


def refused(feedback: FeedbackBench, *candidates: str, prompt: str | Prompt = "prompt", **said: Any) -> dict[str, str]:
    with pytest.raises(InvalidField) as error:
        feedback.submit(prompt, *candidates, **said)
    assert (count(feedback, vote), count(feedback, review_item)) == (0, 0)
    return {each.field: each.description for each in error.value.violations}


def test_feedback_is_in_the_ledger_as_it_was_sent(feedback: FeedbackBench) -> None:
    sent = feedback.submit(
        "prompt",
        "bleu",
        rating=2,
        correction=Correction(text="blue"),
        rationale="a letter",
        end_user="u1",
        scripted=True,
    )
    found = get_vote(feedback.house, caller=feedback.caller("GetVote"), name=sent.name)
    assert found == sent
    assert found.judgement == Judgement(rating=2, correction=Correction(text="blue"), rationale="a letter")
    assert (found.source, found.end_user, found.scripted, found.state) == ("app", "u1", True, VoteState.SUBMITTED)
    assert (found.reviewer, found.item.name) == (feedback.bench.caller.api_key, "")
    assert found.candidates == (Candidate(text="bleu"),)


def test_a_conversation_is_a_prompt_too(feedback: FeedbackBench) -> None:
    chat = Prompt(messages=(ChatMessage(role="user", content="hello"),))
    sent = feedback.submit(chat, "hi", thumb=Thumb.UP)
    assert get_vote(feedback.house, caller=feedback.bench.caller, name=sent.name).prompt == chat


def test_a_version_is_kept_as_the_exact_one(feedback: FeedbackBench) -> None:
    candidates = (Candidate(text="a", model_version="projects/-/models/chat", seed=3, tokens=5, score=1.0),)
    sent = feedback.submit("prompt", candidates=candidates, thumb=Thumb.UP)
    assert sent.candidates == (Candidate(text="a", model_version="projects/own/models/chat/versions/1"),)
    with pytest.raises(NotFound, match=r"candidates\[0\].model_version"):
        feedback.submit("prompt", candidates=(Candidate(text="a", model_version="projects/-/models/other"),), rating=1)


def test_repeating_a_request_is_the_same_vote(feedback: FeedbackBench) -> None:
    request = a_request()
    first = feedback.thumb(1, up=True, request=request)
    assert feedback.thumb(1, up=True, request=request) == first
    assert (count(feedback, vote), count(feedback, review_item)) == (1, 1)
    with pytest.raises(RequestIdReused):
        feedback.thumb(1, up=True, request=dataclasses.replace(request, body_sha256="other"))


def test_a_discard_is_kept_as_one(feedback: FeedbackBench) -> None:
    assert feedback.submit("prompt", "text", discard=DiscardReason.UNSAFE).state is VoteState.DISCARDED


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"rating": 10}, "judgement.rating"),
        ({"rating": 0}, "judgement.rating"),
        ({"correction": Correction(text="text")}, "judgement.correction.text"),
        ({"thumb": Thumb.UP, "rationale": "a\x07b"}, "judgement.rationale"),
        ({"thumb": Thumb.UP, "rationale": "x" * 10_001}, "judgement.rationale"),
        ({"thumb": Thumb.UP, "rubric": {"helpful": 3}}, "judgement.rubric['helpful']"),
        ({"verdict": Verdict.EQUAL}, "judgement.verdict"),
        ({}, "judgement.rating"),
        ({"thumb": Thumb.UP, "source": "Not An Id"}, "source"),
        ({"thumb": Thumb.UP, "source": "review"}, "source"),
        ({"thumb": Thumb.UP, "end_user": "x" * 129}, "end_user"),
        ({"thumb": Thumb.UP, "end_user": "a\nb"}, "end_user"),
    ],
)
def test_what_is_wrong_is_named_and_leaves_nothing(feedback: FeedbackBench, said: dict[str, Any], field: str) -> None:
    assert field in refused(feedback, "text", **said)


@pytest.mark.parametrize(
    ("prompt", "field"),
    [
        (Prompt(), "prompt"),
        (Prompt(text="a", messages=(ChatMessage(role="user", content="b"),)), "prompt"),
        (Prompt(text="x" * 100_001), "prompt.text"),
        (Prompt(messages=(ChatMessage(role="robot", content="b"),)), "prompt.messages[0].role"),
        (Prompt(messages=(ChatMessage(role="user", content="a\x00"),)), "prompt.messages[0].content"),
        (Prompt(messages=(ChatMessage(role="user", content="a"),) * 101), "prompt.messages"),
        (Prompt(messages=(ChatMessage(role="user", content="a" * 60_000),) * 2), "prompt.messages"),
    ],
)
def test_a_prompt_that_is_none_is_refused(feedback: FeedbackBench, prompt: Prompt, field: str) -> None:
    assert field in refused(feedback, "text", prompt=prompt, thumb=Thumb.UP)


def test_candidates_that_cannot_be_compared_are_refused(feedback: FeedbackBench) -> None:
    assert "candidates" in refused(feedback, thumb=Thumb.UP)
    assert "candidates[1].text" in refused(feedback, "same", "same", verdict=Verdict.EQUAL)
    assert "candidates[0].text" in refused(feedback, "x" * 100_001, thumb=Thumb.UP)
    assert "candidates" in refused(feedback, *map(str, range(11)), ranking=tuple(range(11)))


def listed(feedback: FeedbackBench, **asked: Any) -> list[Vote]:
    votes: list[Vote] = []
    token = ""
    while True:
        page, token = list_votes(
            feedback.house,
            caller=feedback.bench.caller,
            parent="projects/-",
            page=PageRequest(size=2, token=token),
            **asked,
        )
        votes += page
        if not token:
            return votes


def test_votes_are_listed_newest_first_by_review_and_by_source(feedback: FeedbackBench) -> None:
    review = feedback.reviews.with_items(2)
    given = feedback.reviews.vote_on_all(feedback.reviews.reviewer("anna"), review)
    sent = [feedback.thumb(number, up=True) for number in range(3)]
    other = feedback.thumb(9, up=False, source="other")
    assert [each.uid for each in listed(feedback)] == [each.uid for each in reversed([*given, *sent, other])]
    assert [each.uid for each in listed(feedback, review=review.name)] == [each.uid for each in reversed(given)]
    assert listed(feedback, source="other") == [other]
    with pytest.raises(InvalidField):
        listed(feedback, review=review.name, source="other")
    with pytest.raises(NotFound, match="helpfulness"):
        listed(feedback, review="projects/-/reviews/helpfulnes")


@pytest.mark.parametrize("bytes_max", [1, 3000])
def test_of_long_votes_no_more_are_read_than_a_message_holds(
    feedback: FeedbackBench, monkeypatch: pytest.MonkeyPatch, bytes_max: int
) -> None:
    sent = [feedback.thumb(number, up=True) for number in range(9)]
    monkeypatch.setattr(pages, "PAGE_BYTES_MAX", bytes_max)
    with feedback.house.storage.read() as uow:
        found = uow.votes.page("own", page=Page(size=1000))
    assert len(found) == 2 if bytes_max == 1 else 2 < len(found) < 9
    assert [each.uid for each in listed(feedback)] == [each.uid for each in reversed(sent)]


def test_another_project_sees_nothing(feedback: FeedbackBench) -> None:
    sent = feedback.thumb(1, up=True)
    foreign = add_project(feedback.house, "foreign")
    with pytest.raises(NotFound):
        get_vote(feedback.house, caller=foreign, name=sent.name)
    with pytest.raises(NotFound):
        get_vote(feedback.house, caller=foreign, name=sent.name.replace("own", "foreign"))
    assert list_votes(feedback.house, caller=foreign, parent="projects/-", page=PageRequest()) == ((), "")

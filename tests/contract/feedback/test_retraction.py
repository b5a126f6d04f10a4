"""Retraction: a new fact, which taints exactly what learnt from the vote."""

import dataclasses
from typing import Any

import pytest

from services.domain.datasets import RowKind
from services.domain.errors import InvalidField, NotFound, RequestIdReused
from services.domain.lineage import Lineage, LineageKind
from services.domain.methods import Method
from services.domain.pages import Page
from services.domain.reviews import VoteState
from services.domain.training import MixturePartDraft
from services.feedback.get_vote import get_vote
from services.feedback.retract_vote import Retraction
from services.feedback.trace_vote import trace_vote
from services.jobs.fine_tune import FineTuneDraft, fine_tune
from tests.support.feedback import FeedbackBench, a_request
from tests.support.houses import add_project
from tests.support.works import add_rows


def trace(feedback: FeedbackBench, name: str) -> Lineage:
    return trace_vote(feedback.house, caller=feedback.caller("TraceVote"), name=name)


def audited(feedback: FeedbackBench, resource: str) -> list[str]:
    with feedback.house.storage.read() as uow:
        entries = uow.audit.page("own", page=Page(size=1000))
    return [entry.method for _, entry in entries if entry.resource == resource]


def test_a_retracted_vote_stays_in_the_ledger_with_the_reason(feedback: FeedbackBench) -> None:
    sent = feedback.prefer(1)
    retraction = feedback.retract(sent, reason="a minor")
    expected = dataclasses.replace(sent, state=VoteState.RETRACTED, retraction_reason="a minor")
    assert retraction == Retraction(vote=expected, feedback_sets=(), model_versions=(), open_jobs=())
    assert get_vote(feedback.house, caller=feedback.bench.caller, name=sent.name) == expected
    assert "tutelage.v1.Feedback/RetractVote" in audited(feedback, sent.name)


def test_a_second_retraction_keeps_the_first_reason_and_tells_what_holds_it_now(feedback: FeedbackBench) -> None:
    sent = feedback.prefer(1)
    made = feedback.freeze()
    feedback.retract(sent, reason="first")
    again = feedback.retract(sent, reason="second")
    assert (again.vote.retraction_reason, again.feedback_sets) == ("first", (made.name,))
    assert audited(feedback, sent.name).count("tutelage.v1.Feedback/RetractVote") == 1


def test_repeating_a_request_is_safe_and_another_body_is_refused(feedback: FeedbackBench) -> None:
    sent, request = feedback.prefer(1), a_request()
    assert feedback.retract(sent, request=request) == feedback.retract(sent, request=request)
    with pytest.raises(RequestIdReused):
        feedback.retract(sent, request=dataclasses.replace(request, body_sha256="other"))


@pytest.mark.parametrize("reason", ["", "  ", "x" * 1001, "a\x00b", "a\x1bb"])
def test_a_reason_is_required_and_is_a_text(feedback: FeedbackBench, reason: str) -> None:
    sent = feedback.prefer(1)
    with pytest.raises(InvalidField, match="reason"):
        feedback.retract(sent, reason=reason)
    assert get_vote(feedback.house, caller=feedback.bench.caller, name=sent.name).state is VoteState.SUBMITTED


def test_another_projects_vote_is_not_found(feedback: FeedbackBench) -> None:
    sent = feedback.prefer(1)
    foreign = FeedbackBench(
        dataclasses.replace(
            feedback.reviews, bench=dataclasses.replace(feedback.bench, caller=add_project(feedback.house, "foreign"))
        )
    )
    with pytest.raises(NotFound):
        foreign.retract(sent)
    with pytest.raises(NotFound):
        trace(foreign, sent.name)


def small(of: FeedbackBench, count: int = 20, *, first: int = 0, **said: Any) -> list[Any]:
    return [of.prefer(first + number, **said) for number in range(count)]


def test_everything_that_learnt_from_a_vote_is_named_and_nothing_else(feedback: FeedbackBench) -> None:
    """chat v1 → v2 on the set → v3 from v2 on other rows; v4 from v1 on another set; v5 mixes the set in."""
    votes = small(feedback)
    others = small(feedback, first=100, source="other")
    held, clean = feedback.freeze("held"), feedback.freeze("clean", sources=("other",))
    rows = add_rows(feedback.house, "own", id="chats", kind=RowKind.PREFERENCE)
    base = "projects/own/models/chat/versions/1"
    second = feedback.tuned(held, base=base, method=Method.DPO)
    third = feedback.tuned(rows, base=second.name, method=Method.DPO)
    fourth = feedback.tuned(clean, base=base, method=Method.DPO)
    fifth = feedback.tuned(clean, base=base, method=Method.DPO, mixture=(MixturePartDraft(dataset=held.dataset),))
    retraction = feedback.retract(votes[3])
    assert retraction.feedback_sets == (held.name,)
    assert retraction.model_versions == (second.name, third.name, fifth.name)
    assert retraction.open_jobs == ()
    assert feedback.retract(others[0]).model_versions == (fourth.name, fifth.name)


def test_jobs_that_learn_from_it_just_now_are_named(feedback: FeedbackBench) -> None:
    votes = small(feedback)
    held = feedback.freeze()
    job = fine_tune(
        feedback.house,
        caller=feedback.bench.calling("FineTune"),
        parent="projects/-",
        draft=FineTuneDraft(base="projects/-/models/chat", dataset=held.dataset, method=Method.DPO, steps=10),
    )
    assert feedback.retract(votes[0]).open_jobs == (job.name,)


def test_a_trace_leads_from_the_vote_to_the_versions(feedback: FeedbackBench) -> None:
    votes = small(feedback)
    made = feedback.freeze()
    version = feedback.tuned(made, method=Method.DPO)
    before, after = trace(feedback, votes[0].name), None
    kinds = [node.kind for node in before.nodes]
    assert kinds == [LineageKind.VOTE, LineageKind.FEEDBACK_SET, LineageKind.JOB, LineageKind.MODEL_VERSION]
    assert [node.name for node in before.nodes][-1] == version.name
    assert not any(node.tainted for node in before.nodes)
    feedback.retract(votes[0])
    after = trace(feedback, votes[0].name)
    tainted = {node.name for node in after.nodes if node.tainted}
    assert {made.name, version.name} <= tainted
    assert [(edge.source, edge.result) for edge in after.edges][0] == (votes[0].name, made.name)
    assert trace(feedback, feedback.prefer(99).name).edges == ()

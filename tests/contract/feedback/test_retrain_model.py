"""The next version without the votes that were retracted: the same specification, and what differs was taken out."""

from collections.abc import Mapping
from typing import Any

import pytest

from services.domain.datasets import RowKind
from services.domain.drawing import Checker
from services.domain.errors import InvalidField, NotFound, WrongState
from services.domain.feedback_sets import FeedbackSet
from services.domain.fine_tuning import FineTuneSpec
from services.domain.job_states import JobState
from services.domain.jobs import Job
from services.domain.judgements import Correction
from services.domain.methods import GrpoDraft, Method
from services.domain.models import ModelVersion
from services.domain.requests import NO_REQUEST_KEY, RequestKey
from services.domain.reviews import Vote
from services.domain.training import MixturePartDraft
from services.feedback import without_retracted
from services.feedback.get_feedback_set import get_feedback_set
from services.jobs.retrain_model import retrain_model
from tests.support.feedback import FeedbackBench, a_request
from tests.support.works import add_rows, claimed, published

CHAT = "projects/own/models/chat/versions/1"


def retrain(
    feedback: FeedbackBench,
    version: ModelVersion | str,
    *,
    labels: Mapping[str, str] | None = None,
    request: RequestKey = NO_REQUEST_KEY,
) -> Job:
    name = version if isinstance(version, str) else version.name
    caller = feedback.bench.calling("RetrainModel")
    return retrain_model(feedback.house, caller=caller, name=name, labels=labels, request=request)


def spec_of(job: Job) -> FineTuneSpec:
    assert isinstance(job.spec, FineTuneSpec)
    return job.spec


@pytest.fixture
def votes(feedback: FeedbackBench) -> list[Vote]:
    return [feedback.prefer(number) for number in range(20)]


@pytest.fixture
def version(feedback: FeedbackBench, votes: list[Vote]) -> ModelVersion:
    """Chat, tuned on the votes: its second version."""
    return feedback.tuned(feedback.freeze(validation_share=0.3), base=CHAT, method=Method.DPO)


def test_the_job_is_the_same_but_for_the_set_without_the_vote(
    feedback: FeedbackBench, votes: list[Vote], version: ModelVersion
) -> None:
    feedback.retract(votes[3])
    feedback.prefer(99)  # what came since is not in it
    job = retrain(feedback, version, labels={"why": "retraction"})
    before, after = version.fine_tune, spec_of(job)
    assert before is not None and after.dataset == "projects/own/datasets/prefs-r2"
    assert after.to_json() | {"dataset": before.dataset} == before.to_json()
    assert (job.base and job.base.name, dict(job.labels)) == (CHAT, {"why": "retraction"})
    made = get_feedback_set(feedback.house, caller=feedback.bench.caller, name="projects/-/feedbackSets/prefs-r2")
    parent = get_feedback_set(feedback.house, caller=feedback.bench.caller, name="projects/-/feedbackSets/prefs")
    assert feedback.members(made) == [each.seq for each in votes if each is not votes[3]]
    assert (made.parent_set, made.settings, made.sources) == (parent.name, parent.settings, parent.sources)
    assert (made.retracted_votes, parent.retracted_votes) == (0, 1)
    assert feedback.bench.complete(claimed(feedback.bench, job)) is JobState.SUCCEEDED
    again = feedback.bench.job(job.uid)
    assert again.model_version == "projects/own/models/chat/versions/3"
    assert again.model_version not in feedback.retract(votes[3]).model_versions


def test_what_stays_is_on_the_side_where_it_was(
    feedback: FeedbackBench, votes: list[Vote], version: ModelVersion
) -> None:
    parent = get_feedback_set(feedback.house, caller=feedback.bench.caller, name="projects/-/feedbackSets/prefs")
    feedback.retract(votes[3])
    retrain(feedback, version)
    made = get_feedback_set(feedback.house, caller=feedback.bench.caller, name="projects/-/feedbackSets/prefs-r2")
    held = [{row["prompt"] for row in feedback.rows(each)[each.train.rows :]} for each in (parent, made)]
    assert held[1] == held[0] - {"prompt 3"}


def test_a_set_is_made_once_and_the_next_retraction_makes_the_next(
    feedback: FeedbackBench, votes: list[Vote], version: ModelVersion
) -> None:
    feedback.retract(votes[3])
    first, second = retrain(feedback, version), retrain(feedback, version)
    assert first.uid != second.uid
    assert spec_of(first).dataset == spec_of(second).dataset
    feedback.retract(votes[4])
    assert spec_of(retrain(feedback, version)).dataset == "projects/own/datasets/prefs-r3"


def test_two_who_retrain_at_once_share_the_set(
    feedback: FeedbackBench, votes: list[Vote], version: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    feedback.retract(votes[3])
    freeze = without_retracted.freeze

    def freeze_twice(*args: Any, **said: Any) -> FeedbackSet:
        freeze(*args, **said)  # by another call, which has found the same free id
        return freeze(*args, **said)

    monkeypatch.setattr(without_retracted, "freeze", freeze_twice)
    assert spec_of(retrain(feedback, version)).dataset == "projects/own/datasets/prefs-r2"


def test_the_retrained_version_can_be_retrained(
    feedback: FeedbackBench, votes: list[Vote], version: ModelVersion
) -> None:
    feedback.retract(votes[3])
    job = retrain(feedback, version)
    feedback.bench.complete(claimed(feedback.bench, job))
    newest = feedback.bench.job(job.uid).model_version
    with pytest.raises(WrongState, match="no vote of .* is retracted"):
        retrain(feedback, newest)
    feedback.retract(votes[5])
    job = retrain(feedback, newest)
    made = get_feedback_set(feedback.house, caller=feedback.bench.caller, name="projects/-/feedbackSets/prefs-r3")
    assert (spec_of(job).dataset, made.votes) == (made.dataset, 18)
    assert made.parent_set == "projects/own/feedbackSets/prefs-r2"


def test_repeating_a_request_returns_the_same_job(
    feedback: FeedbackBench, votes: list[Vote], version: ModelVersion
) -> None:
    feedback.retract(votes[3])
    request = a_request()
    job = retrain(feedback, version, request=request)
    assert retrain(feedback, version, request=request).uid == job.uid


def test_an_id_that_is_taken_is_passed_over(feedback: FeedbackBench, votes: list[Vote], version: ModelVersion) -> None:
    add_rows(feedback.house, "own", id="prefs-r2", kind=RowKind.PREFERENCE)
    feedback.retract(votes[3])
    assert spec_of(retrain(feedback, version)).dataset == "projects/own/datasets/prefs-r3"


def test_only_the_sets_that_hold_it_are_frozen_anew(feedback: FeedbackBench, votes: list[Vote]) -> None:
    others = [feedback.prefer(100 + number, source="other") for number in range(10)]
    made, clean = feedback.freeze(), feedback.freeze("clean", sources=("other",))
    mixture = (MixturePartDraft(dataset=made.dataset, weight=2.0),)
    version = feedback.tuned(clean, base=CHAT, method=Method.DPO, mixture=mixture)
    feedback.retract(votes[0])
    spec = spec_of(retrain(feedback, version))
    assert (spec.dataset, [(part.dataset, part.weight) for part in spec.mixture]) == (
        clean.dataset,
        [("projects/own/datasets/prefs-r2", 2.0)],
    )
    feedback.retract(others[0])
    assert spec_of(retrain(feedback, version)).dataset == "projects/own/datasets/clean-r2"


def test_a_version_that_learnt_from_no_feedback_is_refused(feedback: FeedbackBench) -> None:
    rows = add_rows(feedback.house, "own", id="rows", kind=RowKind.PREFERENCE)
    tuned = feedback.tuned(rows, base=CHAT, method=Method.DPO)
    for name in (tuned.name, published(feedback.bench).name):
        with pytest.raises(WrongState, match="was not tuned on a feedback set"):
            retrain(feedback, name)


def test_without_a_retracted_vote_nothing_is_done(
    feedback: FeedbackBench, votes: list[Vote], version: ModelVersion
) -> None:
    with pytest.raises(WrongState, match="no vote of .* is retracted: it was tuned on projects/own/feedbackSets/prefs"):
        retrain(feedback, version)
    with feedback.house.storage.read() as uow:
        assert uow.feedback_sets.ids("own") == ["prefs"]


def test_too_little_that_is_left_is_refused(feedback: FeedbackBench) -> None:
    votes = [feedback.prefer(number) for number in range(6)]
    version = feedback.tuned(feedback.freeze(validation_share=0), base=CHAT, method=Method.DPO)
    feedback.retract(votes[0])
    retrain(feedback, version)
    for each in votes[1:3]:
        feedback.retract(each)
    with pytest.raises(WrongState, match="prefs-r3 is what is left.*batch_size must be at most 3"):
        retrain(feedback, version)
    for each in votes[3:]:
        feedback.retract(each)
    with pytest.raises(WrongState, match="there is no vote that counts"):
        retrain(feedback, version)


@pytest.mark.parametrize("method", [each for each in Method if each is not Method.SFT])
def test_what_could_be_tuned_without_rows_to_validate_on_can_be_retrained(
    feedback: FeedbackBench, method: Method
) -> None:
    votes = [
        feedback.submit(
            f"prompt {number}", f"worse {number}", correction=Correction(candidate=0, text=f"better {number}")
        )
        for number in range(5)
    ]
    draft = GrpoDraft(checker=Checker(name="python-parses"), group_size=4, max_tokens=4)
    grpo: dict[str, Any] = {"grpo": draft} if method is Method.GRPO else {}
    version = feedback.tuned(feedback.freeze(validation_share=0), base=CHAT, method=method, **grpo)
    feedback.retract(votes[0])
    assert spec_of(retrain(feedback, version)).dataset == "projects/own/datasets/prefs-r2"


@pytest.mark.parametrize("name", ["projects/-/models/none", "projects/-/models/chat/versions/9"])
def test_a_version_that_is_not_there_is_refused(feedback: FeedbackBench, name: str) -> None:
    with pytest.raises(NotFound):
        retrain(feedback, name)


def test_wrong_labels_are_refused_before_anything_is_made(
    feedback: FeedbackBench, votes: list[Vote], version: ModelVersion
) -> None:
    feedback.retract(votes[3])
    labels: Any = {"": "x"}
    with pytest.raises(InvalidField):
        retrain(feedback, version, labels=labels)
    with feedback.house.storage.read() as uow:
        assert uow.feedback_sets.ids("own") == ["prefs"]

"""The library's words for reviews, feedback, duels, aliases and lineage become the messages of the protos."""

import json
import pathlib
from typing import Any

import grpc
import pytest

import tutelage
from tests.unit.sdk.service_double import ServiceDouble, failure
from tutelage._names import model_name, names_of_what, short_name, spoken_name
from tutelage.v1 import duels_pb2, feedback_pb2, reviews_pb2, training_pb2


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("chat", "projects/-/models/chat"),
        ("chat@v3", "projects/-/models/chat/versions/3"),
        ("chat@3", "projects/-/models/chat/versions/3"),
        ("chat@latest", "projects/-/models/chat/versions/latest"),
        ("chat@prod", "projects/-/models/chat/aliases/prod"),
        ("chat@v3-beta", "projects/-/models/chat/aliases/v3-beta"),
        ("chat/versions/3", "projects/-/models/chat/versions/3"),
        ("projects/p/models/chat@prod", "projects/p/models/chat/aliases/prod"),
    ],
)
def test_a_model_is_said_in_short(said: str, meant: str) -> None:
    assert model_name(said) == meant


def test_names_are_said_back() -> None:
    assert spoken_name("projects/p/models/chat/versions/3") == "chat@v3"
    assert spoken_name("projects/p/models/chat/aliases/prod") == "chat@prod"
    assert spoken_name("projects/p/models/chat") == "chat"
    assert spoken_name("projects/p/feedbackSets/prefs-1") == "prefs-1"
    assert short_name("projects/p/reviews/helpfulness/items/3") == "helpfulness/items/3"
    with pytest.raises(tutelage.InvalidArgument, match="chat@"):
        model_name("chat@")


def test_a_bare_name_may_mean_three_things() -> None:
    assert names_of_what("x") == [
        "projects/-/models/x/versions/latest",
        "projects/-/feedbackSets/x",
        "projects/-/datasets/x",
    ]
    assert names_of_what("chat@prod") == ["projects/-/models/chat/aliases/prod"]
    assert names_of_what("feedbackSets/x") == ["projects/-/feedbackSets/x"]
    assert names_of_what("projects/p/models/chat") == ["projects/p/models/chat/versions/latest"]


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"rating": -1}, {"thumb": feedback_pb2.THUMB_DOWN}),
        ({"rating": 1}, {"thumb": feedback_pb2.THUMB_UP}),
        ({"score": 7}, {"rating": 7}),
        ({"correction": "Good morning!"}, {"correction": {"candidate": 0, "text": "Good morning!"}}),
        ({"rationale": "rude", "rating": -1}, {"thumb": feedback_pb2.THUMB_DOWN, "rationale": "rude"}),
    ],
)
def test_feedback_on_an_answer(client: Any, service: ServiceDouble, given: Any, wanted: Any) -> None:
    vote = client.feedback.submit(prompt="Hello", response="Go away", source="app", **given)
    assert vote.state == "SUBMITTED"
    (request,) = service.requests("SubmitFeedback")
    assert request.judgement == feedback_pb2.Judgement(**wanted)
    assert [candidate.text for candidate in request.candidates] == ["Go away"]
    assert (request.prompt.text, request.source, len(request.request_id)) == ("Hello", "app", 36)


def test_feedback_on_several_answers(client: Any, service: ServiceDouble) -> None:
    turns = [{"role": "user", "content": "2+2?"}]
    client.feedback.submit(prompt=turns, responses=["5", "4"], preferred=1, strength=4, model=["chat@v3", "chat@v4"])
    client.feedback.submit(prompt=turns, responses=["5", "4"], verdict="both_bad")
    client.feedback.submit(prompt=turns, responses=["5", "4", "3"], ranking=[1, 0, 2])
    first, second, third = service.requests("SubmitFeedback")
    assert (first.judgement.verdict, first.judgement.preferred) == (feedback_pb2.VERDICT_PREFERS, 1)
    assert [c.model_version.rsplit("/")[-1] for c in first.candidates] == ["3", "4"]
    assert first.prompt.messages[0].content == "2+2?"
    assert second.judgement.verdict == feedback_pb2.VERDICT_BOTH_BAD
    assert list(third.judgement.ranking) == [1, 0, 2]


def test_the_same_event_has_the_same_request_id(client: Any, service: ServiceDouble) -> None:
    for event in ("message 17", "message 17", "message 18", None, None):
        client.feedback.submit(prompt="p", response="r", rating=1, request_id=event)
    ids = [request.request_id for request in service.requests("SubmitFeedback")]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 4


@pytest.mark.parametrize(
    "given",
    [
        {"rating": 5, "response": "r"},
        {"verdict": "great", "responses": ["a", "b"]},
        {"score": "much", "response": "r"},
        {"response": "r", "responses": ["a"]},
        {"prompt": [{"role": "user"}], "response": "r"},
        {"responses": ["a", "b"], "model": ["chat"], "preferred": 0},
    ],
)
def test_feedback_that_cannot_be_sent_is_refused_by_name(client: Any, service: ServiceDouble, given: Any) -> None:
    with pytest.raises(tutelage.InvalidArgument) as caught:
        client.feedback.submit(**{"prompt": "p", **given})
    assert caught.value.field_violations
    assert service.requests("SubmitFeedback") == []


def test_feedback_is_frozen_and_exported(client: Any, service: ServiceDouble, tmp_path: pathlib.Path) -> None:
    made = client.feedback.freeze("helpfulness", name="prefs-1", sources="app", policy="weighted", validation_share=0)
    (request,) = service.requests("FreezeFeedback")
    assert list(request.reviews) == ["projects/-/reviews/helpfulness"]
    assert request.policy == feedback_pb2.CONFLICT_POLICY_WEIGHTED
    assert request.HasField("validation_share") and not request.HasField("good_rating")
    assert made.train is not None and made.train.pairs == 14
    path = client.feedback.export("prefs-1", tmp_path / "prefs.jsonl", format="kto")
    assert [json.loads(line)["prompt"] for line in path.read_text().splitlines()] == ["p0", "p1", "p2"]
    assert [row["chosen"] for row in client.feedback.rows("prefs-1")] == ["ä"] * 3
    with pytest.raises(FileExistsError):
        client.feedback.export("prefs-1", path)
    with pytest.raises(tutelage.InvalidArgument, match="votes, sft, dpo, kto, openai"):
        client.feedback.export("prefs-1", tmp_path / "other", format="csv")


def test_a_review_of_a_file_uploads_it_once(client: Any, service: ServiceDouble, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "Held out!.txt"
    path.write_text("first\n\nsecond\n")
    for _ in range(2):
        client.reviews.create("chat@v3", prompts=str(path), pairs=2, overlap=2, rubric={"polite": "Is it?"}, seed=7)
    assert len(service.requests("StartUpload")) == 1
    first, second = (request.review for request in service.requests("CreateReview"))
    assert first == second
    assert list(first.draw.models) == ["projects/-/models/chat/versions/3"]
    assert (first.draw.samples, first.overlap, first.draw.options.seed) == (4, 2, 7)
    name = first.draw.prompts
    assert name.startswith("projects/p/datasets/held-out-")
    (content,) = service.upload_bytes.values()
    assert [json.loads(line) for line in content.splitlines()] == [{"prompt": "first"}, {"prompt": "second"}]


@pytest.mark.parametrize(
    "prompts",
    [
        ["a", "b"],
        [{"prompt": "a"}, {"prompt": [{"role": "user", "content": "b"}]}],
        [[{"role": "user", "content": "b"}]],
    ],
)
def test_prompts_may_be_a_list(client: Any, service: ServiceDouble, prompts: Any) -> None:
    client.jobs.draw("chat", prompts=prompts)
    (content,) = service.upload_bytes.values()
    assert [json.loads(line)["prompt"] for line in content.splitlines()] == [
        row["prompt"] if isinstance(row, dict) else row for row in prompts
    ]


@pytest.mark.parametrize("prompts", [[], [""], [3], b"x", 7])
def test_what_holds_no_prompt_is_refused(client: Any, prompts: Any) -> None:
    with pytest.raises(tutelage.InvalidArgument, match="prompts"):
        client.jobs.draw("chat", prompts=prompts)


def test_a_dataset_of_prompts_is_taken_as_it_is(client: Any, service: ServiceDouble) -> None:
    client.jobs.draw(["chat@v3", "chat@prod"], prompts="questions", samples=3, checker="contains=def", stop="\n")
    (request,) = service.requests("DrawAnswers")
    assert request.spec == training_pb2.DrawSpec(
        models=["projects/-/models/chat/versions/3", "projects/-/models/chat/aliases/prod"],
        prompts="projects/-/datasets/questions",
        samples=3,
        checker=training_pb2.Checker(name="contains", argument="def"),
        options=training_pb2.DrawOptions(stop=["\n"]),
    )
    with pytest.raises(FileNotFoundError):
        client.jobs.draw("chat", prompts="missing.jsonl")


def test_pairs_of_several_models_take_one_answer_of_each(client: Any, service: ServiceDouble) -> None:
    client.reviews.create(["chat@v3", "chat@v4"], prompts="questions", pairs=2, kind="pair")
    (request,) = service.requests("CreateReview")
    assert request.review.draw.samples == 2
    assert request.review.kind == reviews_pb2.REVIEW_KIND_PAIR
    with pytest.raises(tutelage.InvalidArgument, match="exclude"):
        client.reviews.create("chat", prompts="questions", pairs=1, samples=1)


def test_seats_are_taken_and_votes_given(client: Any, service: ServiceDouble) -> None:
    service.add_items(3)
    first, second = client.reviews.take_seats("helpfulness", seats=2).seats
    client.reviews.save_draft(first, preferred=0)
    vote = client.reviews.submit_vote(first, preferred=0, strength=2, rubric={"polite": 9}, active_seconds=3.5)
    client.reviews.submit_vote(second, discard="not-my-expertise", scripted=True)
    assert [v.state for v in client.reviews.own_votes("helpfulness")] == ["DISCARDED", "SUBMITTED"]
    seat = client.reviews.undo_vote(vote)
    assert seat.draft.preferred == 0
    again = client.reviews.submit_vote(seat, judgement=seat.draft)
    assert again.judgement == vote.judgement
    client.reviews.skip_seat(client.reviews.take_seats("helpfulness").seats[0])
    requests = service.requests("SubmitVote")
    assert (requests[0].judgement.rubric["polite"], requests[0].active_seconds) == (9, 3.5)
    assert requests[1].judgement.discard == feedback_pb2.DISCARD_REASON_NOT_MY_EXPERTISE
    assert requests[1].scripted
    with pytest.raises(tutelage.InvalidArgument, match="bad-prompt, unsafe"):
        client.reviews.submit_vote(first, discard="boring")


def test_a_review_is_changed_and_measured(client: Any, service: ServiceDouble) -> None:
    client.reviews.update("helpfulness", overlap=3)
    (request,) = service.requests("UpdateReview")
    assert request.HasField("overlap") and not request.HasField("closed") and not request.HasField("guidelines")
    assert client.reviews.stats("helpfulness").versions[0].win_rate.high == 0.9
    item = client.reviews.set_gold_answer("helpfulness/items/3", preferred=1)
    assert item.gold.preferred == 1
    assert client.reviews.set_gold_answer("helpfulness/items/3").gold is None
    assert [item.candidates[1].text for item in client.reviews.items("helpfulness")] == ["answer of v4"] * 2


@pytest.mark.parametrize(
    ("given", "judge"),
    [
        ({}, duels_pb2.DUEL_JUDGE_UNSPECIFIED),
        ({"checker": "python-parses"}, duels_pb2.DUEL_JUDGE_CHECKER),
        ({"reward_model": "judge@v1"}, duels_pb2.DUEL_JUDGE_REWARD_MODEL),
        ({"judge": "reviewers", "overlap": 2}, duels_pb2.DUEL_JUDGE_REVIEWERS),
    ],
)
def test_a_duel_is_begun_and_waited_for(client: Any, service: ServiceDouble, given: Any, judge: int) -> None:
    seen: list[Any] = []
    begun = client.duels.create("chat@v3", "chat@v4", prompts=["p"], error_rate=0.01, max_tokens=20, **given)
    assert begun.result.verdict == "UNDECIDED"
    decided = client.duels.wait(begun, on_change=seen.append)
    assert (decided.result.verdict, len(seen)) == ("BETTER", 1)
    (request,) = service.requests("CreateDuel")
    assert (request.duel.judge, request.duel.error_rate, request.duel.options.max_tokens) == (judge, 0.01, 20)


def test_waiting_for_a_duel_ends(client: Any, service: ServiceDouble) -> None:
    begun = client.duels.create("chat@v3", "chat@v4", prompts="p")
    service.answers["GetDuel"] = lambda request, context: service.duel
    with pytest.raises(tutelage.WaitTimeout, match="it goes on"):
        client.duels.wait(begun, timeout=0.3)
    service.fail("GetDuel", failure(grpc.StatusCode.NOT_FOUND, "no duel", reason="NOT_FOUND"))
    with pytest.raises(tutelage.NotFound):
        client.duels.wait(begun)


def test_aliases_are_moved_and_lineage_is_found(client: Any, service: ServiceDouble) -> None:
    alias = client.models.promote("chat@v4", alias="prod", force=True, reason="urgent", etag="e")
    assert (alias.moves[0].forced, alias.model_version.rsplit("/")[-1]) == (True, "4")
    assert client.models.rollback("chat@prod").model_version.endswith("/3")
    assert len(client.models.alias("chat@prod").moves) == 2
    assert [each.name.rsplit("/")[-1] for each in client.models.aliases("chat")] == ["prod"]
    with pytest.raises(tutelage.InvalidArgument, match="no alias"):
        client.models.rollback("chat@v3")
    assert client.models.lineage("chat@prod").edges[0].from_.endswith("talks")
    client.models.lineage("prefs-1")
    assert [request.name for request in service.requests("GetLineage")][-2:] == [
        "projects/-/models/prefs-1/versions/latest",
        "projects/-/feedbackSets/prefs-1",
    ]


def test_a_vote_is_retracted_traced_and_trained_without(client: Any, service: ServiceDouble) -> None:
    answer = client.feedback.retract("v1", reason="asked to forget")
    assert answer.feedback_sets == ("projects/p/feedbackSets/prefs-1",)
    assert client.feedback.trace("v1").nodes[2].tainted
    client.retrain(answer.model_versions[0])
    (request,) = service.requests("RetrainModel")
    assert request.name == "projects/p/models/chat/versions/4"
    client.jobs.evaluate("chat@prod", "held-out", all_rows=True)
    assert service.requests("EvaluateModel")[0].spec.all_rows


def test_tuning_on_feedback(client: Any, service: ServiceDouble) -> None:
    client.fine_tune(model="chat@v3", feedback="prefs-1", method="dpo", beta=0.2, flipped_share=0.1, steps=5)
    client.fine_tune(base="chat", dataset="prompts", method="grpo", checker="contains=def", reward_model="")
    first, second = (request.spec for request in service.requests("FineTune"))
    assert (first.base, first.dataset) == ("projects/-/models/chat/versions/3", "projects/-/datasets/prefs-1")
    assert first.model == ""
    assert first.method == training_pb2.METHOD_DPO
    assert (first.preference.beta, first.preference.label_smoothing) == (0.2, 0.1)
    assert (second.grpo.checker.name, second.grpo.checker.argument) == ("contains", "def")
    for wrong in ({}, {"dataset": "a", "feedback": "b"}):
        with pytest.raises(tutelage.InvalidArgument, match="either a dataset or a feedback set"):
            client.fine_tune("chat", **wrong)
    with pytest.raises(tutelage.InvalidArgument, match="no model to begin with"):
        client.fine_tune(dataset="a")

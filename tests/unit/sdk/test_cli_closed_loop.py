"""The commands of the closed loop: what they send, what they print for people, and what for scripts."""

import json
import pathlib

import grpc
import pytest

import tutelage
from tests.unit.sdk.cli_runs import json_of, run, run_well
from tests.unit.sdk.service_double import KEY, ServiceDouble, failure
from tutelage.cli._estimates import agreement_in_words, bar
from tutelage.cli._lineage import edges_of
from tutelage.v1 import duels_pb2, training_pb2


@pytest.fixture(autouse=True)
def connected(service: ServiceDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUTELAGE_ADDRESS", service.address)
    monkeypatch.setenv("TUTELAGE_API_KEY", KEY)


def test_a_review_is_made_of_a_file(service: ServiceDouble, tmp_path: pathlib.Path) -> None:
    (tmp_path / "prompts.jsonl").write_text('{"prompt":"a"}\n')
    (tmp_path / "guide.md").write_text("# Be kind")
    words = ["review", "create", "--model", "chat@v3", "--prompts", str(tmp_path / "prompts.jsonl"), "--pairs", "2"]
    words += ["--overlap", "2", "--guidelines", str(tmp_path / "guide.md"), "--rubric", "polite=Is it polite?"]
    made = run_well(*words, "--name", "helpfulness", "--temperature", "0.5")
    assert "tutelage review start helpfulness" in made.stderr
    assert "tutelage jobs watch drawing" in made.stderr
    (request,) = service.requests("CreateReview")
    review = request.review
    assert (review.draw.samples, review.overlap, review.guidelines) == (4, 2, "# Be kind")
    assert review.rubric[0].description == "Is it polite?"
    assert review.draw.options.temperature == 0.5
    assert run_well(*words, "-o", "name").stdout == "projects/p/reviews/made\n"


def test_reviews_are_listed_shown_and_closed(service: ServiceDouble) -> None:
    listed = run_well("review", "list").stdout
    assert "chat@v3" in listed and "9 of 20" in listed
    shown = run_well("review", "show", "helpfulness").stdout
    assert "4 of 10 have all their votes" in shown
    assert "\x1b" not in shown
    service.add_items(3)
    assert "helpfulness" in run_well("review", "list", "--open").stdout
    assert json_of("review", "close", "helpfulness")["state"] == "REVIEW_STATE_CLOSED"
    assert run("review", "update", "helpfulness").exit_code == 2
    run_well("review", "update", "helpfulness", "--overlap", "3")


def test_statistics_are_drawn_and_said() -> None:
    shown = run_well("review", "stats", "helpfulness").stdout
    for words in (
        "0.72 (0.60 to 0.81): reviewers agree enough for tentative conclusions",
        "Cohen's κ 0.71",
        "90.0 % answered rightly",
        "no bias to be seen",
        "70.0 % of choices fell on the longer answer (61.0 % to 78.0 %): a bias",
        "chat@v4",
        "69.3 %",
        "between 59.3 % and 90.0 %",
        "30.5 of 44",
    ):
        assert words in shown, words
    assert json_of("review", "stats", "helpfulness")["versions"][0]["comparisons"] == "44"


def test_bars_are_as_long_as_the_share() -> None:
    assert [bar(share, columns=4) for share in (0, 0.5, 1, 2, 0.125)] == ["····", "██··", "████", "████", "▌···"]
    assert bar(None) == ""
    assert "no item has two votes" in agreement_in_words(None)


def test_items_and_gold_answers(service: ServiceDouble) -> None:
    shown = run_well("review", "items", "helpfulness").stdout
    assert "answer of v3" in shown and "chat@v3, chat@v4" in shown
    assert "prefers 0" in run_well("review", "gold", "helpfulness/items/3", "--preferred", "0").stdout
    run_well("review", "gold", "helpfulness/items/3", "--none")
    first, second = service.requests("SetGoldAnswer")
    assert first.gold.preferred == 0 and not second.HasField("gold")
    assert run("review", "gold", "helpfulness/items/3").exit_code == 2


def test_feedback_is_submitted_shown_and_retracted(service: ServiceDouble) -> None:
    words = ["feedback", "submit", "--prompt", "Hello", "--response", "Go away", "--thumb", "down"]
    vote = json_of(*words, "--correction", "Good morning!", "--request-id", "17")
    assert vote["judgement"]["thumb"] == "THUMB_DOWN"
    shown = run_well("feedback", "show", "v1").stdout
    assert "user: Hello" in shown and "chat@v3" in shown and "a program voted" in shown
    assert "\x1b" not in shown
    told = run_well("feedback", "retract", "v1", "--reason", "asked to forget")
    assert "prefs-1" in told.stdout and "chat@v4" in told.stdout
    assert "tutelage retrain chat@v4" in told.stderr
    assert run("feedback", "retract", "v1").exit_code == 2
    assert run("feedback", "freeze").exit_code == 2


def test_sets_are_frozen_and_exported(tmp_path: pathlib.Path) -> None:
    made = run_well("feedback", "freeze", "helpfulness", "--name", "prefs-1")
    assert "14 + 2" in made.stdout
    assert "--feedback prefs-1 --method dpo" in made.stderr
    assert "prefs-1" in run_well("feedback", "sets").stdout
    assert json_of("feedback", "sets", "prefs-1")["votes"] == "20"
    rows = run_well("feedback", "export", "prefs-1").stdout.splitlines()
    assert [json.loads(row)["chosen"] for row in rows] == ["ä"] * 3
    path = tmp_path / "prefs.jsonl"
    assert run_well("feedback", "export", "prefs-1", "--to", str(path)).stdout.strip() == str(path)
    assert run("feedback", "export", "prefs-1", "--to", str(path)).exit_code == 1


def test_a_duel_is_typed_with_two_models_alone(service: ServiceDouble) -> None:
    result = run_well("duel", "chat@v3", "chat@v4", "--prompts", "held-out", "--checker", "python-parses")
    for words in ("chat@v4 is better than chat@v3", "68.0 %", "between 55.0 % and 79.0 %", "95.0 %, however often"):
        assert words in result.stdout, words
    assert "30 won, 14 lost, 6 ties" in result.stderr
    (request,) = service.requests("CreateDuel")
    assert request.duel.champion.endswith("/3") and request.duel.challenger.endswith("/4")
    assert json_of("duel", "show", "made")["result"]["verdict"] == "DUEL_VERDICT_BETTER"
    assert "better" in run_well("duel", "list").stdout
    begun = json_of("duel", "--prompts", "held-out", "chat@v3", "chat@v4", "--detach")
    assert begun["result"]["verdict"] == "DUEL_VERDICT_UNDECIDED"
    assert run("duel", "chat@v3", "--prompts", "held-out").exit_code == 2


def test_a_duel_that_came_to_nothing_ends_with_3(service: ServiceDouble) -> None:
    def failed(request: object, context: object) -> duels_pb2.Duel:
        service.duel.result.verdict = duels_pb2.DUEL_VERDICT_FAILED
        return service.duel

    service.answers["GetDuel"] = failed
    assert run("duel", "chat@v3", "chat@v4", "--prompts", "held-out").exit_code == 3


def test_a_duel_that_takes_too_long_ends_with_4(service: ServiceDouble) -> None:
    service.answers["GetDuel"] = lambda request, context: service.duel
    result = run("duel", "chat@v3", "chat@v4", "--prompts", "held-out", "--limit-seconds", "0.2")
    assert result.exit_code == 4
    assert "it goes on" in result.stderr


def test_aliases_are_moved_and_listed(service: ServiceDouble) -> None:
    shown = run_well("models", "promote", "chat@v4", "--alias", "prod").stdout
    assert "better" in shown
    assert run("models", "promote", "chat@v4", "--force").exit_code == 2
    run_well("models", "promote", "chat@v4", "--force", "--reason", "urgent")
    assert service.requests("PromoteModel")[-1].force
    assert "chat@v3" in run_well("models", "rollback", "chat@prod").stdout
    assert "chat@prod" in run_well("models", "aliases", "chat").stdout
    moves = run_well("models", "aliases", "chat@prod").stdout
    assert moves.index("chat@v4") < moves.index("chat@v3")
    closed = failure(grpc.StatusCode.FAILED_PRECONDITION, "duel x says worse", reason="GATE_CLOSED")
    service.fail("PromoteModel", closed)
    refused = run("models", "promote", "chat@v4")
    assert (refused.exit_code, "says worse" in refused.stderr) == (1, True)
    assert "--force" in refused.stderr


def test_lineage_is_a_tree() -> None:
    shown = run_well("lineage", "chat@prod").stdout
    lines = shown.splitlines()
    assert "chat@v4" in lines[0]
    order = [next(n for n, line in enumerate(lines) if word in line) for word in ("tuning", "chat@v3", "talks")]
    assert order == sorted(order), "a parent stands below what was made of it"
    assert "holds a retracted vote" in next(line for line in lines if "prefs-1" in line)
    assert "made of it" in shown and "chat@prod" in shown
    assert "abababababab" in shown
    assert len(json_of("lineage", "chat@prod")["edges"]) == 5
    assert "prefs-1" in run_well("feedback", "trace", "v1").stdout


def test_below_a_source_its_relation_is_turned_round() -> None:
    edge = tutelage.LineageEdge(from_="projects/p/jobs/draw", to="projects/p/duels/first", relation="drawn by")
    came_from, became = edges_of(tutelage.Lineage(name=edge.from_, nodes=(), edges=(edge,)))
    assert came_from[edge.to] == [(edge.from_, "drawn by")]
    assert became[edge.from_] == [(edge.to, "drew for")]


def test_tuning_drawing_measuring_and_retraining(service: ServiceDouble) -> None:
    run_well("fine-tune", "--model", "chat@v3", "--feedback", "prefs-1", "--method", "dpo", "--beta", "0.2")
    spec = service.requests("FineTune")[-1].spec
    assert (spec.method, spec.preference.beta) == (training_pb2.METHOD_DPO, 0.2)
    assert spec.base.endswith("/versions/3") and spec.dataset.endswith("/datasets/prefs-1")
    for words in (["--dataset", "x"], ["--model", "chat"], ["--model", "chat", "--dataset", "x", "--feedback", "y"]):
        assert run("fine-tune", *words).exit_code == 2
    assert "chat@v3" in run_well("jobs", "draw", "--model", "chat@v3", "--prompts", "questions").stdout
    assert "chat@prod" in run_well("jobs", "evaluate", "--model", "chat@prod", "--dataset", "held-out").stdout
    assert "again" in run_well("retrain", "chat@v4").stdout

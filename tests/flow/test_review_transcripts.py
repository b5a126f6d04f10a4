"""The transcript of the closed loop, as real processes against a real house: votes become a better known model."""

import json
import pathlib
from collections.abc import Iterator

import pytest

import tutelage
from tests.flow.test_cli_transcripts import SMALL, Person
from tests.support.runs import TEXT, client_of
from tests.support.stack import Stack, running_stack
from tests.support.waiting import wait_for

pytestmark = pytest.mark.timeout(600)  # its fixtures train, draw, review and tune before the first test ends
PROMPTS = 4


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A house."""
    with running_stack(tmp_path_factory.mktemp("house")) as running:
        yield running


@pytest.fixture(scope="module")
def owner(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Person:
    """Somebody with a model, prompts and guidelines."""
    home = tmp_path_factory.mktemp("owner")
    (home / "code.txt").write_bytes(TEXT)
    (home / "prompts.txt").write_text("".join(f"def step_{number}(\n" for number in range(PROMPTS)))
    rows = [json.dumps({"prompt": f"class C{number}"}) for number in range(6)]
    (home / "held-out.jsonl").write_text("\n".join(rows) + "\n")
    (home / "guide.md").write_text("Prefer what is shorter.")
    person = Person(home, {"TUTELAGE_PROFILE": str(stack.profile)})
    person.says("datasets", "upload", "code.txt", "--name", "code")
    small = [*SMALL, "--context-length", "64"]
    person.says("train", "--dataset", "code", "--steps", "20", *small, "--model", "chat", "--watch")
    return person


@pytest.fixture(scope="module")
def reviewers(owner: Person, stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> list[Person]:
    """Two people whose keys may review, and nothing else."""
    found = []
    for number in (1, 2):
        secret = owner.says("keys", "create", "--role", "reviewer").stdout.strip()
        home = tmp_path_factory.mktemp(f"reviewer{number}")
        found.append(Person(home, {"TUTELAGE_ADDRESS": stack.address, "TUTELAGE_API_KEY": secret}))
    return found


@pytest.fixture(scope="module")
def review(owner: Person) -> str:
    """A review of two pairs to each prompt, with two votes of each."""
    words = ["review", "create", "--model", "chat@v1", "--prompts", "prompts.txt", "--pairs", "2", "--overlap", "2"]
    made = owner.says(*words, "--guidelines", "guide.md", "--max-tokens", "12", "--seed", "5", "--name", "helpfulness")
    assert "tutelage review start helpfulness" in made.stderr
    wait_for(
        lambda: owner.json("review", "show", "helpfulness")["state"] == "REVIEW_STATE_OPEN",
        limit_s=200,
        what="all items",
    )
    assert len([1 for item in owner.json("datasets", "list") if "/prompts-" in item["name"]]) == 1
    return "helpfulness"


@pytest.fixture(scope="module")
def judged(owner: Person, reviewers: list[Person], review: str) -> str:
    """The review with all its votes, given in two sittings by each of two programs."""
    for number, person in enumerate(reviewers):
        (mine,) = person.json("review", "list", "--open")
        assert int(mine["items_left"]) == 2 * PROMPTS
        begun = vote_by_lines(person, review, "a3 shorter", "bc a better answer", "n rude" if number else "e", "e")
        assert "4 votes given" in begun and "come back with" in begun
        # The last vote of the first sitting is taken back in the second, and given otherwise.
        told = vote_by_lines(person, review, "z", "b", *["a"] * (2 * PROMPTS))
        assert "taken back" in told and "nothing is left" in told
    return review


def vote_by_lines(person: Person, review: str, *lines: str) -> str:
    """Lets a program vote, and returns what it is told."""
    (person.home / "votes.txt").write_text("".join(f"{line}\n" for line in lines))
    return person.says("review", "start", review, "--scripted", "votes.txt").stderr


def test_reviewers_see_items_and_nothing_else(reviewers: list[Person], judged: str) -> None:
    person = reviewers[0]
    for words in (["review", "items", judged], ["review", "stats", judged], ["models", "list"], ["feedback", "list"]):
        person.says(*words, code=5)
    own = person.says("review", "start", judged, "-o", "jsonl").stdout
    assert "models" not in own


def test_every_vote_is_in_the_ledger_once(owner: Person, judged: str) -> None:
    votes = owner.json("feedback", "list", "--review", judged, "--limit", "1000")
    standing = [vote for vote in votes if vote["state"] == "VOTE_STATE_SUBMITTED"]
    places = [(vote["item"], vote["reviewer"]) for vote in standing]
    assert len(places) == len(set(places)) == 4 * PROMPTS
    assert len([vote for vote in votes if vote["state"] == "VOTE_STATE_WITHDRAWN"]) == 2
    assert all(vote["scripted"] for vote in votes)
    shown = owner.says("feedback", "show", standing[0]["name"]).stdout
    assert "chat@v1" in shown and "a program voted" in shown


def test_the_votes_say_something(owner: Person, judged: str) -> None:
    shown = owner.says("review", "stats", judged).stdout
    assert f"{4 * PROMPTS} of {4 * PROMPTS} votes" in shown
    assert "Krippendorff's α" in shown and "Cohen's κ" in shown
    assert "of choices fell on the first answer shown" in shown
    assert len(owner.json("review", "items", judged)) == 2 * PROMPTS
    assert "prefers 0" in owner.says("review", "gold", f"{judged}/items/1", "--preferred", "0").stdout
    assert "gold items" in owner.says("review", "stats", judged).stdout


@pytest.fixture(scope="module")
def tuned(owner: Person, judged: str) -> str:
    """The version that was tuned on the votes."""
    frozen = owner.says("feedback", "freeze", judged, "--name", "prefs-1")
    assert "--feedback prefs-1 --method dpo" in frozen.stderr
    words = ["fine-tune", "--model", "chat@v1", "--feedback", "prefs-1", "--method", "dpo", "--steps", "5"]
    assert "published chat/versions/2" in owner.says(*words, "--batch-size", "2", "--watch").stdout
    return "chat@v2"


def test_a_set_is_exported_with_its_votes(owner: Person, tuned: str) -> None:
    known = {vote["name"].rsplit("/")[-1] for vote in owner.json("feedback", "list", "--limit", "1000")}
    rows = [json.loads(line) for line in owner.says("feedback", "export", "prefs-1").stdout.splitlines()]
    assert rows
    assert all({"prompt", "chosen", "rejected"} <= set(row) for row in rows)
    assert {vote.rsplit("/")[-1] for row in rows for vote in row["votes"]} <= known
    path = owner.says("feedback", "export", "prefs-1", "--format", "votes", "--to", "votes.jsonl").stdout.strip()
    assert len((owner.home / path).read_text().splitlines()) == int(owner.json("feedback", "sets", "prefs-1")["votes"])


def test_the_method_is_told_what_it_cannot_learn_from(owner: Person, tuned: str) -> None:
    prompts = next(item["name"] for item in owner.json("datasets", "list") if "/prompts-" in item["name"])
    words = ["fine-tune", "--model", "chat@v1", "--method", "dpo"]
    assert "rows of prompts" in owner.says(*words, "--dataset", prompts, code=2).stderr


@pytest.fixture(scope="module")
def promoted(owner: Person, tuned: str) -> str:
    """The alias of the tuned version, after a duel."""
    words = ["duel", "chat@v1", tuned, "--prompts", "held-out.jsonl", "--checker", "python-parses"]
    fought = owner.says(*words, "--max-tokens", "12", "--name", "first")
    assert "confidence" in fought.stdout and "6 of 6 pairs judged" in fought.stderr
    assert owner.json("duel", "show", "first")["result"]["pairs"] == "6"
    moved = owner.says("models", "promote", tuned, "--alias", "prod").stdout
    assert "chat@v2" in moved
    return "chat@prod"


def test_an_alias_is_a_name_for_a_version(owner: Person, promoted: str) -> None:
    assert "prod" in owner.says("models", "get", promoted).stdout
    owner.says("models", "promote", "chat@v1", "--alias", "prod")
    assert "chat@v2" in owner.says("models", "rollback", promoted).stdout
    assert len(owner.json("models", "aliases", promoted)["moves"]) == 3


def test_lineage_leads_back_to_the_first_row(owner: Person, promoted: str) -> None:
    shown = owner.says("lineage", promoted).stdout
    for word in ("chat@v2", "prefs-1", "helpfulness", "chat@v1", "dataset code", "prompts-", "sha256"):
        assert word in shown, word
    row = json.loads(owner.says("feedback", "export", "prefs-1").stdout.splitlines()[0])
    assert "chat@v2" in owner.says("feedback", "trace", row["votes"][0]).stdout


def test_a_retracted_vote_is_trained_without(owner: Person, promoted: str) -> None:
    rows = [json.loads(line) for line in owner.says("feedback", "export", "prefs-1").stdout.splitlines()]
    vote = rows[0]["votes"][0]
    told = owner.says("feedback", "retract", vote, "--reason", "asked to forget")
    assert "prefs-1" in told.stdout and "chat@v2" in told.stdout
    assert "holds a retracted vote" in owner.says("lineage", promoted).stdout
    refused = owner.says("models", "promote", "chat@v2", "--alias", "canary", code=1).stderr
    assert "retracted" in refused and "--force" in refused
    owner.says("models", "promote", "chat@v2", "--alias", "canary", "--force", "--reason", "only a test")
    again = owner.says("retrain", "chat@v2", "--watch").stdout
    assert "published chat/versions/3" in again
    assert "holds a retracted vote" not in owner.says("lineage", "chat@v3").stdout.splitlines()[0]


def test_applications_give_feedback_through_the_library(stack: Stack, owner: Person) -> None:
    with client_of(stack) as client:
        given = {"prompt": "Hello", "response": "Go away", "rating": -1, "correction": "Good morning!"}
        first = client.feedback.submit(**given, rationale="rude", source="app", request_id="17")  # type: ignore[arg-type]
        again = client.feedback.submit(**given, rationale="rude", source="app", request_id="17")  # type: ignore[arg-type]
        assert first.name == again.name
        client.feedback.submit(prompt="2+2?", responses=["4", "5"], preferred=0, strength=4)
        with pytest.raises(tutelage.InvalidArgument, match="correction"):
            client.feedback.submit(prompt="Hello", response="Good", correction="Good")
        with pytest.raises(tutelage.InvalidArgument):
            client.feedback.submit(prompt="Hello", response="Good", score=10)
        made = client.feedback.freeze(sources="app", name="from-app", validation_share=0)
        assert made.train is not None
        assert (made.votes, made.train.pairs, made.train.examples) == (2, 2, 1)
        kto = list(client.feedback.rows("from-app", format="kto"))
        assert sorted((row["completion"], row["label"]) for row in kto) == [("Go away", False), ("Good morning!", True)]


def test_answers_are_drawn_and_models_measured(owner: Person, review: str) -> None:
    job = owner.says("jobs", "draw", "--model", "chat@v1", "--prompts", "held-out.jsonl", "-o", "name").stdout.strip()
    owner.says("jobs", "wait", job)
    owner.says("jobs", "download", job, "--to", "answers")
    lines = (owner.home / "answers" / "answers.jsonl").read_text().splitlines()
    assert len(lines) == 12
    measured = owner.says("jobs", "evaluate", "--model", "chat@v1", "--dataset", "code", "-o", "name").stdout.strip()
    owner.says("jobs", "wait", measured)
    keys = {series["key"] for series in owner.json("jobs", "metrics", measured)}
    assert {"eval/loss", "eval/perplexity", "eval/bits_per_byte"} <= keys


def test_what_cannot_be_is_refused_in_words(owner: Person, reviewers: list[Person], review: str) -> None:
    assert (
        "did you mean" in owner.says("review", "create", "--model", "chta", "--prompts", "prompts.txt", code=1).stderr
    )
    assert "there are: helpfulness" in reviewers[0].says("review", "start", "helpfull", code=1).stderr
    owner.says("review", "update", review, "--overlap", "1", code=1)
    assert owner.says("duel", "chat@v1", "chat@v1", "--prompts", "held-out.jsonl", code=2).stderr
    owner.says("review", "create", "--model", "chat", "--prompts", "missing.jsonl", code=1)
    (pathlib.Path(owner.home) / "empty.txt").write_text("\n\n")
    assert "prompts" in owner.says("review", "create", "--model", "chat", "--prompts", "empty.txt", code=2).stderr

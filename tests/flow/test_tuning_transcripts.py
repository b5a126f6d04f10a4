"""The transcript of somebody who brings rows and a model, as real processes against a real house."""

import json
import pathlib
from collections.abc import Iterator

import pytest

import tutelage
from tests.flow.test_cli_transcripts import SMALL, Person
from tests.support.runs import TEXT, client_of
from tests.support.stack import Stack, running_stack

WORDS = ["apple", "river", "stone", "cloud", "bread", "light", "glass", "storm", "paper", "wheel"]
ROWS = [
    {"messages": [{"role": "user", "content": f"Join {a} and {b}"}, {"role": "assistant", "content": f"{a}-{b}"}]}
    for a in WORDS
    for b in WORDS
]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A house with a sampler."""
    with running_stack(tmp_path_factory.mktemp("house"), sampler=True) as running:
        yield running


@pytest.fixture(scope="module")
def person(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Person:
    """Somebody with a text, a model that was trained on it, and conversations."""
    home = tmp_path_factory.mktemp("home")
    (home / "shakespeare.txt").write_bytes(TEXT)
    write_rows(home / "talks.jsonl", [*ROWS, ROWS[0], ROWS[1]])
    somebody = Person(home, {"TUTELAGE_PROFILE": str(stack.profile)})
    somebody.says("datasets", "upload", "shakespeare.txt", "--name", "plays")
    small = [
        *SMALL,
        "--context-length",
        "128",
        "--checkpoint-interval-steps",
        "20",
        "--evaluation-interval-steps",
        "20",
    ]
    somebody.says(
        "train", "--dataset", "plays", "--steps", "40", *small, "--model", "base", "--job-id", "first", "--watch"
    )
    somebody.says("datasets", "upload", "talks.jsonl", "--name", "talks")
    return somebody


def write_rows(path: pathlib.Path, rows: list[dict[str, object]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_rows_are_described_and_bad_ones_listed(person: Person) -> None:
    shown = person.says("datasets", "get", "talks").stdout
    assert "conversations (jsonl)" in shown
    assert "2 (rows 101, 102); training leaves them out" in shown
    bad = [ROWS[0], {"messages": [{"role": "user", "content": 5}]}, {"messages": "none"}, ROWS[1]]
    write_rows(person.home / "bad.jsonl", bad)
    refused = person.says("datasets", "upload", "bad.jsonl", "--name", "bad", code=2).stderr
    lines = [line.split() for line in refused.splitlines()]
    assert ["ROW", "FIELD", "PROBLEM"] in lines
    assert [line[0] for line in lines if line and line[0].isdigit()] == ["2", "3"]
    assert [item["name"] for item in person.json("datasets", "list") if item["name"].endswith("/bad")] == []


def test_a_model_is_tuned_with_adapters_and_says_where_it_comes_from(person: Person) -> None:
    words = ["fine-tune", "--base", "base", "--dataset", "talks", "--lora", "rank=4,targets=query+value"]
    forecast = person.says(*words, "--steps", "10", "--dry-run").stdout
    assert "LoRA: rank 4" in forecast
    tuned = person.says(*words, "--steps", "10", "--batch-size", "4", "--model", "tuned", "--watch")
    assert "published tuned/versions/1" in tuned.stdout
    shown = person.says("models", "get", "tuned").stdout
    assert "fine-tuning with LoRA" in shown
    assert "base/versions/1" in shown
    assert person.says("sample", "tuned", "--prompt", "Join", "--max-tokens", "5").stdout.startswith("Join")


def test_a_run_is_held_to_its_receipt(person: Person) -> None:
    receipt = person.json("jobs", "receipt", "first")
    assert receipt["step"] == "40"
    assert len(receipt["dataset_sha256s"]) == 1
    assert "torch" in receipt["environment"]
    shown = person.says("jobs", "verify", "first", "--first-step", "21", "--steps", "5").stdout
    assert "21" in shown and "25" in shown
    assert person.json("jobs", "verify", "first", "--steps", "3")["kind"] == "verified"


def test_the_inside_of_a_step_is_shown(person: Person) -> None:
    shown = person.says("jobs", "inspect", "first", "--step", "25", "--text", "def decode(self):").stdout
    assert "the model of step 20 expects" in shown
    for words in ("Backward", "embedding", "Adjust", "weights differ from the first checkpoint"):
        assert words in shown
    answer = person.json("jobs", "inspect", "first", "--predictions", "2")
    assert answer["step"] == "40"
    assert all(len(token["predictions"]) == 2 for token in answer["tokens"][1:])
    person.says("jobs", "inspect", "first", "--text", "x", code=2)
    person.says("jobs", "inspect", "no-such-job", code=1)


def test_a_model_leaves_comes_back_and_says_the_same(person: Person) -> None:
    exported = person.says("models", "export", "base", "--to", "exported").stdout
    assert "model.safetensors" in exported
    person.says("models", "import", "exported", "--name", "back", "--watch")
    drawing = ["--prompt", "def ", "--max-tokens", "20", "--temperature", "0"]
    assert person.says("sample", "back", *drawing).stdout == person.says("sample", "base", *drawing).stdout
    assert "import" in person.says("models", "get", "back").stdout


def test_the_files_of_a_job_come_home_once(person: Person) -> None:
    assert "model.safetensors" in person.says("jobs", "files", "first", "-o", "name").stdout.split()
    person.says("jobs", "download", "first", "--to", "files")
    before = {path.name: path.stat().st_mtime_ns for path in (person.home / "files").iterdir()}
    person.says("jobs", "download", "first", "--to", "files")
    assert {path.name: path.stat().st_mtime_ns for path in (person.home / "files").iterdir()} == before
    (person.home / "files" / "config.json").write_text("mine")
    assert "--overwrite" in person.says("jobs", "download", "first", "--to", "files", code=1).stderr


def test_what_cannot_be_is_refused_in_words(person: Person) -> None:
    refused = person.says("fine-tune", "--base", "bse", "--dataset", "talks", code=1).stderr
    assert "did you mean 'base'?" in refused
    refused = person.says("fine-tune", "--base", "base", "--dataset", "talks", "--lora", "targets=qery", code=2).stderr
    assert "did you mean 'query'?" in refused
    refused = person.says("train", "--dataset", "plays", "--momentum", "0.9", code=2).stderr
    assert "spec.optimization.momentum" in refused
    assert "pickle" in person.says("models", "import", str(pickled(person.home)), "--name", "x", code=2).stderr


def pickled(home: pathlib.Path) -> pathlib.Path:
    folder = home / "pickled"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    return folder


def test_the_library_tells_the_same_story(person: Person, stack: Stack, tmp_path: pathlib.Path) -> None:
    with client_of(stack) as client:
        base = client.models.version("base")
        checkpoint = next(c for c in client.jobs.checkpoints("first") if c.step == 20)
        job = client.fine_tune(checkpoint, "talks", steps=3, batch_size=4, model="library")
        version = job.result(timeout=100)
        assert version.fine_tune is not None and version.fine_tune.lora is None
        assert version.name != base.name
        paths = job.download(tmp_path / "files")
        assert "model.safetensors" in {path.name for path in paths}
        assert client.jobs.verify("first", steps=2).verdict(timeout=100).kind == "verified"
        with pytest.raises(tutelage.NotFound):
            client.jobs.receipt("no-such-job")

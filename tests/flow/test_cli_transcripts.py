"""The first transcripts of a new user, as real processes against a real house."""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.runs import TEXT, TINY
from tests.support.stack import Stack, running_stack
from tests.support.waiting import wait_for

# The flags of a run whose steps take milliseconds.
SMALL = [word for name, value in TINY.items() for word in (f"--{name.replace('_', '-')}", str(value))]
PROGRAM = pathlib.Path(sys.executable).with_name("tutelage")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A house with a sampler."""
    with running_stack(tmp_path_factory.mktemp("house"), sampler=True) as running:
        yield running


@pytest.fixture(scope="module")
def person(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> "Person":
    """Somebody at a shell, with the profile of the house and a text."""
    home = tmp_path_factory.mktemp("home")
    (home / "shakespeare.txt").write_bytes(TEXT)
    return Person(home, {"TUTELAGE_PROFILE": str(stack.profile)})


class Person:
    """A shell in a home folder."""

    def __init__(self, home: pathlib.Path, variables: dict[str, str]) -> None:
        self.home = home
        clean = {name: value for name, value in os.environ.items() if not name.startswith("TUTELAGE_")}
        self.environment = {**clean, "HOME": str(home), **variables}

    def start(self, *words: str) -> "subprocess.Popen[str]":
        """Starts `tutelage` with these words."""
        return subprocess.Popen(
            [PROGRAM, *words],
            cwd=self.home,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def says(self, *words: str, code: int = 0) -> "subprocess.CompletedProcess[str]":
        """Runs `tutelage` with these words; it must end as expected."""
        process = self.start(*words)
        stdout, stderr = process.communicate(timeout=100)
        assert process.returncode == code, f"{words}: {stdout}\n{stderr}"
        return subprocess.CompletedProcess(words, code, stdout, stderr)

    def json(self, *words: str) -> Any:
        """Returns the JSON that a command prints."""
        return json.loads(self.says(*words, "-o", "json").stdout)


def test_the_whole_transcript(person: Person) -> None:
    uploaded = person.says("datasets", "upload", "shakespeare.txt", "--name", "plays").stdout
    assert f"{len(TEXT):,} as bytes" in uploaded
    assert "validation" in uploaded
    words = ["train", "--dataset", "plays", "--preset", "tiny", "--steps", "300", *SMALL]
    trained = person.says(*words, "--watch")
    assert "step 300/300" in trained.stdout
    assert "published plays-tiny/versions/1: validation loss" in trained.stdout
    assert "tutelage sample plays-tiny" in trained.stderr
    assert "plays-tiny" in person.says("models", "list").stdout
    drawn = person.says("sample", "plays-tiny", "--prompt", "To be", "--max-tokens", "30", "--seed", "3").stdout
    assert drawn.startswith("To be")
    assert len(drawn) > len("To be") + 10
    forecast = person.says(*words, "--dry-run")
    assert re.search("training time +about", forecast.stdout), "the cluster has run something to compare with"
    assert len(person.json("jobs", "list")) == 1


def test_uploading_the_same_text_again_changes_nothing(person: Person) -> None:
    first = person.json("datasets", "upload", "shakespeare.txt", "--name", "twice")
    assert person.json("datasets", "upload", "shakespeare.txt", "--name", "twice") == first
    person.says("datasets", "delete", "twice")
    again = person.json("datasets", "upload", "shakespeare.txt", "--name", "twice")
    assert again["uid"] != first["uid"]
    assert again["sha256"] == first["sha256"]


@pytest.fixture
def long_job(person: Person) -> Iterator[str]:
    """A job that goes on until it is told to stop."""
    names = [item["name"] for item in person.json("datasets", "list")]
    if "projects/default/datasets/long" not in names:
        person.says("datasets", "upload", "shakespeare.txt", "--name", "long")
    name = person.says("train", "--dataset", "long", "--steps", "1000000", *SMALL, "-o", "name").stdout.strip()
    yield name
    subprocess.run([PROGRAM, "jobs", "cancel", name], env=person.environment, capture_output=True)


def progress(person: Person, name: str) -> int:
    return int(person.json("jobs", "get", name)["progress"]["step"])


def test_ctrl_c_leaves_a_watch_and_the_job_goes_on(person: Person, long_job: str) -> None:
    watch = person.start("jobs", "watch", long_job, "-o", "jsonl")
    assert watch.stdout is not None
    next(line for line in watch.stdout if '"metric_logged"' in line)
    watch.send_signal(signal.SIGINT)
    _, stderr = watch.communicate(timeout=30)
    assert watch.returncode == 130
    assert f"tutelage jobs watch {long_job.rsplit('/')[-1]}" in stderr
    before = progress(person, long_job)
    wait_for(lambda: progress(person, long_job) > before, limit_s=30, what="more steps")


def test_a_job_is_paused_explained_resumed_and_cancelled(person: Person, long_job: str) -> None:
    wait_for(lambda: progress(person, long_job) > 0, limit_s=60, what="a first step")
    person.says("jobs", "pause", long_job)
    wait_for(lambda: person.json("jobs", "get", long_job)["state"] == "JOB_STATE_PAUSED", limit_s=30)
    assert person.says("jobs", "explain", long_job).stdout.strip()
    assert person.says("jobs", "wait", long_job, "--limit-seconds", "0.5", code=4).stdout == ""
    assert "QUEUED" in person.says("jobs", "resume", long_job).stdout
    person.says("jobs", "cancel", long_job)
    person.says("jobs", "wait", long_job, code=3)
    person.says("jobs", "watch", long_job, "-o", "json", code=3)
    kinds = {kind for event in person.json("jobs", "events", long_job) for kind in event}
    assert "state_changed" in kinds
    assert "metric_logged" not in kinds
    assert person.json("jobs", "metrics", long_job, "train/loss")[0]["steps"]
    assert person.json("jobs", "checkpoints", long_job)[0]["name"].startswith(f"{long_job}/checkpoints/")


def test_what_cannot_be_is_refused_in_words(person: Person) -> None:
    person.says("datasets", "upload", "shakespeare.txt", "--name", "words")
    refused = person.says("train", "--dataset", "wrods", code=1)
    assert "did you mean 'words'?" in refused.stderr
    refused = person.says("train", "--dataset", "words", "--heads", "5", "--steps", "0", code=2)
    assert "spec.architecture.heads" in refused.stderr
    assert "spec.steps" in refused.stderr
    refused = person.says("datasets", "upload", "shakespeare.txt", "--name", "No Such Name", code=2)
    assert "dataset_id" in refused.stderr
    (person.home / "binary").write_bytes(b"to be\n\xff\xfe\n" * 100)
    refused = person.says("datasets", "upload", "binary", "--name", "binary", code=2)
    assert "UTF-8" in refused.stderr
    assert person.json("jobs", "list", "--filter", 'dataset = "words"') == []


def test_a_viewer_may_look_and_not_touch(person: Person, stack: Stack) -> None:
    secret = person.says("keys", "create", "--role", "viewer", "--display-name", "guest").stdout.strip()
    guest = Person(person.home, {"TUTELAGE_ADDRESS": stack.address, "TUTELAGE_API_KEY": secret})
    guest.says("jobs", "list")
    assert "jobs.create" in guest.says("train", "--dataset", "words", code=5).stderr
    guest.says("keys", "list", code=5)
    person.says("keys", "revoke", secret.split("_")[1])
    guest.says("jobs", "list", code=5)


def test_the_doctor_finds_a_healthy_house(person: Person) -> None:
    checks = {check["name"]: check["good"] for check in person.json("doctor")}
    assert {"configuration", "connection", "key", "version", "workers", "clock"} <= set(checks)
    assert False not in checks.values()


@pytest.mark.parametrize("words", [["info"], ["workers"], ["queues"], ["audit"], ["keys", "list"], ["models", "list"]])
def test_everything_can_be_listed(person: Person, words: list[str]) -> None:
    person.says(*words)
    assert person.json(*words)


def test_up_hands_over_to_the_program_that_runs_the_house(person: Person) -> None:
    refused = person.start("up", "--data-dir", str(person.home / "up"), "--port", "70000")
    _, stderr = refused.communicate(timeout=30)
    assert refused.returncode == 2
    assert "a port is 0 to 65535" in stderr

"""The library on a line that breaks: real processes are killed under watches, uploads and submissions."""

import asyncio
import json
import pathlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import tutelage
from tests.support.runs import TEXT, assert_gapless, client_of, submit, upload_text, wait_for_step
from tests.support.stack import Stack, running_stack
from tests.support.waiting import wait_for

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"
LARGE = TEXT * 400


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A house with a sampler and room for two jobs."""
    with running_stack(tmp_path_factory.mktemp("house"), sampler=True, slots=2) as running:
        upload_text(client_of(running), name="plays")
        yield running


@pytest.fixture
def client(stack: Stack) -> Iterator[tutelage.Client]:
    """The admin."""
    with client_of(stack) as opened:
        yield opened


def test_both_clients_see_every_event_once_while_gateway_and_services_die(
    stack: Stack, client: tutelage.Client
) -> None:
    job = submit(client, dataset="plays", steps=800)
    asynchronous: list[tutelage.JobEvent] = []
    watching = threading.Thread(target=lambda: asyncio.run(collect(stack, job.name, asynchronous)))
    watching.start()
    blocking = []
    killed: set[str] = set()
    for event in job.watch(timeout=100):
        blocking.append(event)
        step = event.metric_logged.step if event.metric_logged is not None else 0
        for name, at in (("gateway", 100), ("services", 400)):
            if step >= at and name not in killed:
                killed.add(name)
                stack.kill(name)
    watching.join(timeout=60)
    assert killed == {"gateway", "services"}
    assert_gapless(blocking)
    assert asynchronous == blocking
    assert job.result().steps == 800


async def collect(stack: Stack, name: str, into: list[tutelage.JobEvent]) -> None:
    async with tutelage.AsyncClient(address=stack.address, api_key=stack.api_key) as client:
        async for event in client.jobs.watch(name, timeout=100):
            into.append(event)


def test_an_upload_goes_on_when_the_gateway_is_killed(stack: Stack, client: tutelage.Client) -> None:
    killed: list[int] = []

    def kill_in_the_middle(sent_bytes: int, size_bytes: int) -> None:
        if sent_bytes > size_bytes // 2 and not killed:
            killed.append(stack.kill("gateway"))

    dataset = client.datasets.upload(LARGE, name="large", on_progress=kill_in_the_middle)
    assert killed
    assert dataset.size_bytes == len(LARGE)
    assert dataset.rows == LARGE.count(b"\n")


def test_a_submission_that_meets_a_dead_gateway_makes_one_job(stack: Stack, client: tutelage.Client) -> None:
    old_pid = stack.kill("gateway")
    job = submit(client, dataset="plays", steps=5, labels={"test": "once"})
    assert [found.name for found in client.jobs.list(filter='labels.test = "once"')] == [job.name]
    stack.wait_for_new_pid("gateway", old_pid)
    job.cancel()


def test_a_paused_job_is_steered_while_it_is_watched(client: tutelage.Client) -> None:
    job = submit(client, dataset="plays", steps=100_000)
    wait_for_step(job, 10)
    job.pause()
    events: list[tutelage.JobEvent] = []
    for event in job.watch(timeout=60):
        events.append(event)
        if event.state_changed is not None and event.state_changed.to is tutelage.JobState.PAUSED:
            job.cancel()
    assert_gapless(events)
    assert job.state is tutelage.JobState.CANCELLED


def run_example(stack: Stack, name: str, *words: str) -> "subprocess.Popen[str]":
    environment = {**stack.environment, "PATH": "/usr/bin:/bin", "HOME": str(stack.data_dir)}
    return subprocess.Popen(
        [sys.executable, EXAMPLES / name, *words],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def output_of(example: "subprocess.Popen[str]") -> str:
    said, _ = example.communicate(timeout=110)
    assert example.returncode == 0, said
    return said


def test_the_example_that_pretrains(stack: Stack, tmp_path: pathlib.Path) -> None:
    (tmp_path / "text.txt").write_bytes(TEXT)
    said = output_of(run_example(stack, "pretrain.py", str(tmp_path / "text.txt"), "--steps", "3", "--prompt", "def "))
    for words in ("byte tokens", "SUCCEEDED", "step 3: validation loss", "nats per token", "def "):
        assert words in said


def test_the_examples_that_compare_and_follow(stack: Stack, client: tutelage.Client) -> None:
    comparing = run_example(stack, "compare_learning_rates.py", "plays", "1e-3", "3e-3", "--steps", "3")
    found: Any = wait_for(
        lambda: list(client.jobs.list(filter='labels.experiment = "learning-rates"')), limit_s=30, what="a job"
    )
    following = run_example(stack, "follow_many.py")
    compared, followed = output_of(comparing), output_of(following)
    assert len(compared.splitlines()) == 3
    assert f"{found[0].name}: SUCCEEDED" in followed


def test_the_example_that_steers(stack: Stack, client: tutelage.Client) -> None:
    job = submit(client, dataset="plays", steps=800)
    wait_for_step(job, 10)
    said = output_of(run_example(stack, "steer.py", job.name))
    assert f"{job.name}: SUCCEEDED" in said
    assert len(said.splitlines()) == 2


def test_the_example_that_tunes(stack: Stack, client: tutelage.Client, tmp_path: pathlib.Path) -> None:
    submit(client, dataset="plays", steps=3, model="to-tune").result(timeout=60)
    rows = [{"prompt": f"{number} + 1 = ", "completion": str(number + 1)} for number in range(200)]
    (tmp_path / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = [str(tmp_path / "sums.jsonl"), "--base", "to-tune", "--steps", "3", "--text", "1 + 1 = 2"]
    said = output_of(run_example(stack, "fine_tune.py", *words))
    for part in ("200 rows", "to-tune/versions/2, from", "step 3: loss", "gradient norm"):
        assert part in said


def test_the_example_that_proves(stack: Stack, client: tutelage.Client) -> None:
    job = submit(client, dataset="plays", steps=20, checkpoint_interval_steps=10)
    job.wait(timeout=60)
    said = output_of(run_example(stack, "prove.py", job.name, "--steps", "5"))
    assert "seed 7, 20 steps" in said
    assert "came out the same" in said


def test_the_example_that_reviews(stack: Stack, client: tutelage.Client) -> None:
    submit(client, dataset="plays", steps=3, model="to-review").result(timeout=60)
    prompts = ["x = ", "import ", "return "]
    client.reviews.create("to-review", prompts=prompts, name="lines", pairs=2, max_tokens=6, seed=5)
    said = output_of(run_example(stack, "parsing_reviewer.py", "lines"))
    votes = list(client.feedback.list(review="lines"))
    assert f"{len(votes)} votes" in said
    assert {vote.scripted for vote in votes} == {True}
    assert client.reviews.list_open()[0].items_left == 0


def test_every_example_is_run_by_a_test() -> None:
    text = pathlib.Path(__file__).read_text()
    assert [path.name for path in EXAMPLES.glob("*.py") if f'"{path.name}"' not in text] == []
    page = (EXAMPLES / "README.md").read_text()
    assert [path.name for path in EXAMPLES.glob("*.py") if path.name not in page] == []

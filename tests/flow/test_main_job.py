"""The main job, from a visitor to a visitor: upload, train, watch, steer, sample."""

import json
import math
import urllib.request
from collections.abc import Iterator

import pytest

import tutelage
from tests.support.runs import assert_gapless, client_of, submit, upload_text, wait_for_step
from tests.support.stack import Stack, running_stack
from tests.support.waiting import wait_for

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A house with a sampler."""
    with running_stack(tmp_path_factory.mktemp("house"), sampler=True) as running:
        upload_text(client_of(running), name="plays")
        yield running


@pytest.fixture(scope="module")
def client(stack: Stack) -> tutelage.Client:
    """The admin."""
    return client_of(stack)


def test_a_model_trained_through_the_api_learns_and_can_be_sampled(client: tutelage.Client) -> None:
    job = submit(client, dataset="plays", steps=400, learning_rate=0.01)
    events = list(job.watch())
    assert_gapless(events)
    losses = [event.metric_logged.values["train/loss"] for event in events if event.metric_logged]
    assert len(losses) == 400
    assert losses[0] == pytest.approx(math.log(257), rel=0.1)
    assert sum(losses[-20:]) / 20 < losses[0] - 1.5
    model = job.result()
    text = model.sample("def ", max_tokens=40, seed=3).text
    assert text == model.sample("def ", max_tokens=40, seed=3).text
    assert "".join(part.text for part in model.stream("def ", max_tokens=40, seed=3)) == text


def test_the_forecast_counts_the_weights_that_the_model_has(client: tutelage.Client) -> None:
    wanted = client.forecast("plays", layers=1, width=32, heads=2, context_length=32, batch_size=4)
    job = client.train("plays", steps=60, layers=1, width=32, heads=2, context_length=32, batch_size=4)
    assert job.result().parameters == wanted.parameters
    assert client.forecast("plays", layers=1, width=32, heads=2, context_length=32, batch_size=4).duration_seconds


def test_a_paused_job_goes_on_from_where_it_stopped(client: tutelage.Client) -> None:
    job = submit(client, dataset="plays", steps=2000)
    wait_for_step(job, 100)
    job.pause()
    wait_for(lambda: str(job.refresh().state) == "PAUSED", limit_s=30)
    step = job.progress.step
    assert 100 <= step < 2000
    assert job.progress.checkpoint_step == step
    job.resume()
    job.wait(timeout=90)
    events = list(job.watch())
    assert_gapless(events)
    assert [event.metric_logged.step for event in events if event.metric_logged] == list(range(1, 2001))
    assert str(job.state) == "SUCCEEDED"


def test_a_waiting_job_says_why_it_waits(client: tutelage.Client) -> None:
    busy = submit(client, dataset="plays", steps=100_000)
    wait_for_step(busy, 1)
    waiting = submit(client, dataset="plays", steps=5)
    explanation = waiting.explain()
    assert explanation.queue_position == 0
    assert any("busy" in finding.fact or "slot" in finding.fact for finding in explanation.findings), explanation
    waiting.cancel()
    busy.cancel()
    busy.wait(timeout=30)


def test_bpe_tokens_are_trained_and_sampled(client: tutelage.Client) -> None:
    job = submit(client, dataset="plays", steps=50, tokenizer="bpe", vocabulary_size=400, model="bpe")
    version = job.result()
    assert version.validation_bits_per_byte < version.validation_loss / math.log(2)
    assert version.sample("def decode", max_tokens=20, seed=1).text


def test_curl_can_list_jobs_and_watch_one(client: tutelage.Client, stack: Stack) -> None:
    job = submit(client, dataset="plays", steps=5)
    job.wait(timeout=60)
    headers = {"authorization": f"Bearer {stack.api_key}", "content-type": "application/json"}
    url = f"{stack.http_address}/tutelage.v1.Jobs/ListJobs"
    request = urllib.request.Request(url, data=b'{"parent": "projects/-"}', headers=headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        jobs = json.loads(answer.read())["jobs"]
    assert jobs[0]["name"] == job.name


def test_metrics_are_thinned_by_the_server(client: tutelage.Client) -> None:
    job = submit(client, dataset="plays", steps=300)
    job.wait(timeout=60)
    series = job.metrics("train/loss", points_max=50)["train/loss"]
    assert len(series.steps) <= 50
    assert series.steps[-1] == 300
    assert all(low <= mean <= high for low, mean, high in zip(series.minima, series.means, series.maxima, strict=True))

"""What the tests of the visitor share: a running stand-in, and both clients behind one face."""

import asyncio
import pathlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

import tutelage
from tests.unit.sdk.service_double import KEY, ServiceDouble
from tutelage.v1 import jobs_pb2, models_pb2

RETRY_S = 1.0


@pytest.fixture
def service() -> Iterator[ServiceDouble]:
    """A running service with nothing in it."""
    with ServiceDouble() as double:
        yield double


@pytest.fixture(autouse=True)
def own_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    """Hides the profiles and variables of the person who runs the tests."""
    for name in ("ADDRESS", "API_KEY", "PROFILE", "DATA_DIR", "CA_FILE"):
        monkeypatch.delenv(f"TUTELAGE_{name}", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr("tutelage._retry.FIRST_BACKOFF_S", 0.001)


@pytest.fixture(params=["blocking", "asyncio"])
def client(request: pytest.FixtureRequest, service: ServiceDouble) -> Iterator[Any]:
    """The blocking client, and the asyncio client behind the same blocking face."""
    if request.param == "blocking":
        with tutelage.Client(address=service.address, api_key=KEY, retry_s=RETRY_S) as blocking:
            yield blocking
        return
    with Loop() as loop:
        asynchronous = tutelage.AsyncClient(address=service.address, api_key=KEY, retry_s=RETRY_S)
        yield Awaiting(asynchronous, loop)
        loop.wait(asynchronous.close())


class Loop:
    """An event loop in a thread of its own."""

    def __enter__(self) -> "Loop":
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.wait(self.loop.shutdown_asyncgens())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    def wait(self, awaitable: Any) -> Any:
        """Returns what an awaitable gives."""
        return asyncio.run_coroutine_threadsafe(self._await(awaitable), self.loop).result(timeout=60)

    async def _await(self, awaitable: Any) -> Any:
        return await awaitable


class Awaiting:
    """Turns every coroutine of an object into a call and every asynchronous iterator into an iterator."""

    def __init__(self, subject: Any, loop: Loop) -> None:
        self._subject = subject
        self._loop = loop

    def __getattr__(self, name: str) -> Any:
        return self._face(getattr(self._subject, name))

    def _face(self, value: Any) -> Any:
        if asyncio.iscoroutine(value):
            return self._face(self._loop.wait(value))
        if isinstance(value, AsyncIterator):
            return self._iterate(value)
        if callable(value) and not isinstance(value, type):
            return self._call(value)
        return Awaiting(value, self._loop) if type(value).__name__.startswith("Async") else value

    def _call(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *arguments, **named: self._face(function(*arguments, **named))

    def _iterate(self, iterator: Any) -> Iterator[Any]:
        try:
            while True:
                yield self._face(self._loop.wait(anext(iterator)))
        except StopAsyncIteration:
            return
        finally:
            self._loop.wait(iterator.aclose())


def add_job(service: ServiceDouble, *, state: int = jobs_pb2.JOB_STATE_SUCCEEDED, steps: int = 20) -> str:
    """Gives the service a job with a whole history and, if it succeeded, its model."""
    name = "projects/p/jobs/plays-tiny-x7k2"
    version = "projects/p/models/plays-tiny/versions/1"
    job = jobs_pb2.Job(name=name, state=state, model_version=version if state == jobs_pb2.JOB_STATE_SUCCEEDED else "")
    job.train.dataset = "projects/p/datasets/plays"
    job.train.preset, job.train.steps, job.train.model = "tiny", steps, "plays-tiny"
    job.train.architecture.layers = 4
    job.progress.step, job.progress.steps_total, job.progress.loss = steps, steps, 1.5
    for moment in (job.create_time, job.start_time, job.end_time):
        moment.GetCurrentTime()
    if state == jobs_pb2.JOB_STATE_FAILED:
        job.failure.reason = jobs_pb2.FAILURE_REASON_DIVERGED
        job.failure.message, job.failure.help = "the loss became infinite at step 7", "lower the learning rate"
    service.jobs[name] = job
    latest = models_pb2.ModelVersion(name=version, version=1, parameters=1_200_000, steps=steps, validation_loss=1.7)
    latest.train.CopyFrom(job.train)
    service.models["projects/p/models/plays-tiny"] = models_pb2.Model(
        name="projects/p/models/plays-tiny", latest_version=latest, versions=1
    )
    service.events = history(job, steps=steps)
    return name


def history(job: jobs_pb2.Job, *, steps: int) -> list[jobs_pb2.JobEvent]:
    """Returns the events of a job: states, metrics, a sample, a checkpoint, a note, and its end."""
    events = [jobs_pb2.JobEvent(state_changed=jobs_pb2.StateChanged(to=jobs_pb2.JOB_STATE_QUEUED))]
    running = jobs_pb2.StateChanged(to=jobs_pb2.JOB_STATE_RUNNING, message="on workers/w1")
    events.append(jobs_pb2.JobEvent(state_changed=running, epoch=1))
    for step in range(1, steps + 1):
        values = {"train/loss": 3 / step + 1, "perf/tokens_per_second": 41_000.0, "perf/step_seconds": 0.1}
        if step % 10 == 0:
            values["eval/loss"] = 3 / step + 1.1
        events.append(jobs_pb2.JobEvent(metric_logged=jobs_pb2.MetricLogged(step=step, values=values), epoch=1))
    drawn = jobs_pb2.SampleDrawn(step=steps, prompt="To be", text=" or not\x1b[2J to be")
    events.append(jobs_pb2.JobEvent(sample_drawn=drawn, epoch=1))
    events.append(
        jobs_pb2.JobEvent(checkpoint_committed=jobs_pb2.CheckpointCommitted(step=steps, size_bytes=5_000_000))
    )
    events.append(jobs_pb2.JobEvent(note=jobs_pb2.Note(level=jobs_pb2.NOTE_LEVEL_WARNING, message="a worker was lost")))
    end = jobs_pb2.StateChanged(to=job.state, model_version=job.model_version)
    events.append(jobs_pb2.JobEvent(state_changed=end, epoch=1))
    for cursor, event in enumerate(events, start=1):
        event.cursor = cursor
        event.time.GetCurrentTime()
    return events

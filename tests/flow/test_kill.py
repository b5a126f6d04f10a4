"""Whatever is killed, a job ends as if nothing had happened."""

import pathlib
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.runs import (
    assert_gapless,
    children,
    client_of,
    command_line,
    deterministic_metrics,
    final_weights,
    kill_trainer,
    submit,
    trainer_pid,
    upload_text,
    wait_for_step,
    wait_until_answered,
)
from tests.support.stack import Stack, running_stack
from tests.support.waiting import wait_for

pytestmark = pytest.mark.timeout(400)

STEPS = 1500


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A house on each database, with a dataset in it."""
    url = request.getfixturevalue("postgresql_url") if request.param == "postgresql" else None
    with running_stack(tmp_path_factory.mktemp("house"), database_url=url) as stack:
        upload_text(client_of(stack))
        yield stack


@pytest.fixture(scope="module")
def undisturbed(house: Stack) -> Any:
    """A run that nobody disturbs."""
    job = submit(client_of(house), steps=STEPS)
    job.wait(timeout=120)
    return job


def kill(name: str) -> Callable[[Stack], None]:
    """Returns a deed that kills one part and waits until it is back."""

    def deed(stack: Stack) -> None:
        stack.wait_for_new_pid(name, stack.kill(name))
        wait_until_answered(client_of(stack))

    return deed


def kill_the_trainer(stack: Stack) -> None:
    """Kills the trainer alone."""
    kill_trainer(stack)


# Services come last: while they are away training goes on, and may be over before they are back.
DEEDS = [(100, kill_the_trainer), (300, kill("supervisor")), (500, kill("gateway")), (700, kill("services"))]


def test_a_run_through_every_kill_ends_with_the_same_weights_and_metrics(house: Stack, undisturbed: Any) -> None:
    job = submit(client_of(house), steps=STEPS)
    for step, deed in DEEDS:
        wait_for_step(job, step)
        deed(house)
    events = list(client_of(house).jobs.watch(job.name, timeout=180))
    assert_gapless(events)
    assert str(job.refresh().state) == "SUCCEEDED", house.all_logs()
    # Training that was over when its supervisor died is not repeated: the spool tells the rest.
    assert job.info.attempts in (2, 3)
    wanted = deterministic_metrics(list(undisturbed.watch()))
    assert [step for step, _ in wanted] == list(range(1, STEPS + 1))
    assert deterministic_metrics(events) == wanted
    assert final_weights(house, job) == final_weights(house, undisturbed)


def test_the_trainer_leaves_within_two_seconds_of_its_supervisor(house: Stack) -> None:
    job = submit(client_of(house), steps=100_000)
    wait_for_step(job, 1)
    trainer = wait_for(lambda: trainer_pid(house), limit_s=20)
    old = house.kill("supervisor")
    wait_for(lambda: not pathlib.Path(f"/proc/{trainer}").exists(), limit_s=2, what="the trainer is gone")
    house.wait_for_new_pid("supervisor", old)
    job.cancel()
    job.wait(timeout=60)
    assert str(job.state) == "CANCELLED"


def test_cancel_ends_with_no_process_left(house: Stack) -> None:
    job = submit(client_of(house), steps=100_000)
    wait_for_step(job, 1)
    assert trainer_pid(house)
    job.cancel()
    job.wait(timeout=60)
    assert str(job.state) == "CANCELLED"
    assert trainer_pid(house) is None


def test_a_supervisor_frozen_past_its_lease_changes_nothing_when_it_wakes(house: Stack) -> None:
    job = submit(client_of(house), steps=100_000)
    wait_for_step(job, 1)
    frozen = house.kill("supervisor", signal.SIGSTOP)
    epoch = job.info.attempts
    wait_for(lambda: str(job.refresh().state) in ("BACKOFF", "QUEUED"), limit_s=40, what="the lease is lost")
    before = events_of(house, job, epoch=epoch)
    house.kill("supervisor", signal.SIGCONT)
    wait_for(lambda: job.refresh().info.attempts > epoch and str(job.state) == "RUNNING", limit_s=60)
    assert events_of(house, job, epoch=epoch) == before
    assert house.pids()["supervisor"] == frozen
    assert "another one holds the job" in house.log("supervisor")
    assert sum("trainer_worker.trainer" in command_line(pid) for pid in children(frozen)) == 1
    job.cancel()
    job.wait(timeout=60)


def events_of(stack: Stack, job: Any, *, epoch: int) -> list[int]:
    """Returns the cursors of what one attempt wrote, but for what services wrote about its end."""
    events = client_of(stack).jobs.watch(job.name, timeout=0.5)
    cursors = []
    try:
        for event in events:
            if event.epoch == epoch and (event.metric_logged or event.checkpoint_committed or event.sample_drawn):
                cursors.append(event.cursor)
    except TimeoutError:
        pass
    return cursors

"""A trainer started in advance is used, replaced, and never outlives or outnumbers what it should."""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from tests.support import rehearsal_trainer
from tests.support.runs import (
    children,
    client_of,
    command_line,
    deterministic_metrics,
    final_weights,
    submit,
    trainer_pid,
    upload_text,
)
from tests.support.stack import running_stack
from tests.support.supervisors import Workshop, alive, workshop
from tests.support.waiting import wait_for
from trainer_worker.supervisor import processes
from tutelage_internal.v1 import workers_pb2

ON = {"TUTELAGE_SPARE_TRAINERS": "1"}
STARTED, AGAIN = "a spare trainer is started", "the spare trainer is started again"


@pytest.fixture
def shop() -> Iterator[Workshop]:
    with workshop() as opened:
        yield opened


def trainers_of(supervisor: subprocess.Popen[bytes]) -> set[int]:
    """All trainer processes of a supervisor, with and without a job."""
    return {pid for pid in children(supervisor.pid) if "trainer.py" in command_line(pid) and alive(pid)}


def spare_of(shop: Workshop, supervisor: subprocess.Popen[bytes], *others: int) -> int:
    """The trainer without a job, waited for: one that has found nothing yet, and is none of the others."""
    found = {trainer["pid"] for job in shop.services.jobs.values() for trainer in shop.trainers(job)}
    (pid,) = wait_for(lambda: trainers_of(supervisor) - found - {*others}, "a spare trainer")
    return pid


def logged(shop: Workshop, message: str) -> list[dict[str, object]]:
    return [line for line in shop.log_lines() if line["message"] == message]


def test_the_spare_gets_the_next_job_and_another_one_is_started(shop: Workshop) -> None:
    supervisor = shop.start(**ON)
    spare = spare_of(shop, supervisor)
    job = shop.services.submit(steps=10_000, pause_s=0.01)
    assert shop.trainer(job)["pid"] == spare
    assert spare_of(shop, supervisor) != spare
    assert len(trainers_of(supervisor)) == 2


def test_it_finds_what_any_trainer_finds(shop: Workshop) -> None:
    shop.start()
    fresh = shop.services.submit(steps=1)
    wait_for(fresh.outcome, "the attempt ends")
    shop.end()
    shop.services.start()
    supervisor = shop.start(**ON)
    spare = spare_of(shop, supervisor)
    (session,) = {process.session for process in processes.living() if process.pid == spare}
    assert session == spare
    job = shop.services.submit(steps=1)
    wait_for(job.outcome, "the attempt ends")
    (seen, expected) = (shop.trainer(each) for each in (job, fresh))
    assert seen["pid"] == spare
    own = {"TMPDIR", "TUTELAGE_TRAINER_MARK"}
    assert {k: v for k, v in seen["environ"].items() if k not in own} == {
        k: v for k, v in expected["environ"].items() if k not in own
    }
    assert set(seen["environ"]) == set(expected["environ"]) and seen["fds"] == expected["fds"]
    assert not pathlib.Path(seen["environ"]["TMPDIR"]).exists()


def test_it_takes_no_slot_and_is_no_attempt(shop: Workshop) -> None:
    supervisor = shop.start(**ON)
    spare_of(shop, supervisor)
    before = shop.services.count("Heartbeat")
    wait_for(lambda: shop.services.count("Heartbeat") > before + 2, "heartbeats with a spare")
    beat = shop.services.last("Heartbeat")
    assert (beat.worker.slots_used, len(beat.attempts)) == (0, 0)
    assert logged(shop, "attempt begins") == []


def test_a_killed_spare_is_replaced_and_jobs_do_not_notice(shop: Workshop) -> None:
    supervisor = shop.start(**ON)
    spare = spare_of(shop, supervisor)
    os.kill(spare, signal.SIGKILL)
    job = shop.services.submit(steps=5)
    wait_for(job.outcome, "the attempt ends")
    assert job.outcome() == workers_pb2.OUTCOME_COMPLETE and job.epoch == 1
    assert shop.trainer(job)["pid"] != spare
    assert spare_of(shop, supervisor) != spare
    assert not alive(spare)


def test_a_killed_supervisor_takes_its_spare_along(shop: Workshop) -> None:
    supervisor = shop.start(**ON)
    spare = spare_of(shop, supervisor)
    supervisor.kill()
    wait_for(lambda: not alive(spare), "the spare is gone", limit_s=2)


@pytest.mark.parametrize("working", [False, True])
def test_after_a_drain_no_spare_is_left_and_none_was_started(shop: Workshop, working: bool) -> None:
    supervisor = shop.start(**ON)
    spare = spare_of(shop, supervisor)
    if working:
        job = shop.services.submit(steps=10_000, pause_s=0.01)
        wait_for(job.steps, "it trains")
        spare = spare_of(shop, supervisor)
    wait_for(lambda: spare in [line["trainer"] for line in logged(shop, STARTED)], "it is logged")
    supervisor.terminate()
    assert supervisor.wait(8) == 0
    assert not alive(spare)
    assert list((shop.scratch / "temporary").iterdir()) == []
    messages = [line["message"] for line in shop.log_lines()]
    assert STARTED not in messages[messages.index("supervisor drains") :]
    assert not working or job.outcome() == workers_pb2.OUTCOME_DRAINED


def test_a_cancelled_job_takes_the_former_spare_along_and_its_files(shop: Workshop) -> None:
    supervisor = shop.start(**ON)
    spare = spare_of(shop, supervisor)
    job = shop.services.submit(steps=10_000, pause_s=0.01, ignore_sigterm=True, children=2)
    trainer = shop.trainer(job)
    assert trainer["pid"] == spare
    wait_for(job.steps, "it trains")
    job.desire = workers_pb2.DESIRE_CANCEL
    wait_for(job.outcome, "the attempt ends")
    assert job.outcome() == workers_pb2.OUTCOME_CANCELLED
    assert not any(alive(pid) for pid in [spare, *trainer["children"]])
    assert not pathlib.Path(trainer["environ"]["TMPDIR"]).exists()


def test_a_spare_with_older_code_is_not_used(shop: Workshop) -> None:
    program = pathlib.Path(shutil.copy(rehearsal_trainer.__file__, shop.folder / "trainer.py"))
    supervisor = shop.start(**ON, TUTELAGE_TRAINER_COMMAND=f"{sys.executable} {program}")
    spare = spare_of(shop, supervisor)
    program.write_text(program.read_text() + "\n")
    job = shop.services.submit(steps=5)
    wait_for(job.outcome, "the attempt ends")
    assert shop.trainer(job)["pid"] != spare
    assert not alive(spare)
    assert [line["why"] for line in logged(shop, AGAIN)] == ["its code or its environment has changed"]


def test_a_trainer_that_cannot_wait_is_started_again_after_longer_and_longer_pauses(shop: Workshop) -> None:
    shop.start(**ON, TUTELAGE_TRAINER_COMMAND=f"{sys.executable} -c exit(3)")
    first, second = wait_for(lambda: logged(shop, AGAIN)[1:2] and logged(shop, AGAIN)[:2], "it died twice")
    assert (first["exit_code"], first["why"]) == (3, "it died")
    assert float(str(second["wait_s"])) > 1.5 * float(str(first["wait_s"])) > 1.0


def test_a_command_that_is_not_there_ends_attempts_and_not_the_supervisor(shop: Workshop) -> None:
    shop.start(**ON, TUTELAGE_TRAINER_COMMAND="/nowhere/trainer")
    wait_for(lambda: logged(shop, "no spare trainer can be started"), "the spare was tried")
    job = shop.services.submit(steps=1)
    wait_for(job.outcome, "the attempt ends")
    assert "could not be started" in job.finishes[-1].failure.message
    assert list((shop.scratch / "temporary").iterdir()) == []


@pytest.mark.timeout(300)
def test_a_real_spare_waits_past_its_tick_limit_and_computes_the_same_bits(tmp_path: pathlib.Path) -> None:
    with running_stack(tmp_path) as house:
        client = client_of(house)
        upload_text(client)
        fresh = submit(client, steps=20)
        fresh.wait(timeout=120)
        assert house.stop() == 0
    ticks = {"TUTELAGE_TICK_LIMIT_SECONDS": "2", "TUTELAGE_TICK_SECONDS": "0.2"}
    with running_stack(tmp_path, environment=ON | ticks) as house:
        spare = wait_for(lambda: trainer_pid(house), "a spare trainer")
        idleness = Idleness(spare)
        wait_for(lambda: idleness.seconds() > 5, "it has waited for long", limit_s=120)
        job = submit(client_of(house), steps=20)
        job.wait(timeout=120)
        events = list(job.watch())
        [note] = [event.note for event in events if event.note is not None and event.note.kind == "started"]
        assert "a trainer that was started in advance got its job" in note.message
        assert set(note.details) == {"preparation_seconds", "first_step_seconds", "total_seconds"}
        assert not alive(spare)
        earlier = client_of(house).jobs.get(fresh.name)
        assert deterministic_metrics(events) == deterministic_metrics(list(earlier.watch()))
        assert final_weights(house, job) == final_weights(house, earlier)
        assert house.stop() == 0


class Idleness:
    """Watches a process for how long it has neither computed nor wanted to."""

    def __init__(self, pid: int) -> None:
        self.stat = pathlib.Path(f"/proc/{pid}/stat")
        self.busy_ticks, self.since_s = -1, time.monotonic()

    def seconds(self) -> float:
        """Since it was last seen at work; fails if it is gone."""
        fields = self.stat.read_text().rpartition(")")[2].split()
        ticks = int(fields[11]) + int(fields[12])
        if fields[0] != "S" or ticks != self.busy_ticks:
            self.busy_ticks, self.since_s = ticks, time.monotonic()
        return time.monotonic() - self.since_s

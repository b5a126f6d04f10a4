"""The process table, and what a successor may take for its predecessor's."""

import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.support.waiting import wait_for
from trainer_worker.supervisor import processes
from trainer_worker.supervisor.trainer_record import MARK_VARIABLE, TrainerRecord


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that leads a session of its own, with a child in it, and carries a mark."""
    program = (
        "import subprocess, sys, time; subprocess.Popen(['sleep', '60']); print(); sys.stdout.flush(); time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", program],
        start_new_session=True,
        stdout=subprocess.PIPE,
        env={"PATH": os.environ["PATH"], MARK_VARIABLE: "worker-1"},
    )
    assert process.stdout is not None
    with process, process.stdout:
        process.stdout.readline()
        yield process
        processes.kill_session(process.pid)
        process.kill()


def record_of(pid: int, start: str, *, path: pathlib.Path, boot: str | None = None) -> TrainerRecord:
    """What a successor finds."""
    found = {"boot": boot if boot is not None else processes.boot_id(), "mark": "worker-1", "starts": {str(pid): start}}
    path.write_text(json.dumps(found))
    return TrainerRecord(path, mark="worker-2")


def test_a_session_is_found_with_all_its_members(sleeper: subprocess.Popen[bytes]) -> None:
    assert sleeper.pid in [process.pid for process in processes.session_of(sleeper.pid)]
    wait_for(lambda: len(processes.session_of(sleeper.pid)) == 2, "the child is there")


def test_a_zombie_is_not_living(sleeper: subprocess.Popen[bytes]) -> None:
    processes.kill_session(sleeper.pid)
    wait_for(lambda: not processes.session_of(sleeper.pid), "nobody is left, though nobody has reaped")
    assert sleeper.returncode is None


def test_ps_tells_the_same_as_proc(sleeper: subprocess.Popen[bytes]) -> None:
    by_ps = next(process for process in processes._from_ps() if process.pid == sleeper.pid)
    assert (by_ps.group, by_ps.session) == (sleeper.pid, sleeper.pid) and by_ps.start


def test_a_recorded_trainer_is_killed_with_its_children(
    sleeper: subprocess.Popen[bytes], tmp_path: pathlib.Path
) -> None:
    found = processes.find(sleeper.pid)
    assert found is not None
    wait_for(lambda: len(processes.session_of(sleeper.pid)) == 2, "the child is there")
    assert record_of(sleeper.pid, found.start, path=tmp_path / "trainers.json").end_predecessors() == 2
    wait_for(lambda: not processes.session_of(sleeper.pid), "nobody is left")


def test_a_stranger_with_the_same_number_is_spared(sleeper: subprocess.Popen[bytes], tmp_path: pathlib.Path) -> None:
    assert record_of(sleeper.pid, "12345", path=tmp_path / "trainers.json").end_predecessors() == 0
    assert processes.find(sleeper.pid)


def test_after_a_reboot_nobody_is_taken(sleeper: subprocess.Popen[bytes], tmp_path: pathlib.Path) -> None:
    found = processes.find(sleeper.pid)
    assert found is not None
    record = record_of(sleeper.pid, found.start, path=tmp_path / "trainers.json", boot="another boot")
    assert record.end_predecessors() == 0 and processes.find(sleeper.pid)


def test_children_of_a_dead_trainer_are_known_by_their_mark(
    sleeper: subprocess.Popen[bytes], tmp_path: pathlib.Path
) -> None:
    wait_for(lambda: len(processes.session_of(sleeper.pid)) == 2, "the child is there")
    sleeper.kill()
    wait_for(lambda: len(processes.session_of(sleeper.pid)) == 1, "only the child is left")
    assert record_of(sleeper.pid, "1", path=tmp_path / "trainers.json").end_predecessors() == 1


def test_children_without_the_mark_are_spared(sleeper: subprocess.Popen[bytes], tmp_path: pathlib.Path) -> None:
    wait_for(lambda: len(processes.session_of(sleeper.pid)) == 2, "the child is there")
    sleeper.kill()
    wait_for(lambda: len(processes.session_of(sleeper.pid)) == 1, "only the child is left")
    record = record_of(sleeper.pid, "1", path=tmp_path / "trainers.json")
    text = (tmp_path / "trainers.json").read_text().replace("worker-1", "worker-0")
    (tmp_path / "trainers.json").write_text(text)
    assert record.end_predecessors() == 0


@pytest.mark.parametrize("text", ["", "[]", "{", '{"boot": 1}', "null"])
def test_a_record_that_makes_no_sense_is_empty(tmp_path: pathlib.Path, text: str) -> None:
    path = tmp_path / "trainers.json"
    path.write_text(text)
    assert TrainerRecord(path, mark="m").end_predecessors() == 0


def test_a_record_holds_who_runs_and_forgets_who_is_gone(
    sleeper: subprocess.Popen[bytes], tmp_path: pathlib.Path
) -> None:
    path = tmp_path / "trainers.json"
    record = TrainerRecord(path, mark="m")
    record.add(sleeper.pid)
    assert list(json.loads(path.read_text())["starts"]) == [str(sleeper.pid)]
    record.remove(sleeper.pid)
    assert json.loads(path.read_text())["starts"] == {}

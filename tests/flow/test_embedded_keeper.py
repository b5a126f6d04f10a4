"""The parent of the house keeps its children alive and leaves none behind; the children are stand-ins."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.support.waiting import wait_for

ROOT = pathlib.Path(__file__).parents[2]
LIMIT_S = 15.0


class Parent:
    """A running parent of stand-ins."""

    def __init__(self, folder: pathlib.Path, kinds: list[str]) -> None:
        self.folder = folder
        self.said = folder / "said"
        command = [sys.executable, "-m", "tests.flow.stand_ins", str(folder), *kinds]
        folder.mkdir()
        with self.said.open("wb") as output:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output)

    def wait_until_said(self, words: str) -> str:
        wait_for(lambda: words in self.said.read_text(), limit_s=LIMIT_S, what=f"{words!r} in {self.said.read_text()}")
        return self.said.read_text()

    def wait_until_listening(self) -> dict[str, int]:
        """Waits until every child has its signal handler, and returns the ids of all."""
        self.wait_until_said("ready")
        for name in self.pids():
            log = self.folder / "logs" / f"{name}.log"
            wait_for(lambda log=log: "listening" in log.read_text(), limit_s=LIMIT_S)
        return self.pids()

    def pids(self) -> dict[str, int]:
        record = json.loads((self.folder / "run" / "processes.json").read_text())
        return {name: entry["pid"] for name, entry in record.items()}


@contextlib.contextmanager
def parent_of(folder: pathlib.Path, *kinds: str) -> Iterator[Parent]:
    parent = Parent(folder, list(kinds))
    try:
        yield parent
    finally:
        parent.process.kill()
        parent.process.wait()


def runs(pid: int) -> bool:
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def children_of(pid: int) -> list[int]:
    found = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found]


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "data"


def test_a_killed_child_is_started_again_and_the_others_are_left_alone(folder: pathlib.Path) -> None:
    with parent_of(folder, "steady", "steady") as parent:
        parent.wait_until_said("ready")
        before = parent.pids()
        os.kill(before["steady1"], signal.SIGKILL)
        wait_for(lambda: parent.pids().get("steady1") not in {None, before["steady1"]}, limit_s=LIMIT_S)
        assert parent.pids()["steady2"] == before["steady2"]
        assert "steady1 has died (signal SIGKILL); starting it again." in parent.said.read_text()


def test_children_die_with_a_killed_parent(folder: pathlib.Path) -> None:
    with parent_of(folder, "steady", "deaf") as parent:
        pids = parent.wait_until_listening().values()
        parent.process.kill()
        wait_for(lambda: not any(runs(pid) for pid in pids), limit_s=2)


def test_children_are_stopped_in_reverse_order_and_the_parent_ends_well(folder: pathlib.Path) -> None:
    with parent_of(folder, "steady", "steady", "steady") as parent:
        pids = parent.wait_until_listening().values()
        parent.process.send_signal(signal.SIGTERM)
        assert parent.process.wait(timeout=LIMIT_S) == 0
        assert (folder / "order").read_text().split() == ["steady3", "steady2", "steady1"]
        assert not any(runs(pid) for pid in pids)
        assert parent.pids() == {}


def test_a_child_that_ignores_the_signal_is_killed_after_its_time(folder: pathlib.Path) -> None:
    with parent_of(folder, "deaf") as parent:
        (pid,) = parent.wait_until_listening().values()
        parent.process.send_signal(signal.SIGINT)
        assert parent.process.wait(timeout=LIMIT_S) == 0
        assert not runs(pid)
        assert "deaf1 did not stop in an orderly way" in parent.said.read_text()


def test_a_second_signal_ends_everything_at_once(folder: pathlib.Path) -> None:
    with parent_of(folder, "stubborn", "steady") as parent:
        pids = parent.wait_until_listening().values()
        parent.process.send_signal(signal.SIGINT)
        wait_for((folder / "order").exists, limit_s=LIMIT_S, what="the drain to reach the stubborn one")
        parent.process.send_signal(signal.SIGINT)
        assert parent.process.wait(timeout=LIMIT_S) == 1
        assert not any(runs(pid) for pid in pids)


def test_what_a_dead_child_has_started_does_not_outlive_it(folder: pathlib.Path) -> None:
    with parent_of(folder, "parent") as parent:
        parent.wait_until_said("ready")
        pid = parent.pids()["parent1"]
        (grandchild,) = wait_for(lambda: children_of(pid), limit_s=LIMIT_S)
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not runs(grandchild), limit_s=LIMIT_S)


def test_a_crash_loop_is_told_with_the_last_words(folder: pathlib.Path) -> None:
    with parent_of(folder, "steady", "fickle") as parent:
        said = parent.wait_until_said("tried again every few seconds")
        assert "fickle2 has died 4 times in a row (status 3)" in said
        assert "  | the last words" in said
        assert runs(parent.pids()["steady1"])


def test_a_part_that_does_not_start_ends_the_start_with_its_last_words(folder: pathlib.Path) -> None:
    with parent_of(folder, "steady", "doomed") as parent:
        assert parent.process.wait(timeout=LIMIT_S) == 1
        said = parent.said.read_text()
        assert "doomed2 does not start" in said
        assert "the last words" in said
        assert parent.pids() == {}

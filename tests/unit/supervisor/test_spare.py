"""A spare trainer that dies is started again less and less often; what it is made of tells whether it is fit."""

import os
import pathlib
import sys
from collections.abc import Iterator

import pytest

from tests.support.waiting import wait_for
from trainer_worker.supervisor import spare, trainer_process
from trainer_worker.supervisor.outfit import Outfit, outfit
from trainer_worker.supervisor.spare import Spare
from trainer_worker.supervisor.trainer_process import TrainerProcess

DIES, WAITS = "pass", "import os; os.read(0, 1)"


class Bench:
    """Trainers that are programs of one line, and a clock that is moved by hand."""

    def __init__(self) -> None:
        self.program, self.made_of, self.time_s = DIES, "old", 0.0
        self.started: list[TrainerProcess] = []
        self.buried: list[int] = []
        self.spare = Spare(outfit=lambda: Outfit({"made_of": self.made_of}, {}), start=self.start, bury=self.bury)

    def start(self) -> TrainerProcess:
        trainer = trainer_process.spawn((sys.executable, "-ISc", self.program), environment={})
        self.started.append(trainer)
        return trainer

    def bury(self, trainer: TrainerProcess) -> int:
        trainer.end_session()
        self.buried.append(trainer.pid)
        return trainer.bury()

    def look(self, *, after_s: float = 0.0) -> int:
        """Has the spare looked at, and returns how many were started so far."""
        self.time_s += after_s
        if self.program == DIES and self.started and self.started[-1].pid not in self.buried:
            wait_for(self.started[-1].exited, "it has died")
        self.spare._keep()
        return len(self.started)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    made = Bench()
    monkeypatch.setattr(spare, "now_s", lambda: made.time_s)
    yield made
    made.spare.stop()
    made.spare.run()


def test_one_that_dies_is_started_again_after_pauses_that_double_to_a_minute(bench: Bench) -> None:
    assert bench.look() == 1
    for number, pause_s in enumerate((1, 2, 4, 8, 16, 32, 60, 60), start=1):
        assert bench.look() == number  # the dead one is found
        assert bench.look(after_s=pause_s - 0.1) == number
        assert bench.look(after_s=0.1) == number + 1


def test_one_that_had_waited_long_is_replaced_soon(bench: Bench) -> None:
    for pause_s in (0, 1, 2, 4):
        bench.look(after_s=pause_s)
        bench.look()
    bench.look(after_s=8)
    bench.look(after_s=3600)
    count = len(bench.started)
    assert bench.look(after_s=0.9) == count
    assert bench.look(after_s=0.1) == count + 1


def test_what_was_taken_is_not_looked_after_any_more_and_has_a_successor_a_little_later(bench: Bench) -> None:
    bench.program = WAITS
    bench.look()
    trainer = bench.spare.take()
    assert trainer is bench.started[0] and bench.spare.take() is None
    assert bench.look(after_s=2.9) == 1
    assert bench.look(after_s=0.1) == 2
    assert bench.buried == [] and not trainer.exited()
    os.kill(trainer.pid, 9)
    bench.bury(trainer)
    os.close(trainer.facts_fd)


def test_a_dead_one_is_not_given_away(bench: Bench) -> None:
    bench.look()
    wait_for(bench.started[0].exited, "it has died")
    assert bench.spare.take() is None
    assert bench.buried == [bench.started[0].pid]


def test_one_that_is_made_of_something_else_is_ended_and_not_given_away(bench: Bench) -> None:
    bench.program = WAITS
    bench.look()
    bench.made_of = "new"
    assert bench.spare.take() is None
    assert bench.buried == [bench.started[0].pid]


def test_nothing_is_started_after_the_stop_and_no_descriptor_stays_open(bench: Bench) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    bench.program = WAITS
    bench.look()
    bench.spare.stop()
    bench.spare.run()
    assert len(bench.started) == len(bench.buried) == 1
    # The thread that reads standard error closes its end when it has seen the end of it.
    wait_for(lambda: len(os.listdir("/proc/self/fd")) == before, "all are closed")  # noqa: PTH208


def test_an_outfit_tells_apart_environments_programs_and_packages(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, packages = tmp_path / "trainer.py", tmp_path / "packages"
    program.write_text("1")
    packages.mkdir()
    monkeypatch.setattr("sysconfig.get_paths", lambda: {"purelib": str(packages), "platlib": str(packages)})
    command = ("python", str(program))
    first = outfit(command, {"a": "1"})
    assert outfit(command, {"a": "1"}) == first
    assert outfit(command, {"a": "2"}) != first
    (packages / "torch").mkdir()
    second = outfit(command, {"a": "1"})
    assert second != first
    program.write_text("22")
    assert outfit(command, {"a": "1"}) != second


def test_an_outfit_holds_the_code_of_the_trainer() -> None:
    files = outfit((), {}).files
    assert any(path.endswith("trainer/recipes/next_token.py") for path in files)
    assert any(path.endswith("tutelage_internal/v1/pipe_pb2.py") for path in files)

"""Speaking to a trainer never waits, begins with the launch, and asks it to end once in each way."""

import os
import signal
import sys
from collections.abc import Iterator

import pytest

from tests.support.waiting import wait_for
from trainer_worker.supervisor import pipe, trainer_process
from trainer_worker.supervisor.orders import Force
from trainer_worker.supervisor.trainer_process import TrainerProcess
from tutelage_internal.v1 import pipe_pb2

LAUNCH = pipe_pb2.ToTrainer(launch=pipe_pb2.Launch(artifacts_url="file:///a"))
TICK = pipe.frame(pipe_pb2.ToTrainer(tick=pipe_pb2.Tick()))
# Says on descriptor 3 what it hears, and which signals reach it.
ECHO = """
import os, signal
signal.signal(signal.SIGABRT, lambda *_: os.write(3, b"ABRT"))
os.write(3, b"ready")
while data := os.read(0, 65536):
    os.write(3, data)
"""


@pytest.fixture
def echo() -> Iterator[TrainerProcess]:
    trainer = trainer_process.spawn((sys.executable, "-S", "-c", ECHO), environment={"PATH": os.environ["PATH"]})
    assert os.read(trainer.facts_fd, 5) == b"ready"
    yield trainer
    trainer.apply(Force.KILL)
    trainer.end_session()
    trainer.bury()
    os.close(trainer.facts_fd)


def heard(trainer: TrainerProcess, size: int) -> bytes:
    data = b""
    while len(data) < size and (more := os.read(trainer.facts_fd, size - len(data))):
        data += more
    return data


def test_no_tick_comes_before_the_launch(echo: TrainerProcess) -> None:
    echo.tick()
    echo.say(LAUNCH)
    echo.tick()
    expected = pipe.frame(LAUNCH) + TICK
    assert heard(echo, len(expected)) == expected


def test_a_trainer_that_does_not_listen_is_not_waited_for_and_misses_nothing_but_ticks(echo: TrainerProcess) -> None:
    os.kill(echo.pid, signal.SIGSTOP)
    long = pipe_pb2.ToTrainer(launch=pipe_pb2.Launch(artifacts_url="x" * 300_000))
    echo.say(long)
    for _ in range(100):
        echo.tick()
    echo.apply(Force.STOP)
    os.kill(echo.pid, signal.SIGCONT)
    expected = pipe.frame(long) + pipe.frame(pipe_pb2.ToTrainer(stop=pipe_pb2.Stop()))
    data = b""
    while len(data) < len(expected):
        echo.tick()  # each brings along what did not fit before
        data += os.read(echo.facts_fd, 65536)
    assert data[: len(expected)] == expected


def test_force_is_applied_once_and_never_gentler(echo: TrainerProcess) -> None:
    echo.apply(Force.ABORT)
    assert heard(echo, 4) == b"ABRT"
    for force in (Force.NONE, Force.STOP, Force.ABORT):
        echo.apply(force)
    echo.say(LAUNCH)
    assert heard(echo, 4) == pipe.frame(LAUNCH)[:4]


def test_the_end_of_a_trainer_is_seen_before_it_is_buried(echo: TrainerProcess) -> None:
    assert not echo.exited()
    echo.apply(Force.KILL)
    wait_for(echo.exited, "it has ended")
    assert echo.exited() and echo.bury() == -signal.SIGKILL


def test_speaking_to_a_dead_trainer_is_no_error(echo: TrainerProcess) -> None:
    echo.apply(Force.KILL)
    wait_for(echo.exited, "it has ended")
    echo.say(LAUNCH)
    echo.tick()
    echo.apply(Force.ABORT)


def test_standard_input_output_and_error_are_ours(capfd: pytest.CaptureFixture[str]) -> None:
    program = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(5)"
    trainer = trainer_process.spawn((sys.executable, "-S", "-c", program), environment={})
    wait_for(trainer.exited, "it has ended")
    assert trainer.bury() == 5
    assert sorted(trainer.stderr.text().split()) == ["err", "out"]
    os.close(trainer.facts_fd)


def test_a_command_that_is_not_there_leaves_no_descriptor_open() -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    with pytest.raises(FileNotFoundError):
        trainer_process.spawn(("/nowhere",), environment={})
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208

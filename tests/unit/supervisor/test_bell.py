"""The bell listener's task: passes on a UUID, drops everything else, and lets nothing out."""

import os
from collections.abc import Iterator

import pytest

from trainer_worker.bell.app import make_app
from trainer_worker.bell.configuration import CONFIGURATION, QUEUE, TASK
from trainer_worker.bell.line import Line

JOB = "0b9c1d52-5f57-4e2c-9b0e-6d1df4f6a2aa"


@pytest.fixture
def ends() -> Iterator[tuple[int, int]]:
    read, write = os.pipe()
    os.set_blocking(read, False)
    yield read, write
    os.close(read)
    os.close(write)


def heard(fd: int) -> bytes:
    try:
        return os.read(fd, 4096)
    except BlockingIOError:
        return b""


def test_a_bell_becomes_one_line(ends: tuple[int, int]) -> None:
    assert Line(ends[1]).ring(JOB)
    assert heard(ends[0]) == f"bell {JOB}\n".encode()


@pytest.mark.parametrize("job_id", [None, 7, b"x", "", JOB.upper(), JOB + "\n", f"{JOB} {JOB}", "x" * 100_000, [JOB]])
def test_what_is_no_job_id_becomes_nothing(ends: tuple[int, int], job_id: object) -> None:
    assert not Line(ends[1]).ring(job_id)
    assert heard(ends[0]) == b""


def test_a_supervisor_that_does_not_read_is_not_waited_for_and_gets_whole_lines(ends: tuple[int, int]) -> None:
    line = Line(ends[1])
    for _ in range(10_000):
        line.ring(JOB)
    lines = b"".join(iter(lambda: heard(ends[0]), b"")).splitlines()
    assert 100 < len(lines) < 10_000 and set(lines) == {f"bell {JOB}".encode()}


class Exhausted(Line):
    """A line on which everything fails."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def ring(self, job_id: object) -> bool:
        raise self._error


@pytest.mark.parametrize("error", [MemoryError(), OSError("closed"), RuntimeError()])
def test_no_error_leaves_the_task(error: BaseException) -> None:
    app = make_app("memory://", line=Exhausted(error), name="w")
    assert app.tasks[TASK](job_id=JOB) is None


def test_arguments_nobody_asked_for_are_ignored(ends: tuple[int, int]) -> None:
    app = make_app("memory://", line=Line(ends[1]), name="w")
    app.tasks[TASK](job_id=JOB, shell="rm")
    assert heard(ends[0]) == f"bell {JOB}\n".encode()


def test_the_names_that_services_publish_under_are_these() -> None:
    assert (TASK, QUEUE) == ("tutelage.bell", "tutelage.bells")


def test_every_setting_that_was_measured_is_in_force() -> None:
    conf = make_app("memory://", line=Exhausted(OSError()), name="w").conf
    for name, value in CONFIGURATION.items():
        assert conf[name] == value, name
    assert conf.accept_content == ["json"] and conf.result_backend is None
    assert not conf.task_acks_late and conf.worker_pool == "threads" and conf.worker_concurrency == 1
    assert conf.broker_transport_options["global_keyprefix"] == "tutelage:"

"""`make demo`: it works twice, and leaves nothing behind however it ends."""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.support.waiting import wait_for

LIMIT_S = 110.0


@contextlib.contextmanager
def demo(folder: pathlib.Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Starts the demo with a folder for temporary files of its own; its output goes to `said` beside that."""
    (folder / "tmp").mkdir(exist_ok=True)
    environment = {**os.environ, "TMPDIR": str(folder / "tmp"), "HOME": str(folder)}
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "embedded.demo", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            env=environment,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_until_training(process: subprocess.Popen[bytes], folder: pathlib.Path) -> None:
    wait_for(lambda: "$ tutelage train" in said(folder) or process.poll() is not None, limit_s=LIMIT_S)
    assert process.poll() is None, said(folder)


def said(folder: pathlib.Path) -> str:
    return (folder / "said").read_text(errors="replace")


def processes_of(folder: pathlib.Path) -> list[str]:
    """Returns the command lines of processes that mention the folder."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if str(folder / "tmp") in line:
                found.append(line)
    return found


def assert_nothing_is_left(folder: pathlib.Path) -> None:
    wait_for(lambda: not processes_of(folder), limit_s=5, what=str(processes_of(folder)))
    assert list((folder / "tmp").iterdir()) == []


def run_to_the_end(folder: pathlib.Path) -> None:
    with demo(folder, "--steps", "3", "--no-loop") as process:
        assert process.wait(timeout=LIMIT_S) == 0, said(folder)
    assert "$ tutelage train --dataset python --preset tiny --steps 3" in said(folder)
    assert "To go on, with text of your own" in said(folder)
    assert_nothing_is_left(folder)


def test_the_demo_trains_and_samples_and_leaves_nothing(tmp_path: pathlib.Path) -> None:
    run_to_the_end(tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(260)
def test_the_demo_works_twice(tmp_path: pathlib.Path) -> None:
    run_to_the_end(tmp_path)
    run_to_the_end(tmp_path)


@pytest.mark.timeout(200)
def test_ctrl_c_in_the_middle_of_training_stops_and_removes_everything(tmp_path: pathlib.Path) -> None:
    with demo(tmp_path, "--steps", "100000") as process:
        wait_until_training(process, tmp_path)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(timeout=60) == 130, said(tmp_path)
    assert_nothing_is_left(tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_whole_demo_ends_with_a_better_model(tmp_path: pathlib.Path) -> None:
    with demo(tmp_path) as process:
        assert process.wait(timeout=1100) == 0, said(tmp_path)
    assert "The challenger is better" in said(tmp_path)
    assert "gate     better" in said(tmp_path)
    assert_nothing_is_left(tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_a_demo_that_is_killed_takes_its_house_with_it(tmp_path: pathlib.Path) -> None:
    with demo(tmp_path, "--steps", "100000") as process:
        wait_until_training(process, tmp_path)
        process.kill()
        process.wait()
    wait_for(lambda: not processes_of(tmp_path), limit_s=10, what=str(processes_of(tmp_path)))

"""A full disk stops no training, costs no checkpoint, and is told in words."""

import os
import pathlib
import subprocess
from collections.abc import Iterator

import pytest

import tutelage
from tests.support.runs import client_of, submit, upload_text, wait_for_step
from tests.support.stack import running_stack
from tests.support.waiting import wait_for

pytestmark = pytest.mark.timeout(400)

ROOM_BYTES = 6_000_000


@pytest.fixture
def small_disk(tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A file system with room for a few checkpoints only."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={ROOM_BYTES}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_training_goes_on_over_a_full_disk_and_ends_when_there_is_room(
    small_disk: pathlib.Path, folder: pathlib.Path
) -> None:
    with running_stack(folder, environment={"TUTELAGE_ARTIFACTS_URL": f"file://{small_disk}"}) as stack:
        client = client_of(stack)
        upload_text(client)
        job = submit(client, steps=2500)
        wait_for_step(job, 1)
        ballast = small_disk / "ballast"
        ballast.write_bytes(b"x" * (ROOM_BYTES - used_bytes(small_disk) - 60_000))
        wait_for(lambda: told_of_failure(client, job.name), limit_s=60, what="a note about the full disk")
        step = job.refresh().progress.step
        wait_for_step(job, min(step + 100, 2500))
        with pytest.raises(tutelage.ResourceExhausted):
            client.datasets.upload(b"line of text\n" * 100_000, name="more")
        ballast.unlink()
        job.wait(timeout=120)
        assert str(job.state) == "SUCCEEDED", stack.all_logs()
        assert job.info.attempts == 1


def told_of_failure(client: tutelage.Client, name: str) -> bool:
    """Says whether the job told that a checkpoint could not be written."""
    notes = [event.note for event in client.jobs.events(name) if event.note]
    return any(note.kind == "checkpoint_failed" for note in notes)


def used_bytes(folder: pathlib.Path) -> int:
    """Returns the bytes that are taken on the file system."""
    facts = os.statvfs(folder)
    return (facts.f_blocks - facts.f_bfree) * facts.f_frsize

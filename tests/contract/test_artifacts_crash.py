"""A writer killed between two system calls leaves the old state; the order of its calls survives a power cut."""

import pathlib
import re
import signal
import subprocess
import sys

import pytest

import artifacts
from tests.contract import crash_writer

ROOT = pathlib.Path(__file__).parents[2]
CALLS_MAX = 100


def write(folder: pathlib.Path, act: str, kill_at: int) -> list[str] | None:
    """Returns the system calls of a writer that came to its end, None for one that was killed."""
    command = [sys.executable, "-m", "tests.contract.crash_writer", folder.as_uri(), act, str(kill_at)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode == -signal.SIGKILL:
        return None
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def crash_everywhere(folder: pathlib.Path, act: str):
    """Yields after the crash before each system call of an act, and stops when the act came to its end."""
    for kill_at in range(1, CALLS_MAX):
        if write(folder, act, kill_at) is not None:
            assert kill_at > 5, "the act has fewer steps than it must have"
            return
        yield artifacts.open_store(folder.as_uri())
    raise AssertionError(f"{act} takes more than {CALLS_MAX} system calls")


@pytest.mark.timeout(180)
def test_put_killed_between_any_two_system_calls_leaves_all_or_nothing(tmp_path: pathlib.Path) -> None:
    seen = set()
    for store in crash_everywhere(tmp_path / "store", "put"):
        keys = list(store.keys(""))
        seen.add(tuple(keys))
        if keys:
            with store.open("datasets/d/text") as file:
                assert file.read() == b"hello" * 1000
            store.delete("datasets/d/text")
    assert seen == {(), ("datasets/d/text",)}


@pytest.mark.timeout(180)
def test_a_file_set_killed_between_any_two_system_calls_is_whole_or_absent(tmp_path: pathlib.Path) -> None:
    seen = set()
    for store in crash_everywhere(tmp_path / "store", "write"):
        found = store.find_file_set("checkpoints/j/e1/step-1")
        seen.add(found is not None)
        if found is None:
            assert list(store.keys("")) == []
        else:
            store.read_file_set(found.prefix, manifest_sha256=found.manifest_sha256, scratch=tmp_path)
            store.delete_all(found.prefix)
    assert seen == {True, False}


@pytest.mark.timeout(180)
def test_deleting_killed_between_any_two_system_calls_leaves_a_file_set_whole_or_absent(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "store"
    artifacts.open_store(folder.as_uri()).write_file_set("checkpoints/j/e1/step-1", crash_writer.fill)
    for store in crash_everywhere(folder, "delete"):
        if found := store.find_file_set("checkpoints/j/e1/step-1"):
            store.read_file_set(found.prefix, manifest_sha256=found.manifest_sha256, scratch=tmp_path)
        else:
            assert list(store.keys("")) == []
            store.write_file_set("checkpoints/j/e1/step-1", crash_writer.fill)


def test_what_killed_writers_left_out_of_sight_is_removed_when_it_is_old(tmp_path: pathlib.Path) -> None:
    assert write(tmp_path / "store", "write", 12) is None
    store = artifacts.open_store((tmp_path / "store").as_uri())
    assert any((tmp_path / "store" / ".staging").iterdir())
    assert store.remove_leftovers(older_than_s=3600) == 0
    assert store.remove_leftovers(older_than_s=0) == 1
    assert not any((tmp_path / "store" / ".staging").iterdir())


def order_of(calls: list[str]) -> str:
    """Returns the calls that a power cut cares for, temporary names left out, in one line."""
    wanted = [call for call in calls if call.split()[0] in {"fsync", "link", "rename"}]
    short = [re.sub(r"\b[0-9a-f]{32}\b", "TEMPORARY", call) for call in wanted]
    return " > ".join(call.replace("/store", "").rpartition("/")[2] if call.count("/") else call for call in short)


def test_bytes_reach_the_disk_before_their_name_and_the_name_before_the_answer(tmp_path: pathlib.Path) -> None:
    write(tmp_path / "store", "put", CALLS_MAX)
    artifacts.open_store((tmp_path / "store").as_uri()).delete("datasets/d/text")
    calls = write(tmp_path / "store", "put", CALLS_MAX)
    assert order_of(calls or []) == "fsync TEMPORARY > link TEMPORARY > fsync d"


def test_files_then_manifest_then_folder_reach_the_disk_before_the_rename(tmp_path: pathlib.Path) -> None:
    write(tmp_path / "store", "write", CALLS_MAX)
    artifacts.open_store((tmp_path / "store").as_uri()).delete_all("checkpoints/j/e1/step-1")
    calls = write(tmp_path / "store", "write", CALLS_MAX)
    expected = ["model.safetensors", "state.json", "manifest.json", "TEMPORARY"]
    assert order_of(calls or []) == " > ".join(
        [*(f"fsync {name}" for name in expected), "rename TEMPORARY", "fsync e1"]
    )


def test_new_folders_reach_the_disk_too(tmp_path: pathlib.Path) -> None:
    calls = write(tmp_path / "store", "put", CALLS_MAX) or []
    made = [index for index, call in enumerate(calls) if call in {"mkdir datasets", "mkdir d"}]
    assert len(made) == 2
    assert all(calls[index + 1].startswith("fsync") for index in made)

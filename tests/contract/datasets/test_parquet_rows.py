"""The process that reads Parquet: how it ends, what happens when it is killed, and how much it may give."""

import io
import itertools
import logging
import pathlib
import subprocess
import sys
from typing import Any, BinaryIO

import pyarrow
import pytest

import artifacts
from artifacts.directory import DirectoryStore
from services.datasets import parquet_rows
from services.datasets.parquet_rows import COMMAND, inspect_parquet, read_lines
from services.domain.errors import InvalidData
from services.domain.limits import MIB, PARQUET_UNFOLDED_BYTES_MIN
from services.domain.parquet_inspection import ParquetInspection
from services.domain.text_inspection import Inspected
from tests.support.uploads import parquet

TAKEN_DOWN = """
import atexit, runpy
atexit.register(print, "the interpreter took itself down")
runpy.run_module("services.datasets.parquet_reader", run_name="__main__")
"""

# A reader that says something, gives a row and is killed, and counts in a file how often it was started.
KILLED = """
import os, sys
path, times, name = sys.argv[1:]
with open(path, "a+") as counted:
    counted.write("x")
    counted.seek(0)
    if len(counted.read()) <= int(times):
        print('{"text": "half a file"}', flush=True)
        print("terminate called", file=sys.stderr, flush=True)
        os.kill(os.getpid(), getattr(__import__("signal"), name))
for number in range(3):
    print('{"text": "row %d"}' % number)
"""


@pytest.fixture
def stored(tmp_path: pathlib.Path) -> artifacts.Store:
    store = DirectoryStore(tmp_path / "store")
    store.put("a", io.BytesIO(parquet({"text": ["one", "two", "three"]}, tmp_path / "a.parquet")))
    return store


@pytest.fixture
def found(stored: artifacts.Store) -> Inspected:
    inspection = ParquetInspection()
    with stored.open("a") as file:
        inspection.feed(file.read())
    return inspection.finish()


def killed(monkeypatch: pytest.MonkeyPatch, counted: pathlib.Path, *, times: int, name: str) -> None:
    """Let the next readers be killed by this signal."""
    monkeypatch.setattr(parquet_rows, "COMMAND", (sys.executable, "-S", "-c", KILLED, str(counted), str(times), name))


def as_file(content: bytes, path: pathlib.Path) -> BinaryIO:
    path.write_bytes(content)
    return path.open("rb")


def test_the_reader_leaves_without_taking_its_interpreter_down(tmp_path: pathlib.Path) -> None:
    """pyarrow's threads abort the process when it is taken down, about once in thirty times."""
    with as_file(parquet({"text": ["a"]}, tmp_path / "a.parquet"), tmp_path / "b.parquet") as file:
        ended = subprocess.run([COMMAND[0], "-c", TAKEN_DOWN], stdin=file, capture_output=True, check=True)
    assert ended.stdout == b'{"text":"a"}\n'


@pytest.mark.parametrize("name", ["SIGABRT", "SIGSEGV", "SIGKILL"])
def test_a_reader_that_is_killed_once_is_started_again(
    stored: artifacts.Store, found: Inspected, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    killed(monkeypatch, tmp_path / "counted", times=1, name=name)
    assert inspect_parquet(stored, "a", found, validation_fraction=0.1).rows == 3


@pytest.mark.parametrize(("name", "readers"), [("SIGABRT", 2), ("SIGXCPU", 1)])
def test_a_file_whose_readers_are_killed_is_refused(
    stored: artifacts.Store,
    found: Inspected,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    name: str,
    readers: int,
) -> None:
    """A second reader would use up its time like the first: that one is not started."""
    killed(monkeypatch, tmp_path / "counted", times=9, name=name)
    with caplog.at_level(logging.WARNING), pytest.raises(InvalidData, match=f"ended by signal {name}"):
        inspect_parquet(stored, "a", found, validation_fraction=0.1)
    assert len((tmp_path / "counted").read_text()) == readers
    told: list[Any] = [record.__dict__["fields"] for record in caplog.records]
    assert told == [{"how": f"by signal {name}", "said": "terminate called"}] * readers


def test_a_small_file_may_not_unfold_to_a_very_large_text(tmp_path: pathlib.Path) -> None:
    """A text of a mebibyte, told once and meant a hundred times."""
    large = pyarrow.DictionaryArray.from_arrays([0] * 100, ["x" * MIB])
    options = {"compression": "zstd", "dictionary_pagesize_limit": 2**30, "store_schema": False}
    seen = itertools.count()
    small = as_file(parquet({"text": large}, tmp_path / "a.parquet", **options), tmp_path / "b.parquet")
    with small, pytest.raises(InvalidData, match="unfolds to more than") as caught:
        for _ in read_lines(small):
            next(seen)
    assert next(seen) == PARQUET_UNFOLDED_BYTES_MIN // MIB - 1
    assert caught.value.metadata["row"] == str(PARQUET_UNFOLDED_BYTES_MIN // MIB)

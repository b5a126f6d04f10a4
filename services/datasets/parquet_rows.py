"""Reading the rows of a Parquet file in a process of its own.

The format is a program for a decompressor written in C++: a hostile file may crash it, or ask for all the memory that
there is. The process has limits of memory and time, an environment without secrets, and nothing to give but lines of
JSON, which are checked here like those of JSONL. Their bytes are counted: a small file can mean a very large text.

A process that was ended by a signal may have been the victim of a machine that is short of something, so the file is
read once more by a new one, and refused after the second time.
"""

import contextlib
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator
from typing import IO, BinaryIO

import artifacts
from services.datasets.parquet_reader import FILE_REFUSED
from services.domain.errors import InvalidData
from services.domain.limits import (
    MIB,
    PARQUET_UNFOLDED_BYTES_MAX,
    PARQUET_UNFOLDED_BYTES_MIN,
    PARQUET_UNFOLDING_MAX,
    ROW_BYTES_MAX,
)
from services.domain.parquet_inspection import with_rows
from services.domain.row_inspection import RowCheck
from services.domain.text_inspection import Inspected

COMMAND = (sys.executable, "-m", "services.datasets.parquet_reader")
_PASSED_ON = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR", "SYSTEMROOT")
_WORDS_BYTES_MAX = 2000
_READINGS_MAX = 2

_log = logging.getLogger(__name__)


class _ReaderKilled(Exception):
    """The process that read was ended by a signal, for which the file may not be to blame."""


def inspect_parquet(store: artifacts.Store, key: str, found: Inspected, *, validation_fraction: float) -> Inspected:
    """Return what is known of a stored Parquet file once all its rows were looked at.

    Raises: InvalidData, with every row that is wrong; what the store raises.
    """
    with _as_file(store, key) as file:
        return with_rows(found, _checked_rows(file), validation_fraction=validation_fraction)


def _checked_rows(file: BinaryIO) -> RowCheck:
    """Return what the rows of a file are, read anew if its reader was killed. Raises: InvalidData."""
    for _ in range(_READINGS_MAX):
        rows = RowCheck()
        try:
            with contextlib.closing(read_lines(file)) as lines:
                for line in lines:
                    rows.take(line)
        except _ReaderKilled as error:
            killed = error
        else:
            return rows
    raise InvalidData.at(str(killed))


def read_lines(file: BinaryIO) -> Generator[bytes, None, None]:
    """Yield the rows of a Parquet file on the disk as lines of JSON.

    Raises: InvalidData, _ReaderKilled if the reader was ended by a signal that does not tell of a limit of ours.
    """
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    environment["ARROW_DEFAULT_MEMORY_POOL"] = "system"  # the others reserve memory that nobody uses
    bytes_max = _bytes_max(file)
    with tempfile.TemporaryFile() as said:
        file.seek(0)
        with subprocess.Popen(COMMAND, stdin=file, stdout=subprocess.PIPE, stderr=said, env=environment) as process:
            try:
                assert process.stdout is not None
                yield from _lines(process.stdout, bytes_max=bytes_max)
                status = process.wait()
            finally:
                process.kill()
        if status:
            raise _failure(status, said)


def _bytes_max(file: BinaryIO) -> int:
    """Return how many bytes of lines a file may become, by its size."""
    size = file.seek(0, os.SEEK_END)
    return min(max(size * PARQUET_UNFOLDING_MAX, PARQUET_UNFOLDED_BYTES_MIN), PARQUET_UNFOLDED_BYTES_MAX)


def _lines(output: IO[bytes], *, bytes_max: int) -> Iterator[bytes]:
    number = seen_bytes = 0
    while line := output.readline(ROW_BYTES_MAX + 2):
        number += 1
        seen_bytes += len(line)
        if len(line) > ROW_BYTES_MAX + 1:
            raise InvalidData.at(f"row {number:,} is longer than {ROW_BYTES_MAX:,} bytes", row=number)
        if seen_bytes > bytes_max:
            words = (
                f"the Parquet file unfolds to more than {bytes_max:,} bytes; upload it in parts, or with other texts"
            )
            raise InvalidData.at(words, row=number)
        if not line.endswith(b"\n"):
            return  # the process has died within the row
        yield line[:-1]


def _failure(status: int, said: BinaryIO) -> Exception:
    """Return what a reader's exit status means. What it said about an end of its own is told to the log alone."""
    said.seek(0)
    words = said.read(_WORDS_BYTES_MAX).decode(errors="replace").strip()
    if status == FILE_REFUSED:
        return InvalidData.at(f"the Parquet file: {words}")
    how = f"by signal {signal.Signals(-status).name}" if status < 0 else f"with status {status}"
    _log.warning("a reader of Parquet was ended", extra={"fields": {"how": how, "said": words}})
    refusal = (
        f"the Parquet file cannot be read: the process that read it was ended {how}; write it anew, in smaller groups"
    )
    by_another = status < 0 and -status != signal.SIGXCPU  # that one tells that it took all its time: it would again
    return _ReaderKilled(refusal) if by_another else InvalidData.at(refusal)


@contextlib.contextmanager
def _as_file(store: artifacts.Store, key: str) -> Iterator[BinaryIO]:
    """Yield the bytes of a key as a file of the operating system; those of a bucket are fetched first."""
    with store.open(key) as opened:
        try:
            opened.fileno()
        except OSError:
            with tempfile.TemporaryFile() as copy:
                shutil.copyfileobj(opened, copy, MIB)
                copy.flush()
                yield copy
        else:
            yield opened

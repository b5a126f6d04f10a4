"""Reading the rows of a Parquet file in a process of its own.

The format is a program for a decompressor written in C++: a hostile file may crash it, or ask for all the memory that
there is. The process has limits of memory and time, an environment without secrets, and nothing to give but lines of
JSON, which are checked here like those of JSONL.
"""

import contextlib
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
from services.domain.limits import MIB, ROW_BYTES_MAX
from services.domain.parquet_inspection import with_rows
from services.domain.row_inspection import RowCheck
from services.domain.text_inspection import Inspected

COMMAND = (sys.executable, "-m", "services.datasets.parquet_reader")
_PASSED_ON = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR", "SYSTEMROOT")
_WORDS_BYTES_MAX = 2000


def inspect_parquet(store: artifacts.Store, key: str, found: Inspected, *, validation_fraction: float) -> Inspected:
    """Return what is known of a stored Parquet file once all its rows were looked at.

    Raises: InvalidData, with every row that is wrong; what the store raises.
    """
    rows = RowCheck()
    with _as_file(store, key) as file, contextlib.closing(read_lines(file)) as lines:
        for line in lines:
            rows.take(line)
    return with_rows(found, rows, validation_fraction=validation_fraction)


def read_lines(file: BinaryIO) -> Generator[bytes, None, None]:
    """Yield the rows of a Parquet file on the disk as lines of JSON. Raises: InvalidData."""
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    environment["ARROW_DEFAULT_MEMORY_POOL"] = "system"  # the others reserve memory that nobody uses
    with tempfile.TemporaryFile() as said:
        file.seek(0)
        with subprocess.Popen(COMMAND, stdin=file, stdout=subprocess.PIPE, stderr=said, env=environment) as process:
            try:
                assert process.stdout is not None
                yield from _lines(process.stdout)
                status = process.wait()
            finally:
                process.kill()
        if status:
            raise InvalidData.at(_words(status, said))


def _lines(output: IO[bytes]) -> Iterator[bytes]:
    number = 0
    while line := output.readline(ROW_BYTES_MAX + 2):
        number += 1
        if len(line) > ROW_BYTES_MAX + 1:
            raise InvalidData.at(f"row {number:,} is longer than {ROW_BYTES_MAX:,} bytes", row=number)
        if not line.endswith(b"\n"):
            return  # the process has died within the row
        yield line[:-1]


def _words(status: int, said: BinaryIO) -> str:
    if status == FILE_REFUSED:
        said.seek(0)
        return f"the Parquet file: {said.read(_WORDS_BYTES_MAX).decode(errors='replace').strip()}"
    how = f"by signal {signal.Signals(-status).name}" if status < 0 else f"with status {status}"
    return (
        f"the Parquet file cannot be read: the process that read it was ended {how}; write it anew, in smaller groups"
    )


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

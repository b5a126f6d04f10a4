"""A process that turns a Parquet file into lines of JSON, and can do little else: see `services.datasets.parquet_rows`.

The file is standard input, which can be read from any place; lines go to standard output. What is wrong with the file
as a whole is one line on standard error, and the exit status FILE_REFUSED. A text that is not UTF-8 makes a line that
is not either.
"""

import json
import os
import resource
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from services.datasets.parquet_columns import FileRefused, columns_of

FILE_REFUSED = 3
MEMORY_BYTES_MAX = 2 * 1024**3
CPU_SECONDS_MAX = 600
_ROWS_AT_ONCE = 64  # rows may be large
_BUFFER_BYTES = 1024**2
_NOT_UTF_8 = b"\xff\n"

Fields = tuple[str, ...]


def main() -> int:
    """Read standard input; return the exit status."""
    import pyarrow

    _limit()
    pyarrow.set_cpu_count(1)
    pyarrow.set_io_thread_count(1)
    try:
        for line in lines():
            sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()
    except FileRefused as error:
        print(str(error), file=sys.stderr)
        return FILE_REFUSED
    except (pyarrow.ArrowException, OSError, MemoryError, ValueError, OverflowError) as error:
        print(f"it cannot be read: {type(error).__name__}: {' '.join(str(error).split())[:300]}", file=sys.stderr)
        return FILE_REFUSED
    return 0


def lines() -> Iterator[bytes]:
    """Yield each row as a line of JSON. Raises: FileRefused, and what pyarrow raises."""
    from pyarrow import parquet

    with os.fdopen(0, "rb", closefd=False) as source, parquet.ParquetFile(source, buffer_size=_BUFFER_BYTES) as file:
        columns = columns_of(file.schema_arrow)
        for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE, columns=list(columns), use_threads=False):
            parts = [(name, fields, batch.column(name)) for name, fields in columns.items()]
            for place in range(batch.num_rows):
                yield _line([(name, fields, part[place]) for name, fields, part in parts])


def _line(values: Iterable[tuple[str, Fields, Any]]) -> bytes:
    try:
        row = {name: _plain(value.as_py(), fields) for name, fields, value in values if value.is_valid}
        return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
    except UnicodeError:
        return _NOT_UTF_8


def _plain(value: Any, fields: Fields) -> Any:
    if not fields:
        return value
    return [None if each is None else {field: each.get(field) for field in fields} for each in value]


def _limit() -> None:
    for kind, most in ((resource.RLIMIT_DATA, MEMORY_BYTES_MAX), (resource.RLIMIT_CPU, CPU_SECONDS_MAX)):
        _, hard = resource.getrlimit(kind)
        resource.setrlimit(kind, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _leave(status: int) -> None:
    """End the process at once: while the interpreter takes itself down, pyarrow's threads sometimes abort it."""
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    _leave(main())

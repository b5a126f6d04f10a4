"""A process that turns a Parquet file into lines of JSON, and can do little else: see `services.datasets.parquet_rows`.

The file is standard input, which can be read from any place; lines go to standard output. What is wrong with the file
as a whole is one line on standard error, and the exit status FILE_REFUSED. A text that is not UTF-8 makes a line that
is not either.
"""

import json
import os
import resource
import sys
from collections.abc import Iterator
from typing import Any

FILE_REFUSED = 3
MEMORY_BYTES_MAX = 2 * 1024**3
CPU_SECONDS_MAX = 600
_ROWS_AT_ONCE = 64  # rows may be large
_BUFFER_BYTES = 1024**2
_COLUMNS = ("text", "prompt", "completion", "messages")
_FIELDS = ("role", "content")
_NOT_UTF_8 = b"\xff\n"


class FileRefused(Exception):
    """The file cannot be read as rows."""


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
        columns = _columns(file.schema_arrow)
        for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE, columns=columns, use_threads=False):
            parts = [batch.column(name) for name in columns]
            for place in range(batch.num_rows):
                yield _line({name: part[place] for name, part in zip(columns, parts, strict=True)})


def _columns(schema: Any) -> list[str]:
    """Return the columns that are read, each of a fitting type. Raises: FileRefused."""
    names = [name for name in _COLUMNS if name in schema.names]
    if not names:
        there = ", ".join(schema.names[:20]) or "none"
        raise FileRefused(f"its columns are {there}; `text`, `prompt` and `completion`, or `messages` is needed")
    for name in names:
        if schema.names.count(name) > 1:
            raise FileRefused(f"the column `{name}` is there twice")
        kind = schema.field(name).type
        fits = _is_conversation(kind) if name == "messages" else _is_text(kind)
        if not fits:
            wanted = "a list of structs with the texts `role` and `content`" if name == "messages" else "text"
            raise FileRefused(f"the column `{name}` must be {wanted}, not {str(kind)[:200]}")
    return names


def _is_text(kind: Any) -> bool:
    from pyarrow import types

    kind = kind.value_type if types.is_dictionary(kind) else kind
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def _is_conversation(kind: Any) -> bool:
    from pyarrow import types

    if not (types.is_list(kind) or types.is_large_list(kind)) or not types.is_struct(kind.value_type):
        return False
    fields = {field.name: field.type for field in kind.value_type}
    return all(name in fields and _is_text(fields[name]) for name in _FIELDS)


def _line(values: dict[str, Any]) -> bytes:
    try:
        row = {name: _plain(name, value) for name, value in values.items() if value.is_valid}
        return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
    except UnicodeError:
        return _NOT_UTF_8


def _plain(name: str, value: Any) -> Any:
    plain = value.as_py()
    if name != "messages":
        return plain
    return [None if each is None else {field: each.get(field) for field in _FIELDS} for each in plain]


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

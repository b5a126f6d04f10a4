"""Rows of JSONL and Parquet: texts, prompts with completions, or conversations.

Uploads are checked before they become datasets; here each row is checked once more, since what is trained on must be
what it claims to be.
"""

import dataclasses
import hashlib
import json
import pathlib
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias

from trainer_worker.trainer.engine.errors import UnusableData
from tutelage.v1 import datasets_pb2

ROW_BYTES_MAX = 64 << 20
MESSAGES_MAX = 10_000
PARQUET_ROWS_AT_ONCE = 1024
ROLE = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")

FIELDS = {
    datasets_pb2.ROW_KIND_TEXT: ("text",),
    datasets_pb2.ROW_KIND_PROMPT_COMPLETION: ("prompt", "completion"),
    datasets_pb2.ROW_KIND_MESSAGES: ("messages",),
}
COLUMNS = tuple(dict.fromkeys(name for fields in FIELDS.values() for name in fields))
NAMES = {str: "text", bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object"}

RowKind: TypeAlias = "datasets_pb2.RowKind.ValueType"
Message = dict[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One row, numbered from 1 as in the file: a text, a prompt and its completion, or messages."""

    number: int
    texts: tuple[str, ...] = ()
    messages: tuple[Message, ...] = ()

    @property
    def characters(self) -> int:
        said = sum(len(message["content"]) for message in self.messages)
        return said + sum(map(len, self.texts))

    def identity(self) -> bytes:
        """Equal for rows that say the same."""
        content = json.dumps([self.texts, self.messages], sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return hashlib.blake2b(content.encode(), digest_size=16).digest()


def read_rows(path: pathlib.Path, *, format: "datasets_pb2.DatasetFormat.ValueType", kind: RowKind) -> Iterator[Row]:
    """All rows of a file, in order. Of an unspecified `kind`, they are what the first row is.

    Raises: UnusableData with the row and the field that is wrong.
    """
    objects = parquet_objects(path) if format == datasets_pb2.DATASET_FORMAT_PARQUET else jsonl_objects(path)
    for number, values in enumerate(objects, start=1):
        if kind == datasets_pb2.ROW_KIND_UNSPECIFIED:
            kind = kind_of(values)
        yield checked_row(number, values, kind)


def without_duplicates(rows: Iterable[Row]) -> Iterator[Row | None]:
    """The rows, with None in the place of one that occurred before."""
    seen: set[bytes] = set()
    for row in rows:
        identity = row.identity()
        yield None if identity in seen else row
        seen.add(identity)


def jsonl_objects(path: pathlib.Path) -> Iterator[Any]:
    number = 0
    with path.open("rb") as file:
        while line := file.readline(ROW_BYTES_MAX + 1):
            number += 1
            if len(line) > ROW_BYTES_MAX:
                raise wrong(number, "", f"is longer than {ROW_BYTES_MAX:,} bytes")
            try:
                yield json.loads(line.decode())
            except UnicodeDecodeError as error:
                raise wrong(number, "", f"is not UTF-8 at byte {error.start}") from error
            except (ValueError, RecursionError) as error:
                raise wrong(number, "", f"is not JSON: {error}") from error


def parquet_objects(path: pathlib.Path, *, columns: Sequence[str] = COLUMNS) -> Iterator[Any]:
    import pyarrow  # a second to load, and few datasets need it
    from pyarrow import parquet

    number = 0
    try:
        with parquet.ParquetFile(path, memory_map=True) as file:
            there = set(file.schema_arrow.names)
            wanted = [name for name in columns if name in there]
            for part in file.iter_batches(batch_size=PARQUET_ROWS_AT_ONCE, columns=wanted, use_threads=False):
                for values in part.to_pylist():
                    number += 1
                    yield values
    except (pyarrow.ArrowException, OSError) as error:
        raise UnusableData(f"the Parquet file cannot be read after row {number}: {error}") from error


def kind_of(values: Any) -> RowKind:
    for kind, fields in FIELDS.items():
        if isinstance(values, dict) and all(values.get(field) is not None for field in fields):
            return kind
    raise wrong(1, "", "has neither `text`, nor `prompt` and `completion`, nor `messages`")


def checked_row(number: int, values: Any, kind: RowKind) -> Row:
    if not isinstance(values, dict):
        raise wrong(number, "", f"must be an object, not {named(values)}")
    if kind == datasets_pb2.ROW_KIND_MESSAGES:
        return Row(number, messages=tuple(checked_messages(number, values.get("messages"))))
    return Row(number, texts=tuple(checked_text(number, field, values.get(field)) for field in FIELDS[kind]))


def checked_messages(number: int, messages: Any) -> Iterator[Message]:
    if not isinstance(messages, list):
        raise wrong(number, "messages", missing_or(messages, "a list"))
    if not 1 <= len(messages) <= MESSAGES_MAX:
        raise wrong(number, "messages", f"must hold 1 to {MESSAGES_MAX:,} messages, not {len(messages):,}")
    for place, message in enumerate(messages):
        field = f"messages[{place}]"
        if not isinstance(message, dict):
            raise wrong(number, field, f"must be an object, not {named(message)}")
        role = checked_text(number, f"{field}.role", message.get("role"))
        if not ROLE.fullmatch(role):
            raise wrong(number, f"{field}.role", "must be one word of letters, such as `user` or `assistant`")
        checked_text(number, f"{field}.content", message.get("content"))
        for key in message.keys() - {"role", "content"}:
            require_json(number, f"{field}.{key}", message[key])
        yield {key: value for key, value in message.items() if value is not None}


def require_json(number: int, field: str, value: Any) -> None:
    """Parquet also holds dates, times and bytes, which no template can write."""
    try:
        json.dumps(value)
    except (TypeError, ValueError) as error:
        raise wrong(number, field, f"is nothing that JSON can hold: {error}") from error


def checked_text(number: int, field: str, value: Any) -> str:
    if not isinstance(value, str):
        raise wrong(number, field, missing_or(value, "text"))
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise wrong(number, field, f"holds half a character (a lone surrogate) at {error.start}") from error
    return value


def missing_or(value: Any, expected: str) -> str:
    return "is missing" if value is None else f"must be {expected}, not {named(value)}"


def named(value: Any) -> str:
    return NAMES.get(type(value), "nothing" if value is None else type(value).__name__)


def wrong(number: int, field: str, what: str) -> UnusableData:
    place = f"row {number}, {field}" if field else f"row {number}"
    return UnusableData(f"{place}: {what}", help="Correct the row and upload the dataset again.")

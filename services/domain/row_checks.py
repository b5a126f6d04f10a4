"""What one row of a dataset must be: an object with `text`, or `prompt` and `completion`, or `messages`.

Further keys are left alone. What is wrong is said with the path of the field, `messages[2].content`.
"""

import collections
import dataclasses
import json
import math
import re
from collections.abc import Iterator
from typing import Any, NoReturn

from services.domain.datasets import RowKind
from services.domain.errors import FieldViolation
from services.domain.limits import MESSAGES_MAX

FIELDS = {
    RowKind.TEXT: ("text",),
    RowKind.PROMPT_COMPLETION: ("prompt", "completion"),
    RowKind.MESSAGES: ("messages",),
}
ROLES = ("system", "user", "assistant", "tool")
_MAY_BE_EMPTY = ("prompt",)
_NAMES = {str: "text", bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object"}
_DIGITS_MAX = 1000
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")


@dataclasses.dataclass(frozen=True)
class CheckedRow:
    """A row that is well: its kind and its texts in order, those of a conversation each with the role before it."""

    kind: RowKind
    texts: tuple[str, ...]


def parse_row(line: str) -> Any:
    """Return the value of a line. Raises: ValueError in words for what is not JSON, or is JSON with two meanings."""
    try:
        return _DECODER.decode(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON: {error.msg} at character {error.pos + 1:,}") from None
    except RecursionError:
        raise ValueError("is nested too deeply") from None


def kind_of_row(row: Any) -> RowKind | None:
    """Return what a row is by its keys; None for one that is nothing, or more than one thing."""
    found = list(_kinds(row)) if isinstance(row, dict) else []
    return found[0] if len(found) == 1 else None


def check_row(row: Any, *, wanted: RowKind | None) -> CheckedRow | list[FieldViolation]:
    """Return a row if it is well, else what is wrong with it. `wanted` is what the rows before it were."""
    if not isinstance(row, dict):
        return [FieldViolation("", f"must be an object, not {_named(row)}")]
    found = list(_kinds(row))
    if len(found) > 1:
        return [FieldViolation("", f"has {' and '.join(map(_shown, found))}: keep one of them")]
    kind = wanted or (found[0] if found else None)
    if kind is None:
        return [FieldViolation("", "has neither `text`, nor `prompt` and `completion`, nor `messages`")]
    if found and found[0] is not kind:
        return [FieldViolation("", f"has {_shown(found[0])}, and the rows before it have {_shown(kind)}")]
    wrong = list(_wrong(row, kind))
    return wrong or CheckedRow(kind=kind, texts=tuple(_texts(row, kind)))


def _kinds(row: dict[str, Any]) -> Iterator[RowKind]:
    for kind, fields in FIELDS.items():
        if all(row.get(field) is not None for field in fields):
            yield kind


def _wrong(row: dict[str, Any], kind: RowKind) -> Iterator[FieldViolation]:
    if kind is RowKind.MESSAGES:
        yield from _wrong_messages(row.get("messages"))
        return
    for field in FIELDS[kind]:
        yield from _wrong_text(field, row.get(field), may_be_empty=field in _MAY_BE_EMPTY)


def _wrong_messages(messages: Any) -> Iterator[FieldViolation]:
    if not isinstance(messages, list):
        yield FieldViolation("messages", _missing_or(messages, "a list"))
    elif not 1 <= len(messages) <= MESSAGES_MAX:
        yield FieldViolation("messages", f"must hold 1 to {MESSAGES_MAX:,} messages, not {len(messages):,}")
    else:
        for place, message in enumerate(messages):
            if not _is_plainly_well(message):
                yield from _wrong_message(f"messages[{place}]", message)


def _is_plainly_well(message: Any) -> bool:
    """Whether a message needs no closer look, as most do."""
    if not isinstance(message, dict) or message.get("role") not in ROLES:
        return False
    content = message.get("content")
    return isinstance(content, str) and content.isascii() and "\0" not in content


def _wrong_message(path: str, message: Any) -> Iterator[FieldViolation]:
    if not isinstance(message, dict):
        yield FieldViolation(path, f"must be an object, not {_named(message)}")
        return
    role = message.get("role")
    if not isinstance(role, str):
        yield FieldViolation(f"{path}.role", _missing_or(role, "text"))
    elif role not in ROLES:
        yield FieldViolation(f"{path}.role", f"must be one of {', '.join(ROLES)}, got {ascii(role[:80])}")
    yield from _wrong_text(f"{path}.content", message.get("content"), may_be_empty=True)


def _wrong_text(path: str, value: Any, *, may_be_empty: bool) -> Iterator[FieldViolation]:
    if not isinstance(value, str):
        yield FieldViolation(path, _missing_or(value, "text"))
    elif not value and not may_be_empty:
        yield FieldViolation(path, "must not be empty")
    elif "\0" in value:
        yield FieldViolation(path, f"holds NUL at character {value.index(chr(0)) + 1:,}, which text does not")
    elif not value.isascii() and (half := _HALF_CHARACTER.search(value)):
        yield FieldViolation(path, f"holds half a character (a lone surrogate) at character {half.start() + 1:,}")


def _texts(row: dict[str, Any], kind: RowKind) -> Iterator[str]:
    if kind is not RowKind.MESSAGES:
        yield from (row[field] for field in FIELDS[kind])
        return
    for message in row["messages"]:
        yield message["role"]
        yield message["content"]


def _shown(kind: RowKind) -> str:
    return " and ".join(f"`{field}`" for field in FIELDS[kind])


def _missing_or(value: Any, expected: str) -> str:
    return "is missing" if value is None else f"must be {expected}, not {_named(value)}"


def _named(value: Any) -> str:
    return "nothing" if value is None else _NAMES.get(type(value), type(value).__name__)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        counts = collections.Counter(key for key, _ in pairs)
        twice = next(key for key, count in counts.items() if count > 1)
        raise ValueError(f"has the key {ascii(twice[:80])} twice")
    return found


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"holds {word}, which is not JSON")


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(f"holds the number {number[:40]}, which is too large")
    return value


def _whole(number: str) -> int:
    if len(number) > _DIGITS_MAX:
        raise ValueError(f"holds a number of {len(number):,} digits, and at most {_DIGITS_MAX} are taken")
    return int(number)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_float=_finite, parse_int=_whole
)
"""Made once: to make one takes longer than to read a row."""

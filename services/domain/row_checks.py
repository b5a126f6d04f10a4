"""What one row of a dataset must be: an object with `text`, or `prompt` and `completion`, or `messages`.

Rows of prompts and of judged answers are those of `judged_rows`. Further keys are left alone. What is wrong is said
with the path of the field, `messages[2].content`.
"""

import collections
import dataclasses
import json
import math
from collections.abc import Iterator
from typing import Any, NoReturn

from services.domain.datasets import RowKind
from services.domain.errors import FieldViolation
from services.domain.judged_rows import FIELDS as JUDGED_FIELDS
from services.domain.judged_rows import judged_kind, judged_texts, wrong_judged
from services.domain.row_fields import named, texts_of, wrong_messages, wrong_text

FIELDS = {
    RowKind.TEXT: ("text",),
    RowKind.PROMPT_COMPLETION: ("prompt", "completion"),
    RowKind.MESSAGES: ("messages",),
    **JUDGED_FIELDS,
}
_EXAMPLES = (RowKind.TEXT, RowKind.PROMPT_COMPLETION, RowKind.MESSAGES)
_MORE_THAN_COMPLETIONS = (RowKind.FEEDBACK, RowKind.LABELLED)
_MAY_BE_EMPTY = ("prompt",)
_DIGITS_MAX = 1000


@dataclasses.dataclass(frozen=True)
class CheckedRow:
    """A row that is well: its kind and its texts in order, those of a conversation each with the role before it.

    `signal` is what a row of a feedback set says that it is, `pair`, `label` or `example`.
    """

    kind: RowKind
    texts: tuple[str, ...]
    signal: str = ""


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
        return [FieldViolation("", f"must be an object, not {named(row)}")]
    found = list(_kinds(row))
    if len(found) > 1:
        return [FieldViolation("", f"has {' and '.join(map(_shown, found))}: keep one of them")]
    kind = wanted or (found[0] if found else None)
    if kind is None:
        return [FieldViolation("", "has neither `text`, nor `prompt`, nor `messages`")]
    if found and not _may_follow(found[0], kind):
        return [FieldViolation("", f"has {_shown(found[0])}, and the rows before it have {_shown(kind)}")]
    wrong = list(_wrong(row, kind))
    signal = row.get("kind") if kind is RowKind.FEEDBACK else ""
    return wrong or CheckedRow(kind=kind, texts=tuple(_texts(row, kind)), signal=str(signal))


def _kinds(row: dict[str, Any]) -> Iterator[RowKind]:
    """Yield what a row is: one kind, unless it is none or several of those that have nothing in common."""
    found = [kind for kind in _EXAMPLES if all(row.get(field) is not None for field in FIELDS[kind])]
    judged = judged_kind(row)
    if judged is not None and (
        not found or (found == [RowKind.PROMPT_COMPLETION] and judged in _MORE_THAN_COMPLETIONS)
    ):
        yield judged
        return
    yield from found


def _may_follow(kind: RowKind, wanted: RowKind) -> bool:
    """Whether a row that looks like one kind may be one of another: then its fields tell what is missing.

    Rows with more than a prompt are no prompts with further keys: the rows before them have lost something.
    """
    if kind is wanted or RowKind.PROMPT in (kind, wanted):
        return kind is wanted or (kind is RowKind.PROMPT and wanted not in (RowKind.TEXT, RowKind.MESSAGES))
    return not {kind, wanted} & {RowKind.TEXT, RowKind.MESSAGES}


def _wrong(row: dict[str, Any], kind: RowKind) -> Iterator[FieldViolation]:
    if kind in JUDGED_FIELDS:
        yield from wrong_judged(row, kind)
        return
    if kind is RowKind.MESSAGES:
        yield from wrong_messages("messages", row.get("messages"))
        return
    for field in FIELDS[kind]:
        yield from wrong_text(field, row.get(field), may_be_empty=field in _MAY_BE_EMPTY)


def _texts(row: dict[str, Any], kind: RowKind) -> Iterator[str]:
    if kind in JUDGED_FIELDS:
        yield from judged_texts(row, kind)
    elif kind is RowKind.MESSAGES:
        yield from texts_of(row["messages"])
    else:
        yield from (row[field] for field in FIELDS[kind])


def _shown(kind: RowKind) -> str:
    return " and ".join(f"`{field}`" for field in FIELDS[kind])


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

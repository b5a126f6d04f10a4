"""Rows of prompts, and of what people or programs say about answers to them.

They are prompts alone; pairs of a chosen and a rejected answer; answers with a label; the rows of a feedback set, each
saying by `kind` which of these it is; and prompts with checks that an answer must pass.
"""

from collections.abc import Iterator
from typing import Any

from services.domain.checkers import checker_violations
from services.domain.datasets import RowKind
from services.domain.drawing import Checker
from services.domain.errors import FieldViolation
from services.domain.limits import CHECKS_MAX
from services.domain.names import did_you_mean
from services.domain.row_fields import (
    answer_text,
    missing_or,
    named,
    texts_of,
    wrong_answer,
    wrong_label,
    wrong_prompt,
    wrong_text,
    wrong_weight,
)

PAIR, LABEL, EXAMPLE = "pair", "label", "example"
FEEDBACK_KINDS = (PAIR, LABEL, EXAMPLE)

FIELDS = {
    RowKind.FEEDBACK: ("kind", "prompt", "votes"),
    RowKind.PREFERENCE: ("prompt", "chosen", "rejected"),
    RowKind.LABELLED: ("prompt", "completion", "label"),
    RowKind.CHECKS: ("prompt", "checks"),
    RowKind.PROMPT: ("prompt",),
}
_ANSWERS = {PAIR: ("chosen", "rejected"), LABEL: ("completion",), EXAMPLE: ("completion",)}


def judged_kind(row: dict[str, Any]) -> RowKind | None:
    """Return which of these a row is by its keys, also if a field of it is missing or wrong; None for none of them."""
    if isinstance(row.get("kind"), str) and isinstance(row.get("votes"), list) and row.get("prompt") is not None:
        return RowKind.FEEDBACK
    if row.get("chosen") is not None or row.get("rejected") is not None:
        return RowKind.PREFERENCE
    if row.get("prompt") is None:
        return None
    if row.get("checks") is not None:
        return RowKind.CHECKS
    if row.get("completion") is None:
        return RowKind.PROMPT
    return RowKind.LABELLED if row.get("label") is not None else None


def wrong_judged(row: dict[str, Any], kind: RowKind) -> Iterator[FieldViolation]:
    """Name every field of a row that is wrong."""
    if kind is RowKind.FEEDBACK:
        yield from _wrong_feedback(row)
        return
    alone = kind in (RowKind.PROMPT, RowKind.CHECKS)
    yield from wrong_prompt("prompt", row.get("prompt"), may_be_empty=not alone)
    if kind is RowKind.PREFERENCE:
        yield from _wrong_pair(row)
        yield from wrong_weight("weight", row.get("weight"))
    elif kind is RowKind.LABELLED:
        yield from wrong_answer("completion", row.get("completion"), may_be_empty=True)
        yield from wrong_label("label", row.get("label"))
    elif kind is RowKind.CHECKS:
        yield from _wrong_checks(row.get("checks"))


def judged_texts(row: dict[str, Any], kind: RowKind) -> Iterator[str]:
    """Yield the texts of a row that is well, in order: what makes it the same as another one."""
    yield from texts_of(row["prompt"])
    if kind is RowKind.FEEDBACK:
        yield row["kind"]
    for field in ("chosen", "rejected", "completion"):
        if row.get(field) is not None and kind not in (RowKind.PROMPT, RowKind.CHECKS):
            yield answer_text(row[field])
    if kind is RowKind.LABELLED or (kind is RowKind.FEEDBACK and row["kind"] == LABEL):
        yield "true" if row["label"] else "false"
    if kind is RowKind.CHECKS:
        for check in row["checks"]:
            yield check["name"]
            yield check.get("argument") or ""


def _wrong_pair(row: dict[str, Any]) -> Iterator[FieldViolation]:
    found = [
        *wrong_answer("chosen", row.get("chosen"), may_be_empty=True),
        *wrong_answer("rejected", row.get("rejected"), may_be_empty=True),
    ]
    yield from found
    if not found and answer_text(row["chosen"]) == answer_text(row["rejected"]):
        yield FieldViolation("rejected", "is the same as `chosen`: there is nothing to prefer")


def _wrong_feedback(row: dict[str, Any]) -> Iterator[FieldViolation]:
    kind = row.get("kind")
    if kind not in FEEDBACK_KINDS:
        yield FieldViolation("kind", _wrong_kind(kind))
        return
    yield from wrong_prompt("prompt", row.get("prompt"), may_be_empty=True)
    if kind == PAIR:
        yield from _wrong_pair(row)
    else:
        yield from wrong_answer("completion", row.get("completion"), may_be_empty=kind == LABEL)
    if kind == LABEL:
        yield from wrong_label("label", row.get("label"))
    yield from wrong_weight("weight", row.get("weight"))
    yield from _wrong_votes(row.get("votes"))


def _wrong_kind(kind: Any) -> str:
    if not isinstance(kind, str):
        return missing_or(kind, "text")
    shown = kind[:80]  # a longer one is none that was mistyped, and costs time to compare
    return f"must be one of {', '.join(FEEDBACK_KINDS)}, got {ascii(shown)}{did_you_mean(shown, FEEDBACK_KINDS)}"


def _wrong_votes(votes: Any) -> Iterator[FieldViolation]:
    if not isinstance(votes, list):
        yield FieldViolation("votes", missing_or(votes, "a list"))
        return
    for place, vote in enumerate(votes):
        yield from wrong_text(f"votes[{place}]", vote, may_be_empty=False)


def _wrong_checks(checks: Any) -> Iterator[FieldViolation]:
    if not isinstance(checks, list):
        yield FieldViolation("checks", missing_or(checks, "a list"))
    elif not 1 <= len(checks) <= CHECKS_MAX:
        yield FieldViolation("checks", f"must hold 1 to {CHECKS_MAX} checks, not {len(checks):,}")
    else:
        for place, check in enumerate(checks):
            yield from _wrong_check(f"checks[{place}]", check)


def _wrong_check(path: str, check: Any) -> Iterator[FieldViolation]:
    if not isinstance(check, dict):
        yield FieldViolation(path, f"must be an object, not {named(check)}")
        return
    argument = check.get("argument")
    found = list(wrong_text(f"{path}.name", check.get("name"), may_be_empty=False))
    if argument is not None:
        found += wrong_text(f"{path}.argument", argument, may_be_empty=True)
    yield from found
    if not found:
        yield from checker_violations(Checker(name=check["name"], argument=argument or ""), path)

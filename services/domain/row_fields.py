"""What a field of a row must be: a text, a conversation, an answer, a number. What is wrong is said with its path."""

import re
from collections.abc import Iterator
from typing import Any

from services.domain.errors import FieldViolation
from services.domain.limits import MESSAGES_MAX, ROW_WEIGHT_MAX

ROLES = ("system", "user", "assistant", "tool")
_NAMES = {str: "text", bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object"}
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")


def wrong_text(path: str, value: Any, *, may_be_empty: bool) -> Iterator[FieldViolation]:
    """Name what keeps a value from being text."""
    if not isinstance(value, str):
        yield FieldViolation(path, missing_or(value, "text"))
    elif not value and not may_be_empty:
        yield FieldViolation(path, "must not be empty")
    elif "\0" in value:
        yield FieldViolation(path, f"holds NUL at character {value.index(chr(0)) + 1:,}, which text does not")
    elif not value.isascii() and (half := _HALF_CHARACTER.search(value)):
        yield FieldViolation(path, f"holds half a character (a lone surrogate) at character {half.start() + 1:,}")


def wrong_messages(path: str, messages: Any) -> Iterator[FieldViolation]:
    """Name what keeps a value from being a conversation."""
    if not isinstance(messages, list):
        yield FieldViolation(path, missing_or(messages, "a list"))
    elif not 1 <= len(messages) <= MESSAGES_MAX:
        yield FieldViolation(path, f"must hold 1 to {MESSAGES_MAX:,} messages, not {len(messages):,}")
    else:
        for place, message in enumerate(messages):
            if not _is_plainly_well(message):
                yield from _wrong_message(f"{path}[{place}]", message)


def wrong_prompt(path: str, prompt: Any, *, may_be_empty: bool) -> Iterator[FieldViolation]:
    """Name what keeps a value from being asked: a text, or a conversation that the assistant has not ended."""
    if not isinstance(prompt, list):
        expected = "text or a list of messages"
        wrong = wrong_text(path, prompt, may_be_empty=may_be_empty)
        yield from wrong if isinstance(prompt, str) else [FieldViolation(path, missing_or(prompt, expected))]
        return
    found = list(wrong_messages(path, prompt))
    yield from found
    if not found and prompt[-1]["role"] == "assistant":
        yield FieldViolation(f"{path}[{len(prompt) - 1}].role", "must not be assistant: there is nothing to answer")


def wrong_answer(path: str, answer: Any, *, may_be_empty: bool) -> Iterator[FieldViolation]:
    """Name what keeps a value from being an answer: a text, or a list with one message of the assistant."""
    if not isinstance(answer, list):
        expected = "text or a list with one message of the assistant"
        wrong = wrong_text(path, answer, may_be_empty=may_be_empty)
        yield from wrong if isinstance(answer, str) else [FieldViolation(path, missing_or(answer, expected))]
        return
    if len(answer) != 1:
        yield FieldViolation(
            path, f"must hold one message, the answer, not {len(answer):,}; put the others in `prompt`"
        )
        return
    found = list(wrong_messages(path, answer))
    yield from found
    if not found and answer[0]["role"] != "assistant":
        yield FieldViolation(f"{path}[0].role", f"must be assistant, got {answer[0]['role']}")


def wrong_weight(path: str, weight: Any) -> Iterator[FieldViolation]:
    """Name what keeps a value from being how much a row counts; nothing is 1."""
    if weight is None:
        return
    if isinstance(weight, bool) or not isinstance(weight, int | float):
        yield FieldViolation(path, f"must be a number, not {named(weight)}")
    elif not 0 < weight <= ROW_WEIGHT_MAX:
        yield FieldViolation(path, f"must be above 0 and at most {ROW_WEIGHT_MAX:g}, got {str(weight)[:40]}")


def wrong_label(path: str, label: Any) -> Iterator[FieldViolation]:
    """Name what keeps a value from being true or false."""
    if not isinstance(label, bool):
        yield FieldViolation(path, missing_or(label, "true or false"))


def texts_of(value: Any) -> Iterator[str]:
    """Yield the texts of a prompt or an answer that is well, those of a conversation each with the role before it."""
    if isinstance(value, str):
        yield value
        return
    for message in value:
        yield message["role"]
        yield message["content"]


def answer_text(value: Any) -> Any:
    """Return the text of an answer that is well, whatever its form."""
    return value[0]["content"] if isinstance(value, list) else value


def missing_or(value: Any, expected: str) -> str:
    """Return that a value is missing, or what it must be and what it is."""
    return "is missing" if value is None else f"must be {expected}, not {named(value)}"


def named(value: Any) -> str:
    """Return what a value is, in words."""
    return "nothing" if value is None else _NAMES.get(type(value), type(value).__name__)


def _is_plainly_well(message: Any) -> bool:
    """Whether a message needs no closer look, as most do."""
    if not isinstance(message, dict) or message.get("role") not in ROLES:
        return False
    content = message.get("content")
    return isinstance(content, str) and content.isascii() and "\0" not in content


def _wrong_message(path: str, message: Any) -> Iterator[FieldViolation]:
    if not isinstance(message, dict):
        yield FieldViolation(path, f"must be an object, not {named(message)}")
        return
    role = message.get("role")
    if not isinstance(role, str):
        yield FieldViolation(f"{path}.role", missing_or(role, "text"))
    elif role not in ROLES:
        yield FieldViolation(f"{path}.role", f"must be one of {', '.join(ROLES)}, got {ascii(role[:80])}")
    yield from wrong_text(f"{path}.content", message.get("content"), may_be_empty=True)

"""Checkers: programs that score an answer from 0 to 1. Nothing of an answer is ever run.

An answer is written by whoever can make a model write. So every checker reads a bounded piece of it, and ends.
"""

import ast
import json
import re
import warnings
from collections.abc import Callable
from typing import NoReturn

from trainer_worker.trainer.engine.errors import UnusableData

# A program within these bounds is parsed, as often as its lines can ask for, in about a second on one core.
PYTHON_CHARACTERS_MAX = 20_000
PYTHON_LINES_MAX = 500
JSON_CHARACTERS_MAX = 1_000_000
NESTING_MAX = 60  # the deepest of CPython's own library is 13; the parser's stack ends at a few hundred
ARGUMENT_CHARACTERS_MAX = 1000

OPENING, CLOSING = frozenset("([{"), frozenset(")]}")
STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
LINE_END = re.compile(r"\r\n|[\r\n]")  # where Python itself sees a line end

Checker = Callable[[str, str], float]  # of an answer, and of the text that it goes on from, which may be empty


def checker_of(name: str, argument: str = "") -> Checker:
    """The checker of a name. Raises: UnusableData if there is none, or its argument is none that it takes."""
    if name not in CHECKERS:
        raise UnusableData(f"there is no checker {ascii(name[:100])}", help=f"Choose one of {', '.join(CHECKERS)}.")
    if len(argument) > ARGUMENT_CHARACTERS_MAX:
        raise UnusableData(f"the argument of {name} has {len(argument):,} characters, not {ARGUMENT_CHARACTERS_MAX:,}")
    return CHECKERS[name](argument)


def python_parses(argument: str) -> Checker:
    """The share of the answer's lines, blank ones not counted, in its longest beginning that parses as Python.

    An answer that goes on from a text may be the middle of a program: it is read alone and behind that text, and the
    better counts. Lines beyond the bounds count as lines that do not parse; an answer without a line has none.
    """
    refuse_argument("python-parses", argument)

    def score(answer: str, before: str) -> float:
        lines = said(answer)
        if not lines:
            return 0.0
        best = len(said("\n".join(parsing_beginning(answer))))
        if before and best < len(lines):
            best = max(best, lines_behind(before, answer))
        return best / len(lines)

    return score


def lines_behind(before: str, answer: str) -> int:
    """How many of the answer's lines parse where it goes on from a text; the line that both share is the answer's."""
    shared = len(lines_of(before)) - 1
    added = parsing_beginning(before + answer)[shared:]
    if added:
        added[0] = lines_of(answer)[0]  # what the text itself has on that line is not the answer's
    return len(said("\n".join(added)))


def parsing_beginning(text: str) -> list[str]:
    """The lines of the longest beginning that parses.

    Where a beginning fails, the parser names the line; every longer beginning that holds it fails as well.
    """
    lines = bounded_lines(text)
    while lines:
        failed = failing_line("\n".join(lines) + "\n")
        if failed is None:
            break
        lines = lines[: min(len(lines), max(failed, 1)) - 1]
    return lines


def failing_line(source: str) -> int | None:
    """The line that keeps a text from being a program, or its last line if the parser names none; None if it is one."""
    last = source.count("\n")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd escapes, for instance: they parse
            ast.parse(source)
    except SyntaxError as error:
        return min(error.lineno or last, last)
    except (ValueError, RecursionError, MemoryError):
        return last  # NUL, half characters, numbers of thousands of digits; chains that are too long for the parser
    return None


def bounded_lines(text: str) -> list[str]:
    """The lines within the bounds of length and of nesting, brackets in texts counted alike."""
    lines = lines_of(text[:PYTHON_CHARACTERS_MAX])
    whole = lines if len(text) <= PYTHON_CHARACTERS_MAX else lines[:-1]
    depth = 0
    for count, line in enumerate(whole[:PYTHON_LINES_MAX]):
        depth, deepest = depths(line, depth)
        if deepest > NESTING_MAX:
            return whole[:count]
    return whole[:PYTHON_LINES_MAX]


def depths(text: str, depth: int = 0) -> tuple[int, int]:
    """How many brackets are open at the end, and at most."""
    deepest = depth
    for character in text:
        if character in OPENING:
            depth += 1
            deepest = max(deepest, depth)
        elif character in CLOSING:
            depth = max(0, depth - 1)
    return depth, deepest


def lines_of(text: str) -> list[str]:
    return LINE_END.split(text)


def said(text: str) -> list[str]:
    """The lines that are not blank."""
    return [line for line in lines_of(text) if line.strip()]


def json_parses(argument: str) -> Checker:
    """1 if the answer, without the white space around it, is one JSON value after RFC 8259, else 0."""
    refuse_argument("json-parses", argument)

    def score(answer: str, _before: str) -> float:
        if len(answer) > JSON_CHARACTERS_MAX or depths(STRING.sub("", answer))[1] > NESTING_MAX:
            return 0.0
        try:
            json.loads(answer, parse_constant=no_number)
        except (ValueError, RecursionError):
            return 0.0
        return 1.0

    return score


def no_number(name: str) -> NoReturn:
    """NaN and Infinity, which Python reads and JSON has not."""
    raise ValueError(name)


def contains(argument: str) -> Checker:
    """1 if the answer has the text somewhere, as it is written, else 0."""
    require_argument("contains", argument)
    return lambda answer, _before: float(argument in answer)


def excludes(argument: str) -> Checker:
    """1 if the answer has the text nowhere, else 0."""
    require_argument("excludes", argument)
    return lambda answer, _before: float(argument not in answer)


def length_at_most(argument: str) -> Checker:
    """1 up to so many characters; beyond, the share of the answer that they are."""
    if not re.fullmatch(r"[0-9]{1,9}", argument) or not int(argument):
        raise UnusableData(f"length-at-most takes a number of characters from 1 on, not {ascii(argument[:100])}")
    longest = int(argument)
    return lambda answer, _before: min(1.0, longest / max(1, len(answer)))


def require_argument(name: str, argument: str) -> None:
    if not argument:
        raise UnusableData(f"{name} needs an argument: the text to look for")


def refuse_argument(name: str, argument: str) -> None:
    if argument:
        raise UnusableData(f"{name} takes no argument, not {ascii(argument[:100])}")


CHECKERS: dict[str, Callable[[str], Checker]] = {
    "python-parses": python_parses,
    "json-parses": json_parses,
    "contains": contains,
    "excludes": excludes,
    "length-at-most": length_at_most,
}

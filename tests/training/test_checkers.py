"""Checkers score what answers say, and survive whatever they say."""

import ast
import random
import time
import warnings

import pytest

from trainer_worker.trainer.engine.checkers import CHECKERS, PYTHON_LINES_MAX, checker_of, parsing_beginning
from trainer_worker.trainer.engine.errors import UnusableData


def score(name: str, answer: str, *, argument: str = "", before: str = "") -> float:
    return checker_of(name, argument)(answer, before)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("x = 1\ny = 2\n", 1.0),
        ("x = 1\ny = = 2\n", 0.5),
        ("x = 1\n\n\ny = = 2", 0.5),
        ("def f():\n    return 1\n", 1.0),
        ("def f():\n", 0.0),
        ("x = 1\ndef f(\n    a,\n    b\n", 0.25),
        ("x = 1\ntry:\n    y = 2\n    z = 3\n", 0.25),
        ("if x:\n    y = 1\nelse:\n    z ==\n", 0.5),
        ("    indented = 1\n", 0.0),
        ('x = """\nnever closed\n', 0.0),
        ("x = 1\r\ny = 2\rz = 3", 1.0),
        ("# only a remark", 1.0),
        ("", 0.0),
        ("\n \n\t\n", 0.0),
        ("print('\\d')", 1.0),
    ],
)
def test_python_is_scored_by_the_longest_beginning_that_parses(answer: str, expected: float) -> None:
    assert score("python-parses", answer) == expected


@pytest.mark.parametrize(
    ("before", "answer", "expected"),
    [
        ("def f(x):\n", "    return x\n", 1.0),
        ("def ", "f(x):\n    return x\n", 1.0),
        ("def f(x):\n", "    return x\n  y = (\n", 0.5),
        ("Write a program, please:\n", "x = 1\n", 1.0),
        ("import (", "    return\n", 0.0),
        ("x = 1", "\ny = 2", 1.0),
        ("x = (", "1)\ny = = 2", 0.5),
        ("x = 1\n", "", 0.0),
        ("x = ", "\n", 0.0),
    ],
)
def test_python_may_go_on_from_the_prompt(before: str, answer: str, expected: float) -> None:
    assert score("python-parses", answer, before=before) == expected


def test_the_longest_beginning_is_the_one_that_trying_all_of_them_finds() -> None:
    pieces = ["x = 1", "if x:", "    y = (", ")", "    pass", "else:", "'''", "for i in y:", "", "  z", "try:", "\\"]
    pieces += ["finally:", "    return [", "]", "@d", "def f():", "x = {1:", "}", "f'{x", "lambda:", "# a"]
    draw = random.Random(5)
    for _ in range(1500):
        lines = draw.choices(pieces, k=draw.randint(1, 9))
        assert len(parsing_beginning("\n".join(lines))) == longest_by_trying(lines), lines


def longest_by_trying(lines: list[str]) -> int:
    for count in range(len(lines), 0, -1):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                ast.parse("\n".join(lines[:count]) + "\n")
        except SyntaxError:
            continue
        return count
    return 0


HOSTILE = {
    "brackets": "(" * 20_000,
    "closed brackets": "(" * 9_000 + "1" + ")" * 9_000,
    "braces": "{1:" * 6_000,
    "minus": "-" * 19_000 + "1",
    "not": "not " * 4_000 + "1",
    "lambda": "lambda:" * 2_500 + "1",
    "attributes": "a" + ".a" * 9_000,
    "power": "1" + "**1" * 6_000,
    "calls": "a" + "()" * 9_000,
    "elif": "if 1:\n 1\n" + "elif 1:\n 1\n" * 1_500,
    "else": "1" + " if 1 else 1" * 1_600,
    "decorators": "@a\n" * 6_000,
    "continued": "x = 1 + \\\n" * 2_000,
    "tries": "".join(" " * depth + "try:\n" for depth in range(140)),
    "try": "try:\n" + "    x = 1\n" * 1_900,
    "indents": "".join(" " * depth + "if 1:\n" for depth in range(150)),
    "digits": "1" * 19_000,
    "hexadecimal": "0x" + "f" * 19_000,
    "f-strings": 'f"{a}"' * 3_000,
    "nested f-strings": "f'{f\"{" * 2_000,
    "NUL": "x = 1\n\0\n",
    "half a character": "x = '\ud800'",
    "form feeds": "\f" * 19_000,
    "coding": "# -*- coding: utf-7 -*-\n+AF8-\n",
    "unknown coding": "# coding: nothing-at-all\nx = 1\n",
    "long": "x = 1\n" * 200_000,
    "one line": "x" * 5_000_000,
    "escapes": '"' + "\\d" * 9_000 + '"',
    "names": "x = \\N{NO SUCH CHARACTER}" * 500,
    "json deep": "[" * 500_000,
    "json closed": "[" * 400_000 + "]" * 400_000,
    "json digits": "1" * 900_000,
    "json strings": '"' * 900_001,
    "json backslashes": '"' + "\\" * 900_001,
}


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("name", CHECKERS)
def test_no_answer_stops_a_checker(name: str, kind: str) -> None:
    began = time.process_time()
    argument = {"contains": "x", "excludes": "x", "length-at-most": "10"}.get(name, "")
    found = checker_of(name, argument)(HOSTILE[kind], HOSTILE[kind][:3_000])
    assert 0.0 <= found <= 1.0
    assert time.process_time() - began < 5.0


def test_what_lies_beyond_the_bounds_does_not_parse() -> None:
    assert score("python-parses", "x = 1\n" * 2 * PYTHON_LINES_MAX) == 0.5


def test_nothing_of_an_answer_is_run(tmp_path: object) -> None:
    found = score("python-parses", f"open({str(tmp_path) + '/run'!r}, 'w')\nraise SystemExit\n")
    assert found == 1.0
    assert not list(tmp_path.iterdir())  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ('{"a": [1, 2.5e3, null, true, "x"]}', 1.0),
        (' \n "text" \n', 1.0),
        ('{"brackets": "' + "[" * 1000 + '"}', 1.0),
        ("{'a': 1}", 0.0),
        ('{"a": 1} and more', 0.0),
        ("NaN", 0.0),
        ("[-Infinity]", 0.0),
        ("", 0.0),
        ("[" * 40 + "]" * 40, 1.0),
        ("[" * 61 + "]" * 61, 0.0),
    ],
)
def test_json_is_one_value_after_the_standard(answer: str, expected: float) -> None:
    assert score("json-parses", answer) == expected


def test_texts_are_looked_for_as_they_are_written() -> None:
    assert score("contains", "a\nB", argument="B") == 1.0
    assert score("contains", "a\nb", argument="B") == 0.0
    assert score("excludes", "a\nB", argument="B") == 0.0
    assert score("excludes", "a\nb", argument="B") == 1.0


def test_a_long_answer_scores_by_how_much_of_it_is_allowed() -> None:
    assert score("length-at-most", "x" * 10, argument="10") == 1.0
    assert score("length-at-most", "x" * 40, argument="10") == 0.25
    assert score("length-at-most", "", argument="10") == 1.0


@pytest.mark.parametrize(
    ("name", "argument"),
    [
        ("python", ""),
        ("", ""),
        ("python-parses", "3.11"),
        ("json-parses", "strict"),
        ("contains", ""),
        ("excludes", ""),
        ("contains", "x" * 1001),
        ("length-at-most", ""),
        ("length-at-most", "0"),
        ("length-at-most", "-1"),
        ("length-at-most", "1e3"),
        ("length-at-most", "９"),
    ],
)
def test_a_checker_that_cannot_be_is_refused(name: str, argument: str) -> None:
    with pytest.raises(UnusableData):
        checker_of(name, argument)

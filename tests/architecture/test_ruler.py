"""The ruler: functions fit a screen, files fit a sitting, and every module begins with a sentence."""

import ast
import math
import pathlib
import statistics
from collections.abc import Iterator

from tests.architecture import tree

FUNCTION_MEDIAN_MAX = 10
FUNCTION_P99_MAX = 60
FUNCTION_MAX = 70
FILE_MEDIAN_MAX = 150
FILE_MAX = 400
# The plan wants as much test as code. This holds what is there; raise it, never lower it, until it is 1.
TEST_SHARE_MIN = 0.6
MODULE_WORDS_BANNED = {"utils", "util", "common", "manager", "managers", "base", "misc", "helpers", "helper"}


def functions(module: ast.Module) -> Iterator[tuple[str, int, int]]:
    """Yields the name, line and length of every function."""
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, node.lineno, (node.end_lineno or node.lineno) - node.lineno + 1


def lengths_of_files(paths: list[pathlib.Path]) -> list[int]:
    return [len(path.read_text().splitlines()) for path in paths]


def room_files() -> list[pathlib.Path]:
    """Returns the code; migrations, which Alembic lays out, are left out."""
    return [path for path in tree.python_files(below=tree.ROOMS) if "migrations" not in path.parts]


def test_functions_fit_a_screen() -> None:
    found = [(tree.shown(path, line), name, length) for path in room_files() for name, line, length in all_of(path)]
    assert [entry for entry in found if entry[2] > FUNCTION_MAX] == []
    lengths = sorted(length for _, _, length in found)
    assert statistics.median(lengths) <= FUNCTION_MEDIAN_MAX
    assert lengths[math.ceil(len(lengths) * 0.99) - 1] <= FUNCTION_P99_MAX


def all_of(path: pathlib.Path) -> Iterator[tuple[str, int, int]]:
    return functions(tree.parsed(path))


def test_functions_of_tests_fit_a_screen_too() -> None:
    found = [
        (tree.shown(path, line), name, length)
        for path in tree.python_files(below=("tests", "benchmarks", "protos", "examples"))
        for name, line, length in all_of(path)
        if length > FUNCTION_MAX
    ]
    assert found == []


def test_files_fit_a_sitting() -> None:
    assert statistics.median(lengths_of_files(room_files())) <= FILE_MEDIAN_MAX


def test_no_file_is_a_god_file() -> None:
    paths = [*room_files(), *tree.python_files(below=("benchmarks", "protos", "examples"))]
    found = [(tree.shown(path), length) for path, length in zip(paths, lengths_of_files(paths), strict=True)]
    assert [entry for entry in found if entry[1] > FILE_MAX] == []


def test_there_is_enough_test_for_the_code() -> None:
    code = sum(lengths_of_files(room_files()))
    tests = sum(lengths_of_files(list(tree.python_files(below=("tests",)))))
    assert tests >= code * TEST_SHARE_MIN, f"{tests} lines of test for {code} lines of code"


def test_every_module_begins_with_a_sentence() -> None:
    silent = []
    for path in tree.python_files():
        first = (ast.get_docstring(tree.parsed(path)) or "").partition("\n")[0]
        empty = not path.read_text().strip()
        if not empty and not first.endswith((".", "?", "!")):
            silent.append(f"{tree.shown(path)}: {first!r}")
    assert silent == []


def test_modules_are_named_after_a_subject() -> None:
    names = [path for path in tree.python_files() if MODULE_WORDS_BANNED & set(path.stem.strip("_").split("_"))]
    assert [tree.shown(path) for path in names] == []


def test_nothing_happens_at_import_time() -> None:
    """Modules of the rooms define; a call, a loop or a `with` at the top level would do."""
    found = []
    for path in room_files():
        for node in tree.parsed(path).body:
            acts = isinstance(node, ast.For | ast.While | ast.With | ast.Try)
            calls = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
            if acts or calls:
                found.append(tree.shown(path, node.lineno))
    assert found == []

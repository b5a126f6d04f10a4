"""The tree itself: no notes to self, no traces of one machine, no secrets, no clashing names."""

import collections
import re

import pytest

from tests.architecture import tree

TEXT = {".py", ".pyi", ".md", ".proto", ".toml", ".yaml", ".yml", ".txt", ".cfg", ".ini", ".sh", ".json", ""}
# Written in two halves, so that this file does not find itself.
MARKERS = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK")) + r")\b")
PLACES = re.compile(
    "|".join(
        ("/wo" + r"rk/(main|shared|\.)", "/ro" + "ot/", r"/ho" + r"me/[a-z]+/", "/Us" + r"ers/[a-z]+/", "/tm" + "p/v/")
    )
)
HOSTS = re.compile("|".join(("index" + "-url", "--extra-" + "index", "py" + r"pi\.org", "registry" + r"\.npmjs")))
SECRETS = re.compile(r"tut_[a-z0-9]{12}_[0-9a-f]{64}|-----BEGIN [A-Z ]*PRIVATE KEY-----|AKIA[0-9A-Z]{16}")


def lines(pattern: re.Pattern[str]) -> list[str]:
    found = []
    for path in tree.files():
        if path.suffix in TEXT and not tree.is_generated(path):
            for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
                if pattern.search(line):
                    found.append(f"{tree.shown(path, number)} {line.strip()[:100]}")
    return found


@pytest.mark.parametrize(
    ("pattern", "what"),
    [
        (MARKERS, "a note to self: do it, or write it into docs/scope.md"),
        (PLACES, "a path of one machine"),
        (HOSTS, "a package registry: pip knows its own"),
        (SECRETS, "what looks like a secret"),
    ],
    ids=["markers", "places", "hosts", "secrets"],
)
def test_the_tree_is_free_of(pattern: re.Pattern[str], what: str) -> None:
    assert lines(pattern) == [], what


def test_every_folder_of_tests_is_a_package() -> None:
    folders = {path.parent for path in tree.python_files(below=("tests",))}
    assert [tree.shown(folder) for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []


def test_no_two_modules_of_tests_share_a_name() -> None:
    """Their packages keep them apart; this keeps them apart for readers, who see only the name in a failure."""
    names = collections.Counter(
        path.relative_to(tree.ROOT).with_suffix("").as_posix() for path in tree.python_files(below=("tests",))
    )
    assert [name for name, count in names.items() if count > 1] == []


def test_nothing_large_is_committed() -> None:
    assert [tree.shown(path) for path in tree.files() if path.stat().st_size > 1_000_000] == []


def test_nothing_built_is_committed() -> None:
    endings = (".pyc", ".so", ".whl", ".db", ".log", ".safetensors", ".gz")
    assert [tree.shown(path) for path in tree.files() if path.name.endswith(endings)] == []

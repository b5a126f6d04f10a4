"""What the pages tell people to type exists: every command, every option, every method of the library."""

import ast
import pathlib
import re
import shlex
from collections.abc import Iterator
from typing import Any

import click
import pytest

import tutelage
from tutelage._hyperparameter_rows import ROWS, TUNING_ROWS
from tutelage._sync.datasets import Datasets
from tutelage._sync.duels import Duels
from tutelage._sync.feedback import Feedback
from tutelage._sync.jobs import Jobs
from tutelage._sync.models import Models
from tutelage._sync.reviews import Reviews
from tutelage.cli import tutelage as program

ROOT = pathlib.Path(__file__).parents[3]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "examples" / "README.md"]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`(tutelage [^`]+)`")
MEMBERS: dict[str, type] = {
    "jobs": Jobs,
    "models": Models,
    "datasets": Datasets,
    "reviews": Reviews,
    "feedback": Feedback,
    "duels": Duels,
}


def typed(page: pathlib.Path) -> Iterator[str]:
    """Yields each command that a page shows."""
    text = page.read_text()
    for language, block in FENCE.findall(text):
        for line in block.splitlines() if language in ("sh", "console") else ():
            if line.removeprefix("$ ").startswith("tutelage "):
                yield line.removeprefix("$ ")
    yield from INLINE.findall(FENCE.sub("", text)) if page.name != "cli.md" else ()


def resolve(words: list[str]) -> tuple[click.Command, list[str]]:
    """Returns the command that words lead to, and the rest."""
    command: click.Command = program
    while isinstance(command, click.Group) and words:
        below = command.get_command(click.Context(command), words[0])
        assert below is not None, f"there is no command {words[0]!r}"
        command, words = below, words[1:]
    return command, words


COMMANDS = sorted({(page.name, line) for page in PAGES for line in typed(page)})


@pytest.mark.parametrize(("page", "line"), COMMANDS, ids=lambda part: part)
def test_every_command_of_the_pages_exists(page: str, line: str) -> None:
    words = shlex.split(line, comments=True)[1:]
    command, rest = resolve([word for word in words if word not in ("…", "...")])
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    known |= {"-h", "--help"}
    assert [word for word in rest if word.startswith("-") and word != "-" and word.split("=")[0] not in known] == []


def calls(page: pathlib.Path) -> Iterator[tuple[str, ast.Call]]:
    """Yields each call of the library in the Python of a page, with the dotted name of what is called."""
    for language, block in FENCE.findall(page.read_text()):
        for node in ast.walk(ast.parse(block)) if language == "python" else ():
            if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("client."):
                yield ast.unparse(node.func), node


CALLS = [(page.name, name, node) for page in PAGES for name, node in calls(page)]


@pytest.mark.parametrize(("page", "name", "node"), CALLS, ids=lambda part: part if isinstance(part, str) else "")
def test_every_call_of_the_pages_exists(page: str, name: str, node: ast.Call) -> None:
    subject: Any = tutelage.Client
    *members, method = name.split(".")[1:]
    for member in members:
        subject = MEMBERS[member]
    function = getattr(subject, method)
    known = set(function.__annotations__)
    if "hyperparameters" in known:
        known |= {row.name for row in (TUNING_ROWS if "base" in known else ROWS)} | {"mixture"}
    assert {keyword.arg for keyword in node.keywords} <= known


def test_the_pages_were_read() -> None:
    assert len(COMMANDS) > 30
    assert {name for _, name, _ in CALLS} >= {"client.fine_tune", "client.models.export", "client.jobs.inspect_step"}

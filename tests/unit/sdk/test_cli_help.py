"""Help: every command teaches, and the table of the first page tells the truth."""

import subprocess
import sys
import time
from collections.abc import Iterator

import click
import pytest

from tests.unit.sdk.cli_runs import run, run_well
from tutelage._hyperparameters import ROWS
from tutelage.cli import COMMANDS, tutelage


def walk(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yields the words of every command."""
    yield path
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from walk(below, (*path, name))


def find(path: tuple[str, ...]) -> click.Command:
    command: click.Command = tutelage
    for name in path:
        assert isinstance(command, click.Group)
        below = command.get_command(click.Context(command), name)
        assert below is not None
        command = below
    return command


PATHS = list(walk(tutelage))
LEAVES = [path for path in PATHS if not isinstance(find(path), click.Group)]


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_every_command_has_help(path: tuple[str, ...]) -> None:
    for flag in ("--help", "-h"):
        result = run_well(*path, flag)
        assert result.stdout.startswith("Usage: tutelage")
        assert result.stderr == ""


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_every_command_shows_an_example_of_itself(path: tuple[str, ...]) -> None:
    text = run_well(*path, "--help").stdout
    assert "Example:" in text
    assert f"tutelage {' '.join(path)}" in text.split("Example:")[1]


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_every_option_is_explained(path: tuple[str, ...]) -> None:
    options = [parameter for parameter in find(path).params if isinstance(parameter, click.Option)]
    assert [option.name for option in options if not option.help and option.name != "output"] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_the_first_page_says_what_the_command_says_of_itself(name: str) -> None:
    command = find((name,))
    assert command.get_short_help_str(limit=200).rstrip(".") == COMMANDS[name][1].rstrip(".")
    assert command.name == name


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_every_command_can_print_for_scripts(path: tuple[str, ...]) -> None:
    options = {parameter.name for parameter in find(path).params}
    assert "output" in options or path[0] in ("login", "completion", "version")


def test_train_has_an_option_for_each_hyperparameter() -> None:
    options = {parameter.name: parameter for parameter in find(("train",)).params}
    for row in ROWS:
        assert f"--{row.name.replace('_', '-')}" in options[row.name].opts


@pytest.mark.parametrize(
    ("words", "meant"), [(["job"], "jobs"), (["jobs", "wtach"], "watch"), (["train", "--step", "3"], "--steps")]
)
def test_the_nearest_word_is_suggested(words: list[str], meant: str) -> None:
    result = run(*words)
    assert result.exit_code == 2
    assert meant in result.stderr
    assert result.stdout == ""


def test_help_is_quick() -> None:
    """Prints how long a process takes to show help; the aim is 150 ms on an idle machine."""
    code = "from tutelage.cli import main; main()"
    times_ms = []
    for _ in range(5):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", code, "--help"], check=True, capture_output=True)
        times_ms.append((time.perf_counter() - began) * 1000)
    print(f"tutelage --help: {min(times_ms):.0f} ms at best, {sorted(times_ms)[2]:.0f} ms in the middle")
    assert min(times_ms) < 1000

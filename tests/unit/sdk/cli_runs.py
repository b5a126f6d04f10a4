"""Runs of the command line inside the test process, with its two outputs apart."""

import json
from collections.abc import Callable
from typing import Any

import click.testing

from tutelage.cli import tutelage

Run = Callable[..., click.testing.Result]


def run(*arguments: str, **options: Any) -> click.testing.Result:
    """Runs one command and returns what it printed and how it ended."""
    return click.testing.CliRunner().invoke(tutelage, arguments, prog_name="tutelage", **options)


def run_well(*arguments: str, **options: Any) -> click.testing.Result:
    """Runs a command that must succeed."""
    result = run(*arguments, **options)
    assert result.exit_code == 0, f"{arguments}: {result.output}{result.exception!r}"
    return result


def json_of(*arguments: str, **options: Any) -> Any:
    """Returns the one JSON document that a command prints."""
    return json.loads(run_well(*arguments, "-o", "json", **options).stdout)


def json_lines_of(*arguments: str) -> list[Any]:
    """Returns the JSON documents that a command prints, one a line."""
    return [json.loads(line) for line in run_well(*arguments, "-o", "jsonl").stdout.splitlines()]

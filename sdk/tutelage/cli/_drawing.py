"""What the commands that draw answers share: options that say how."""

from collections.abc import Callable
from typing import Any

import click

Function = Callable[..., Any]
NAMES = ("max_tokens", "temperature", "top_k", "top_p", "seed", "stop")


def drawing_options(function: Function) -> Function:
    """Adds the options that say how answers are drawn; they are passed on under the names of the library."""
    for option in reversed(
        (
            click.option("--max-tokens", type=int, help="Most tokens of an answer; 1 to 4096. Default: 100."),
            click.option("--temperature", type=float, help="0 takes the likeliest token; 0 to 10. Default: 0.8."),
            click.option("--top-k", type=int, help="Draw from the k likeliest tokens only; 0 means all. Default: 0."),
            click.option("--top-p", type=float, help="Draw from the likeliest tokens with this probability."),
            click.option("--seed", type=int, help="The same seed draws the same answers. Default: chosen, and shown."),
            click.option("--stop", multiple=True, help="Stop before this text; may be given 8 times."),
        )
    ):
        function = option(function)
    return function


def drawing_of(given: dict[str, Any]) -> dict[str, Any]:
    """Takes the options of drawing out of what was given, and returns those that were given."""
    return {name: value for name in NAMES if (value := given.pop(name)) not in (None, ())}


def read_text(path: str | None) -> str:
    """Returns the text of a file, such as guidelines; nothing without one."""
    import pathlib

    if path is None:
        return ""
    try:
        return pathlib.Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise click.UsageError(f"{path} is not UTF-8: {error.reason} at byte {error.start}") from error

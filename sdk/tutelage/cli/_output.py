"""Printing: data on standard output, all else on standard error, and never a byte that a terminal would obey.

Texts of the server may have been written by anybody: what could move the cursor, set a title or turn text around is
taken out. JSON is escaped instead.
"""

import datetime
import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import click

# Escape sequences whole, then every other control character but tab and newline, then marks that turn text around.
ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-Z\\-_]")
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def clean(text: str) -> str:
    """Returns text that is safe to show in a terminal."""
    return CONTROLS.sub("", ESCAPES.sub("", text))


def one_line(text: str) -> str:
    """Returns safe text on one line."""
    return " ".join(clean(text).split())


def say(text: str) -> None:
    """Tells a person something that is no data."""
    click.echo(clean(text), err=True)


def show(text: str) -> None:
    """Prints a line of data for a person."""
    click.echo(clean(text))


def print_json(content: Any) -> None:
    """Prints JSON, indented."""
    click.echo(json.dumps(content, indent=2))


def print_json_line(content: Any) -> None:
    """Prints JSON on one line, at once."""
    click.echo(json.dumps(content))
    sys.stdout.flush()


def print_one(item: Any, *, output: str, details: Callable[[Any], Mapping[str, str]]) -> None:
    """Prints one resource in the chosen format; `details` gives the lines for people."""
    if output == "json":
        print_json(item.to_dict())
    elif output == "jsonl":
        print_json_line(item.to_dict())
    elif output == "name":
        show(item.name)
    else:
        print_details(details(item))


def print_many(
    items: Iterable[Any], *, output: str, columns: Sequence[str], row: Callable[[Any], Sequence[str]], empty: str
) -> None:
    """Prints resources in the chosen format; `empty` tells a person why there are none, and what to do."""
    if output == "json":
        print_json([item.to_dict() for item in items])
    elif output == "jsonl":
        for item in items:
            print_json_line(item.to_dict())
    elif output == "name":
        for item in items:
            show(item.name)
    else:
        rows = [row(item) for item in items]
        if rows:
            print_table(columns, rows)
        else:
            say(empty)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints columns under their headings; a pipe gets the same without colour and without cuts."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD if stdout_is_terminal() else None, pad_edge=False, show_edge=False)
    for column in columns:
        table.add_column(column, no_wrap=True, overflow="ellipsis" if stdout_is_terminal() else "ignore")
    for cells in rows:
        table.add_row(*(Text(one_line(cell)) for cell in cells))
    if stdout_is_terminal():
        console().print(table)
        return
    with (plain := console()).capture() as captured:
        plain.print(table)
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def print_details(details: Mapping[str, str]) -> None:
    """Prints names and values, one a line; what is empty is left out."""
    given = {name: text for name, text in details.items() if text}
    width = max(map(len, given), default=0)
    for name, text in given.items():
        click.echo(click.style(f"{name:<{width}}", dim=True, reset=True) + f"  {one_line(text)}")


def console() -> Any:
    """Returns rich's console: on a pipe it is as wide as the text, and obeys nothing that looks like markup."""
    from rich.console import Console

    width = None if stdout_is_terminal() else 10_000
    return Console(file=sys.stdout, width=width, highlight=False, markup=False, emoji=False, soft_wrap=False)


def age(time: datetime.datetime | None) -> str:
    """Returns how long ago something was."""
    if time is None:
        return ""
    seconds = (datetime.datetime.now(datetime.UTC) - time).total_seconds()
    return f"{duration(max(seconds, 0))} ago"


def moment(time: datetime.datetime | None) -> str:
    """Returns a time in this machine's zone."""
    return time.astimezone().strftime("%Y-%m-%d %H:%M:%S") if time else ""


def duration(seconds: float | None) -> str:
    """Returns a duration in the two units that matter."""
    if seconds is None:
        return ""
    if seconds < 10:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [f"{days}d" * bool(days), f"{hours}h" * bool(hours), f"{minutes}m" * bool(minutes), f"{rest}s" * bool(rest)]
    return "".join([part for part in parts if part][:2])


def size(number_bytes: float) -> str:
    """Returns a size with a binary unit."""
    for unit in ("bytes", "KiB", "MiB", "GiB", "TiB"):
        if number_bytes < 1024 or unit == "TiB":
            return f"{number_bytes:.0f} {unit}" if unit == "bytes" else f"{number_bytes:.1f} {unit}"
        number_bytes /= 1024
    raise AssertionError("unreachable")


def count(number: float) -> str:
    """Returns a number with at most four digits and a decimal unit."""
    for limit, unit in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(number) >= limit:
            return f"{number / (1000 if unit == 'k' else limit):.3g}{unit}"
    return f"{number:,.0f}" if abs(number) >= 100 or float(number).is_integer() else f"{number:.3g}"


def loss(value: float | None) -> str:
    """Returns a loss, or nothing."""
    return "" if value is None else f"{value:.4f}"


def stdout_is_terminal() -> bool:
    """Says whether a person watches standard output."""
    return sys.stdout.isatty()

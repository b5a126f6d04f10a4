"""Options that most commands share: where to connect, and how to print."""

import functools
import math
from collections.abc import Callable
from typing import Any

import click

FORMATS = ("table", "json", "jsonl", "name")
# A person waits: long enough for a connection that blinks, short enough for an address that is wrong.
RETRY_S = 4.0
# The length of a list. Above this a script wants the library, which goes on for as long as there are pages.
MANY = click.IntRange(1, 1_000_000)
Function = Callable[..., Any]


class Seconds(click.FloatRange):
    """A time to wait: more than nothing, and no longer than clocks and calls can count."""

    def __init__(self) -> None:
        super().__init__(min=0, min_open=True, max=1e6)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Reads a number; one that is none compares with nothing, so that no range would stop it."""
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not a number of seconds.", param, ctx)
        return number


def output_option(function: Function) -> Function:
    """Adds `-o`, passed on as `output`."""
    option = click.option(
        "-o",
        "--output",
        type=click.Choice(FORMATS),
        default="table",
        show_default=True,
        help="How to print; json is the JSON of the protos, alone on standard output.",
    )
    return option(function)


def with_client(function: Function) -> Function:
    """Adds the options of a connection and passes on a client as the first argument."""

    @click.option("--profile", metavar="NAME", help="Profile, or path of a profile's file. Default: TUTELAGE_PROFILE.")
    @click.option(
        "--timeout", type=Seconds(), metavar="SECONDS", default=30.0, show_default=True, help="Limit of one call."
    )
    @functools.wraps(function)
    def wrapper(*, profile: str | None, timeout: float, **arguments: Any) -> Any:
        import tutelage

        with tutelage.Client(profile=profile, timeout_s=timeout, retry_s=RETRY_S) as client:
            return function(client, **arguments)

    return wrapper


def complete(collection: str) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """Returns a completer of live ids: of jobs, models or datasets."""

    def complete_ids(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
        import itertools

        import tutelage
        from tutelage._names import short_name

        try:
            with tutelage.Client(profile=ctx.params.get("profile"), timeout_s=1.0, retry_s=0.0) as client:
                found = itertools.islice(getattr(client, collection).list(page_size=100), 100)
                return [name for name in (short_name(item.name) for item in found) if name.startswith(incomplete)]
        except tutelage.TutelageError:
            return []

    return complete_ids

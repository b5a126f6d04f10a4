"""What the commands that submit training share: options from the table of hyperparameters, and how they end."""

import difflib
import pathlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from tutelage._hyperparameter_rows import Row

if TYPE_CHECKING:
    import tutelage

Function = Callable[..., Any]
TEMPLATE_BYTES_MAX = 200_000
BEGIN = "What to begin with"


class GroupedOption(click.Option):
    """An option that is listed under a heading of its own."""

    def __init__(self, *arguments: Any, heading: str = "", **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.heading = heading


class GroupedCommand(click.Command):
    """A command whose help lists its options under headings."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the options, those without a heading last."""
        records: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            if (record := parameter.get_help_record(ctx)) is not None:
                records.setdefault(getattr(parameter, "heading", ""), []).append(record)
        general = records.pop("", [])
        for heading, rows in [*records.items(), ("Options", general)]:
            with formatter.section(heading):
                formatter.write_dl(rows)


class Word(click.Choice[str]):
    """One of some words; hyphens do for underscores."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Returns the word."""
        word = value.replace("-", "_")
        near = difflib.get_close_matches(word, self.choices, n=1)
        if near and word not in self.choices:
            self.fail(f"{value!r} is none of {', '.join(self.choices)}. Did you mean {near[0]!r}?", param, ctx)
        return super().convert(word, param, ctx)


class Template(click.ParamType):
    """A file with a template, read when the command line is."""

    name = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Returns the text of the file."""
        try:
            with pathlib.Path(value).open("rb") as file:
                return file.read(TEMPLATE_BYTES_MAX).decode()
        except (OSError, UnicodeDecodeError) as error:
            self.fail(f"cannot read {value!r}: {error}", param, ctx)


def hyperparameter_options(rows_by_group: Mapping[str, tuple[Row, ...]]) -> Callable[[Function], Function]:
    """Adds an option for each hyperparameter of the library, under the heading of its group."""

    def add(function: Function) -> Function:
        for heading, rows in reversed(list(rows_by_group.items())):
            for row in reversed(rows):
                function = option_of(row, heading)(function)
        return function

    return add


def option_of(row: Row, heading: str) -> Callable[[Function], Function]:
    """Returns the option of one hyperparameter."""
    flag = f"--{row.name.replace('_', '-')}"
    settings: dict[str, Any] = {"cls": GroupedOption, "heading": heading, "help": row.help}
    if row.kind is bool:
        return click.option(f"{flag}/--no-{flag[2:]}", row.name, default=None, **settings)
    if row.name == "chat_template":
        return click.option(flag, row.name, type=Template(), metavar="FILE", **settings)
    return click.option(flag, row.name, type=Word(row.choices) if row.choices else row.kind, **settings)


def submission_options(function: Function) -> Function:
    """Adds the options that say how to submit."""
    for option in reversed(
        (
            click.option(
                "--mixture",
                cls=GroupedOption,
                heading=BEGIN,
                multiple=True,
                callback=parse_mixture,
                metavar="NAME=WEIGHT",
                help="Another dataset and its share, relative to 1 for the first; may be repeated.",
            ),
            click.option("--job-id", default="", help="Id of the job. Default: made by the service."),
            click.option(
                "--label",
                "labels",
                multiple=True,
                callback=parse_labels,
                metavar="KEY=VALUE",
                help="May be repeated.",
            ),
            click.option("--watch", is_flag=True, help="Follow the job until it is over."),
            click.option("--dry-run", is_flag=True, help="Check everything, store nothing, and print a forecast."),
        )
    ):
        function = option(function)
    return function


def parse_labels(ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """Reads KEY=VALUE."""
    for value in values:
        if "=" not in value:
            raise click.BadParameter(f"{value!r} is not KEY=VALUE")
    return dict(value.split("=", 1) for value in values)


def parse_mixture(ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, float] | None:
    """Reads NAME=WEIGHT; a name alone weighs 1."""
    mixture: dict[str, float] = {}
    for value in values:
        name, _, weight = value.partition("=")
        if name in mixture:
            raise click.BadParameter(f"{name!r} is given twice")
        try:
            mixture[name] = float(weight or 1)
        except ValueError as error:
            raise click.BadParameter(f"{value!r} is not NAME=WEIGHT: {weight!r} is no number") from error
    return mixture or None


def submit(
    client: "tutelage.Client",
    *,
    train: Callable[..., "tutelage.Job"],
    validate: Callable[..., "tutelage.JobInfo"],
    how: Mapping[str, Any],
    given: Mapping[str, Any],
    output: str,
) -> None:
    """Submits a job and follows it if asked to, or says what it would take."""
    if how["watch"] and how["dry_run"]:
        raise click.UsageError("--watch and --dry-run exclude each other: a dry run makes no job")
    arguments = {name: value for name, value in given.items() if value is not None}
    arguments |= {"job_id": how["job_id"], "labels": how["labels"]}
    if how["dry_run"]:
        from tutelage.cli._forecast import print_forecast

        print_forecast(validate(**arguments), output=output)
        return
    job = train(**arguments)
    if how["watch"]:
        from tutelage.cli._watch import watch_job

        watch_job(client, job, output=output)
    else:
        print_accepted(job, output=output)


def print_accepted(job: "tutelage.Job", *, output: str) -> None:
    """Prints the new job, and what to do with it."""
    from tutelage._names import short_name
    from tutelage.cli._jobs import job_details
    from tutelage.cli._output import print_one, say

    print_one(job, output=output, details=lambda j: job_details(j.info))
    if output == "table":
        say(f"\nfollow it:  tutelage jobs watch {short_name(job.name)}")

"""`tutelage train`: submits a job, or says what it would take."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from tutelage._hyperparameters import ROWS, Row
from tutelage.cli._options import complete, output_option, with_client

if TYPE_CHECKING:
    import tutelage


def hyperparameter_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds an option for each hyperparameter of the library."""
    for row in reversed(ROWS):
        function = option_of(row)(function)
    return function


def option_of(row: Row) -> Callable[..., Any]:
    """Returns the option of one hyperparameter."""
    flag = f"--{row.name.replace('_', '-')}"
    if row.kind is bool:
        return click.option(f"{flag}/--no-{flag[2:]}", row.name, default=None, help=row.help)
    return click.option(flag, row.name, type=click.Choice(row.choices) if row.choices else row.kind, help=row.help)


def parse_labels(ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """Reads KEY=VALUE."""
    for value in values:
        if "=" not in value:
            raise click.BadParameter(f"{value!r} is not KEY=VALUE")
    return dict(value.split("=", 1) for value in values)


@click.command()
@click.option("--dataset", required=True, shell_complete=complete("datasets"), help="The dataset to train on.")
@hyperparameter_options
@click.option("--job-id", default="", help="Id of the job. Default: made by the service.")
@click.option("--label", "labels", multiple=True, callback=parse_labels, metavar="KEY=VALUE", help="May be repeated.")
@click.option("--watch", is_flag=True, help="Follow the job until it is over.")
@click.option("--dry-run", is_flag=True, help="Check everything, store nothing, and print a forecast.")
@output_option
@with_client
def train(
    client: "tutelage.Client",
    dataset: str,
    job_id: str,
    labels: dict[str, str],
    watch: bool,
    dry_run: bool,
    output: str,
    **hyperparameters: Any,
) -> None:
    """Pretrain a language model on a dataset.

    The job is accepted at once and waits for a worker. What is not given comes from the preset. The result is published
    as a new version of the model {dataset}-{preset}, or of the one named by --model.

    \b
    Example:
      tutelage train --dataset plays --preset tiny --steps 500 --watch
      tutelage train --dataset plays --layers 6 --width 384 --heads 6 --dry-run
    """
    if watch and dry_run:
        raise click.UsageError("--watch and --dry-run exclude each other: a dry run makes no job")
    given = {name: value for name, value in hyperparameters.items() if value is not None}
    if dry_run:
        from tutelage.cli._forecast import print_forecast

        print_forecast(client.validate(dataset, job_id=job_id, labels=labels, **given), output=output)
        return
    job = client.train(dataset, job_id=job_id, labels=labels, **given)
    if watch:
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

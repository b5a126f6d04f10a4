"""`tutelage jobs`: follow, steer and explain jobs."""

import itertools
from typing import TYPE_CHECKING

import click

from tutelage.cli._options import MANY, Seconds, complete, output_option, with_client
from tutelage.cli.job_drawing import draw, evaluate
from tutelage.cli.job_files import download, files
from tutelage.cli.job_inside import inspect
from tutelage.cli.job_proof import receipt, verify

if TYPE_CHECKING:
    import tutelage

job_argument = click.argument("job", shell_complete=complete("jobs"))


@click.group(commands=[draw, evaluate, inspect, verify, receipt, files, download])
def jobs() -> None:
    """Follow, steer and explain jobs."""


@jobs.command(name="list")
@click.option("--filter", "expression", default="", help='Such as: state = RUNNING AND labels.team = "search".')
@click.option("--limit", type=MANY, default=50, show_default=True, help="Most jobs to show.")
@click.option("--oldest-first", is_flag=True, help="Show the oldest first.")
@output_option
@with_client
def list_jobs(client: "tutelage.Client", expression: str, limit: int, oldest_first: bool, output: str) -> None:
    """List jobs, newest first.

    \b
    Example:
      tutelage jobs list
      tutelage jobs list --filter 'state = FAILED' -o jsonl
    """
    from tutelage.cli._jobs import COLUMNS, job_row
    from tutelage.cli._output import print_many

    order_by = "create_time asc" if oldest_first else ""
    print_many(
        itertools.islice(client.jobs.list(filter=expression, order_by=order_by, page_size=min(limit, 1000)), limit),
        output=output,
        columns=COLUMNS,
        row=lambda job: job_row(job.info),
        empty="there are no jobs; submit one with `tutelage train --dataset NAME --watch`",
    )


@jobs.command()
@job_argument
@output_option
@with_client
def get(client: "tutelage.Client", job: str, output: str) -> None:
    """Show one job: state, progress, what it was told, and why it failed.

    \b
    Example:
      tutelage jobs get tiny-8f14e45fceea
      tutelage jobs get tiny-8f14e45fceea -o json | jq .progress.loss
    """
    from tutelage.cli._jobs import job_details
    from tutelage.cli._output import print_one

    print_one(client.jobs.get(job), output=output, details=lambda j: job_details(j.info))


@jobs.command()
@job_argument
@output_option
@with_client
def watch(client: "tutelage.Client", job: str, output: str) -> None:
    """Follow a job until it is over. Ctrl-C leaves; the job goes on.

    In a terminal it draws progress, loss and samples; on a pipe it prints plain lines. With -o jsonl every event is
    printed as it comes; with -o json the job, when it is over. Exits with 3 if the job fails or is cancelled.

    \b
    Example:
      tutelage jobs watch tiny-8f14e45fceea
      tutelage jobs watch tiny-8f14e45fceea -o jsonl | jq -r 'select(.sample_drawn) | .sample_drawn.text'
    """
    from tutelage.cli._watch import watch_job

    watch_job(client, client.jobs.get(job), output=output)


@jobs.command()
@job_argument
@click.option("--limit-seconds", type=Seconds(), metavar="SECONDS", help="Give up waiting after this; the job goes on.")
@output_option
@with_client
def wait(client: "tutelage.Client", job: str, limit_seconds: float | None, output: str) -> None:
    """Wait until a job is over, and show it. Exits with 3 if it failed or was cancelled, with 4 on timeout.

    \b
    Example:
      tutelage jobs wait tiny-8f14e45fceea --limit-seconds 600 && tutelage sample plays-tiny --prompt "To be"
    """
    from tutelage.cli._jobs import job_details
    from tutelage.cli._output import print_one
    from tutelage.cli._watch import exit_as_job

    handle = client.jobs.get(job).wait(timeout=limit_seconds)
    print_one(handle, output=output, details=lambda j: job_details(j.info))
    exit_as_job(handle.info)


@jobs.command()
@job_argument
@output_option
@with_client
def cancel(client: "tutelage.Client", job: str, output: str) -> None:
    """End a job for good. Its checkpoints stay.

    \b
    Example:
      tutelage jobs cancel tiny-8f14e45fceea
    """
    print_steered(client.jobs.cancel(job), output=output)


@jobs.command()
@job_argument
@output_option
@with_client
def pause(client: "tutelage.Client", job: str, output: str) -> None:
    """Stop a job at its next step, with a checkpoint, and free its worker.

    \b
    Example:
      tutelage jobs pause tiny-8f14e45fceea
    """
    print_steered(client.jobs.pause(job), output=output)


@jobs.command()
@job_argument
@output_option
@with_client
def resume(client: "tutelage.Client", job: str, output: str) -> None:
    """Put a paused job back into the queue; it goes on from its last checkpoint.

    \b
    Example:
      tutelage jobs resume tiny-8f14e45fceea
    """
    print_steered(client.jobs.resume(job), output=output)


@jobs.command()
@job_argument
@output_option
@with_client
def explain(client: "tutelage.Client", job: str, output: str) -> None:
    """Say why a job waits, is slow or failed, and what would help.

    \b
    Example:
      tutelage jobs explain tiny-8f14e45fceea
    """
    from tutelage.cli._jobs import print_explanation

    print_explanation(client.jobs.explain(job), output=output)


@jobs.command()
@job_argument
@click.argument("keys", nargs=-1)
@click.option("--points", type=click.IntRange(1, 4000), default=1000, show_default=True, help="Most points of a curve.")
@output_option
@with_client
def metrics(client: "tutelage.Client", job: str, keys: tuple[str, ...], points: int, output: str) -> None:
    """Draw curves of a job; by default training and validation loss. With -o json: every curve with its numbers.

    \b
    Example:
      tutelage jobs metrics tiny-8f14e45fceea
      tutelage jobs metrics tiny-8f14e45fceea train/grad_norm -o json
    """
    from tutelage.cli._jobs import print_metrics

    wanted = keys or (("train/loss", "eval/loss") if output == "table" else ())
    print_metrics(client.jobs.metrics(job, *wanted, points_max=points), output=output)


@jobs.command()
@job_argument
@output_option
@with_client
def events(client: "tutelage.Client", job: str, output: str) -> None:
    """List what happened to a job, oldest first, without metrics.

    \b
    Example:
      tutelage jobs events tiny-8f14e45fceea
    """
    from tutelage.cli._lines import describe_event
    from tutelage.cli._output import moment, print_many

    print_many(
        client.jobs.events(job, page_size=1000),
        output="jsonl" if output == "name" else output,
        columns=("CURSOR", "TIME", "ATTEMPT", "EVENT"),
        row=lambda e: (str(e.cursor), moment(e.time), str(e.epoch or ""), describe_event(e)),
        empty="nothing has happened yet",
    )


@jobs.command()
@job_argument
@output_option
@with_client
def checkpoints(client: "tutelage.Client", job: str, output: str) -> None:
    """List the checkpoints of a job, newest first.

    \b
    Example:
      tutelage jobs checkpoints tiny-8f14e45fceea
    """
    from tutelage.cli._output import age, print_many, size

    print_many(
        client.jobs.checkpoints(job),
        output=output,
        columns=("STEP", "STATE", "SIZE", "SHA256", "COMMITTED", "ATTEMPT"),
        row=lambda c: (
            f"{c.step:,}",
            c.state,
            size(c.size_bytes),
            c.manifest_sha256[:12],
            age(c.create_time),
            str(c.epoch),
        ),
        empty="there are no checkpoints yet",
    )


def print_steered(job: "tutelage.Job", *, output: str) -> None:
    """Prints the job after a verb."""
    from tutelage._names import short_name
    from tutelage.cli._output import print_one

    print_one(job, output=output, details=lambda j: {"job": short_name(j.name), "state": job_state(j.info)})


def job_state(info: "tutelage.JobInfo") -> str:
    """Returns the state, with a pause that is on its way."""
    return f"{info.state} (pausing)" if info.pausing else str(info.state)

"""`tutelage jobs draw` and `evaluate`: answers to many prompts, and how good a model is."""

from typing import TYPE_CHECKING, Any

import click

from tutelage.cli._drawing import drawing_of, drawing_options
from tutelage.cli._options import complete, output_option, with_client
from tutelage.cli._submitting import parse_labels

if TYPE_CHECKING:
    import tutelage


@click.command()
@click.option(
    "--model",
    "models",
    multiple=True,
    required=True,
    shell_complete=complete("models"),
    help="chat@v3; may be given 8 times.",
)
@click.option("--prompts", required=True, help="A file of JSON lines or of lines, or a dataset.")
@click.option("--samples", type=click.IntRange(1, 16), help="Answers of each model to each prompt. Default: 2.")
@click.option("--prompts-max", type=int, help="Prompts to answer, from the first one. Default: all.")
@click.option("--checker", help="A program that scores each answer: python-parses, json-parses, contains=TEXT …")
@click.option("--reward-model", default="", help="A reward model that scores each answer.")
@drawing_options
@click.option("--job-id", default="", help="Id of the job. Default: made by the service.")
@click.option("--label", "labels", multiple=True, callback=parse_labels, metavar="KEY=VALUE", help="May be repeated.")
@click.option("--watch", is_flag=True, help="Follow the job until it is over.")
@output_option
@with_client
def draw(client: "tutelage.Client", models: tuple[str, ...], watch: bool, output: str, **given: Any) -> None:
    """Let models answer many prompts; every token is kept with its log-probability.

    `tutelage jobs download JOB --to DIR` brings answers.jsonl.

    \b
    Example:
      tutelage jobs draw --model chat@v3 --prompts prompts.jsonl --samples 4 --watch
      tutelage jobs draw --model chat@v3 --model chat@v4 --prompts prompts.txt --checker json-parses
    """
    options = drawing_of(given)
    finish(client, client.jobs.draw(list(models), **given, **options), watch=watch, output=output)


@click.command()
@click.option("--model", required=True, shell_complete=complete("models"), help="A model, MODEL@v3 or MODEL@prod.")
@click.option(
    "--dataset", required=True, shell_complete=complete("datasets"), help="Rows to predict, or rows of checks."
)
@click.option(
    "--all-rows/--held-out-rows",
    default=None,
    help="Which rows. Default: all of checks; of others those kept for validation, if any.",
)
@drawing_options
@click.option("--job-id", default="", help="Id of the job. Default: made by the service.")
@click.option("--label", "labels", multiple=True, callback=parse_labels, metavar="KEY=VALUE", help="May be repeated.")
@click.option("--watch", is_flag=True, help="Follow the job until it is over.")
@output_option
@with_client
def evaluate(client: "tutelage.Client", model: str, dataset: str, watch: bool, output: str, **given: Any) -> None:
    """Measure a model: loss, perplexity and bits per byte, or with rows of checks the share that hold.

    The numbers are metrics of the job; its file report.json has every row.

    \b
    Example:
      tutelage jobs evaluate --model chat@v3 --dataset held-out --watch
      tutelage jobs evaluate --model chat@v4 --dataset must-keep
    """
    options = drawing_of(given)
    finish(client, client.jobs.evaluate(model, dataset, **given, **options), watch=watch, output=output)


def finish(client: "tutelage.Client", job: "tutelage.Job", *, watch: bool, output: str) -> None:
    """Follows a new job, or shows it."""
    from tutelage.cli._submitting import print_accepted
    from tutelage.cli._watch import watch_job

    if watch:
        watch_job(client, job, output=output)
    else:
        print_accepted(job, output=output)

"""`tutelage datasets`: text to train on."""

import itertools
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from tutelage.cli._options import MANY, complete, output_option, with_client

if TYPE_CHECKING:
    import tutelage


@click.group()
def datasets() -> None:
    """Upload, list and delete text to train on."""


@datasets.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option("--name", required=True, help="Id of the new dataset: lower-case letters, digits and hyphens.")
@click.option("--validation-fraction", type=float, help="Share to hold out; 0.001 to 0.5. Default: 0.05.")
@output_option
@with_client
def upload(client: "tutelage.Client", file: str, name: str, validation_fraction: float | None, output: str) -> None:
    """Upload UTF-8 text. FILE is a path, or - for standard input.

    The upload is hashed, checked, and divided into a training and a validation part. If it breaks off, the same command
    goes on where it stopped, within a day.

    \b
    Example:
      tutelage datasets upload shakespeare.txt --name plays
      zcat logs.gz | tutelage datasets upload - --name logs --validation-fraction 0.1
    """
    from tutelage.cli._output import print_one

    with told_how_to_go_on(), upload_progress() as on_progress:
        dataset = client.datasets.upload(
            sys.stdin.buffer if file == "-" else file,
            name=name,
            validation_fraction=validation_fraction,
            on_progress=on_progress,
        )
    print_one(dataset, output=output, details=dataset_details)


@datasets.command(name="list")
@click.option("--limit", type=MANY, default=50, show_default=True, help="Most datasets to show.")
@output_option
@with_client
def list_datasets(client: "tutelage.Client", limit: int, output: str) -> None:
    """List datasets, newest first.

    \b
    Example:
      tutelage datasets list
    """
    from tutelage._names import short_name
    from tutelage.cli._output import age, print_many, size

    print_many(
        itertools.islice(client.datasets.list(page_size=min(limit, 1000)), limit),
        output=output,
        columns=("DATASET", "SIZE", "ROWS", "FILE", "UPLOADED"),
        row=lambda d: (short_name(d.name), size(d.size_bytes), f"{d.rows:,}", d.filename, age(d.create_time)),
        empty="there are no datasets; upload one with `tutelage datasets upload FILE --name NAME`",
    )


@datasets.command()
@click.argument("dataset", shell_complete=complete("datasets"))
@output_option
@with_client
def get(client: "tutelage.Client", dataset: str, output: str) -> None:
    """Show one dataset: rows, tokens, split and hash.

    \b
    Example:
      tutelage datasets get plays
    """
    from tutelage.cli._output import print_one

    print_one(client.datasets.get(dataset), output=output, details=dataset_details)


@datasets.command()
@click.argument("dataset", shell_complete=complete("datasets"))
@output_option
@with_client
def delete(client: "tutelage.Client", dataset: str, output: str) -> None:
    """Delete a dataset; its id can be used again. Models trained on it stay.

    \b
    Example:
      tutelage datasets delete plays
    """
    from tutelage.cli._output import print_one

    print_one(client.datasets.delete(dataset), output=output, details=lambda d: {"deleted": d.name})


def dataset_details(dataset: "tutelage.Dataset") -> Mapping[str, str]:
    """Returns what a person wants to know about a dataset."""
    from tutelage._names import short_name
    from tutelage.cli._output import moment, size

    split = dataset.split
    return {
        "dataset": short_name(dataset.name),
        "size": f"{size(dataset.size_bytes)} in {dataset.rows:,} rows",
        "tokens": f"{dataset.size_bytes:,} as bytes; {dataset.characters:,} characters",
        "training": f"{split.train_bytes:,} bytes in {split.train_rows:,} rows" if split else "",
        "validation": f"{split.validation_bytes:,} bytes in {split.validation_rows:,} rows" if split else "",
        "sha256": dataset.sha256,
        "file": dataset.filename,
        "uploaded": moment(dataset.create_time),
    }


@contextmanager
def told_how_to_go_on() -> Iterator[None]:
    """Tells a person who leaves an upload that nothing is lost."""
    from tutelage.cli._output import say

    try:
        yield
    except KeyboardInterrupt:
        say("\nstopped; within a day the same command goes on where it stopped")
        raise


@contextmanager
def upload_progress() -> Iterator[Callable[[int, int], None]]:
    """Shows a bar on standard error while a person watches; nothing otherwise."""
    if not sys.stderr.isatty():
        yield lambda sent_bytes, size_bytes: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    columns = (BarColumn(), DownloadColumn(binary_units=True), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("upload", total=None)
        yield lambda sent_bytes, size_bytes: progress.update(task, completed=sent_bytes, total=size_bytes)

"""`tutelage datasets`: what to train on."""

import itertools
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from tutelage.cli._options import MANY, complete, output_option, with_client

if TYPE_CHECKING:
    import tutelage

FORMATS = ("text", "jsonl", "parquet", "model-files", "tokenizer")
DUPLICATES_SHOWN = 5
# Names of files that hold rows, but not in a form that is read as rows.
LOOK_LIKE_ROWS = (".json", ".csv", ".tsv")


@click.group()
def datasets() -> None:
    """Upload, list and delete what to train on."""


@datasets.command()
@click.argument("file", type=click.Path(exists=True, allow_dash=True))
@click.option("--name", required=True, help="Id of the new dataset: lower-case letters, digits and hyphens.")
@click.option("--format", type=click.Choice(FORMATS), help="What FILE holds. Default: found from its name, and shown.")
@click.option("--validation-fraction", type=float, help="Share to hold out; 0.001 to 0.5. Default: 0.05.")
@output_option
@with_client
def upload(
    client: "tutelage.Client",
    file: str,
    name: str,
    format: str | None,
    validation_fraction: float | None,
    output: str,
) -> None:
    """Upload text or rows. FILE is a path, or - for standard input.

    .jsonl and .parquet hold rows: text, or prompt and completion, or messages; prompts alone, or with checks; or judged
    answers: prompt, chosen and rejected, or prompt, completion and label. tokenizer.json holds a tokenizer, a folder
    with a config.json the files of a model. All else is plain UTF-8 text. The upload is hashed, checked row by row, and
    divided into a training and a validation part. If it breaks off, the same command goes on where it stopped, within a
    day.

    \b
    Example:
      tutelage datasets upload shakespeare.txt --name plays
      tutelage datasets upload talks.jsonl --name talks
      zcat logs.gz | tutelage datasets upload - --name logs --validation-fraction 0.1
      tutelage datasets upload ./llama/tokenizer.json --name llama-tokenizer
    """
    from tutelage.cli._output import print_one, say
    from tutelage.cli._progress import progress_of, told_how_to_go_on

    with told_how_to_go_on(), progress_of("upload") as on_progress:
        dataset = client.datasets.upload(
            sys.stdin.buffer if file == "-" else file,
            name=name,
            format=format,  # type: ignore[arg-type]
            validation_fraction=validation_fraction,
            on_progress=on_progress,
        )
    print_one(dataset, output=output, details=dataset_details)
    if output == "table" and (told := advice(dataset)):
        say(f"\n{told}")


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
        columns=("DATASET", "HOLDS", "SIZE", "ROWS", "FILE", "UPLOADED"),
        row=lambda d: (
            short_name(d.name),
            held(d),
            size(d.size_bytes),
            f"{d.rows:,}" if d.rows else "",
            d.filename,
            age(d.create_time),
        ),
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

    return {
        "dataset": short_name(dataset.name),
        "holds": held(dataset),
        "size": f"{size(dataset.size_bytes)} in {dataset.rows:,} rows" if dataset.rows else size(dataset.size_bytes),
        **(text_details(dataset) if dataset.format in ("TEXT", "UNSPECIFIED") else row_details(dataset)),
        "sha256": dataset.sha256,
        "file": dataset.filename,
        "uploaded": moment(dataset.create_time),
    }


def text_details(dataset: "tutelage.Dataset") -> Mapping[str, str]:
    """Returns how long a text is, and how it is divided."""
    split = dataset.split
    return {
        "tokens": f"{dataset.size_bytes:,} as bytes; {dataset.characters:,} characters",
        "training": f"{split.train_bytes:,} bytes in {split.train_rows:,} rows" if split else "",
        "validation": f"{split.validation_bytes:,} bytes in {split.validation_rows:,} rows" if split else "",
    }


def held(dataset: "tutelage.Dataset") -> str:
    """Returns what a dataset holds: its format and, for rows, their kind."""
    form = dataset.format.value.lower().replace("_", " ").replace("unspecified", "text")
    statistics = dataset.row_statistics
    if statistics is None or statistics.kind == "UNSPECIFIED":
        return form
    return f"{_ROWS.get(statistics.kind, 'rows')} ({form})"


_ROWS = {
    "TEXT": "texts",
    "PROMPT_COMPLETION": "prompts and completions",
    "MESSAGES": "conversations",
    "PROMPT": "prompts",
    "PREFERENCE": "pairs of a chosen and a rejected answer",
    "LABELLED": "labelled answers",
    "FEEDBACK": "feedback",
    "CHECKS": "prompts with checks",
}


def row_details(dataset: "tutelage.Dataset") -> Mapping[str, str]:
    """Returns what the rows look like: how long they are, which occur again, and how they are divided."""
    statistics, split = dataset.row_statistics, dataset.split
    if statistics is None or not dataset.rows:
        return {}
    return {
        "row lengths": row_lengths(statistics),
        "duplicates": duplicates(statistics),
        "training": f"{split.train_rows:,} rows" if split else "",
        "validation": f"{split.validation_rows:,} rows" if split else "",
    }


def row_lengths(statistics: "tutelage.RowStatistics") -> str:
    """Returns how long rows are."""
    s = statistics
    if s.bytes_min == s.bytes_max:
        return f"{s.bytes_max:,} bytes each"
    return f"{s.bytes_min:,} to {s.bytes_max:,} bytes; half up to {s.bytes_median:,}, 95% up to {s.bytes_p95:,}"


def duplicates(statistics: "tutelage.RowStatistics") -> str:
    """Returns which rows occur again."""
    if not statistics.duplicate_rows:
        return "none"
    shown = statistics.duplicate_examples[:DUPLICATES_SHOWN]
    more = ", …" if statistics.duplicate_rows > len(shown) else ""
    return f"{statistics.duplicate_rows:,} (rows {', '.join(map(str, shown))}{more}); training leaves them out"


def advice(dataset: "tutelage.Dataset") -> str:
    """Returns what to do with a new dataset, or what may be wrong with it."""
    from tutelage._names import short_name

    name = short_name(dataset.name)
    if dataset.format == "MODEL_FILES":
        return f"next:  tutelage models import --dataset {name} --name MODEL"
    if dataset.format == "TOKENIZER":
        return f"next:  tutelage train --dataset NAME --tokenizer-dataset {name}"
    if dataset.format == "TEXT" and dataset.filename.endswith(LOOK_LIKE_ROWS):
        return (
            f"{dataset.filename} was taken for plain text; rows are read from .jsonl (one object a line) and .parquet"
        )
    return ""

"""`tutelage train`: submits a job, or says what it would take."""

from typing import TYPE_CHECKING, Any

import click

from tutelage._hyperparameter_rows import ROWS_BY_GROUP
from tutelage.cli._options import complete, output_option, with_client
from tutelage.cli._submitting import (
    BEGIN,
    GroupedCommand,
    GroupedOption,
    hyperparameter_options,
    submission_options,
    submit,
)

if TYPE_CHECKING:
    import tutelage


@click.command(cls=GroupedCommand)
@click.option(
    "--dataset",
    cls=GroupedOption,
    heading=BEGIN,
    required=True,
    shell_complete=complete("datasets"),
    help="The dataset to train on.",
)
@hyperparameter_options(ROWS_BY_GROUP)
@submission_options
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
      tutelage train --dataset plays --optimizer muon --schedule linear --dropout 0.1 --early-stopping 3
      tutelage train --dataset plays --mixture sonnets=0.5 --tokenizer bpe --vocabulary-size 2048
    """
    submit(
        client,
        train=client.train,
        validate=client.validate,
        how={"job_id": job_id, "labels": labels, "watch": watch, "dry_run": dry_run},
        given={"dataset": dataset, **hyperparameters},
        output=output,
    )

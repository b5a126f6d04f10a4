"""`tutelage fine-tune`: trains a model further, or says what it would take."""

from typing import TYPE_CHECKING, Any

import click

from tutelage._hyperparameter_rows import TUNING_ROWS_BY_GROUP
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

WHICH = "Which weights learn"
READERS = {"rank": int, "alpha": float, "dropout": float}
YES_NO = {"yes": True, "true": True, "no": False, "false": False, "": True}


class LoraSettings(click.ParamType):
    """Settings of adapters: rank=16,alpha=32,targets=query+value."""

    name = "settings"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Returns the settings by name; without any, the service chooses them all."""
        settings: dict[str, Any] = {}
        for part in filter(None, value.split(",")):
            name, _, text = part.partition("=")
            name = name.strip().replace("-", "_")
            try:
                settings[name] = read_setting(name, text.strip())
            except (KeyError, ValueError):
                known = "rank=16, alpha=32, dropout=0.05, targets=query+value, rank-stabilized=yes"
                self.fail(f"{part!r} is no setting of adapters; they are written as {known}.", param, ctx)
        return settings


def read_setting(name: str, text: str) -> Any:
    """Returns one setting. Raises: KeyError or ValueError if it cannot be read."""
    if name == "targets":
        words = [word for word in text.split("+") if word]
        if not words:
            raise ValueError("no target would mean all of them to the service")
        return words
    if name == "rank_stabilized":
        return YES_NO[text]
    return READERS[name](text)


@click.command(name="fine-tune", cls=GroupedCommand)
@click.option(
    "--base",
    cls=GroupedOption,
    heading=BEGIN,
    shell_complete=complete("models"),
    help="A model, MODEL@v2, MODEL@prod, or JOB/checkpoints/200. Default: what --model names.",
)
@click.option(
    "--dataset",
    cls=GroupedOption,
    heading=BEGIN,
    shell_complete=complete("datasets"),
    help="The dataset to train on.",
)
@click.option(
    "--feedback",
    cls=GroupedOption,
    heading=BEGIN,
    metavar="NAME",
    help="The feedback set to train on, instead of a dataset.",
)
@click.option(
    "--lora",
    cls=GroupedOption,
    heading=WHICH,
    type=LoraSettings(),
    is_flag=False,
    flag_value="",
    metavar="[SETTINGS]",
    help="Train low-rank adapters only, such as rank=16,alpha=32,targets=query+value. Default: all weights move.",
)
@hyperparameter_options(TUNING_ROWS_BY_GROUP)
@submission_options
@output_option
@with_client
def fine_tune(
    client: "tutelage.Client",
    base: str | None,
    dataset: str | None,
    feedback: str | None,
    job_id: str,
    labels: dict[str, str],
    watch: bool,
    dry_run: bool,
    output: str,
    **given: Any,
) -> None:
    """Train a model further on rows of your own.

    The base may be a model that was trained here or imported. All its weights move, or with --lora only small matrices
    beside them, which takes less memory. The result is published as a new version of the model of the base, or of the
    one named by --model; --model alone is both. --method says what is learnt: the next token of examples (sft), or from
    preferences (dpo, ipo, simpo, orpo; kto from thumbs; reward makes a model that scores), or from scores (grpo).

    \b
    Example:
      tutelage fine-tune --model chat --dataset talks --lora --watch
      tutelage fine-tune --model chat@v3 --feedback prefs-1 --method dpo --beta 0.1 --watch
      tutelage fine-tune --base chat --dataset talks --lora rank=8,targets=query+value --steps 100 --dry-run
      tutelage fine-tune --base plays-tiny/versions/2 --dataset sonnets --learning-rate 1e-4 --model poet
    """
    if not base and not given.get("model"):
        raise click.UsageError("name the model to begin with: --model chat@v3, or --base")
    if (dataset is None) == (feedback is None):
        raise click.UsageError("name what to train on: either --dataset NAME or --feedback NAME")
    submit(
        client,
        train=client.fine_tune,
        validate=client.validate_fine_tune,
        how={"job_id": job_id, "labels": labels, "watch": watch, "dry_run": dry_run},
        given={"base": base, "dataset": dataset, "feedback": feedback, **given},
        output=output,
    )

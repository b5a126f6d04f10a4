"""`tutelage models`: what jobs have published, and the way in and out."""

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from tutelage.cli._options import MANY, complete, output_option, with_client
from tutelage.cli.model_aliases import aliases, promote, rollback
from tutelage.cli.model_files import export, import_model

if TYPE_CHECKING:
    import tutelage


@click.group(commands=[import_model, export, promote, rollback, aliases])
def models() -> None:
    """List what jobs have published; import, export and promote models."""


@models.command(name="list")
@click.option("--limit", type=MANY, default=50, show_default=True, help="Most models to show.")
@output_option
@with_client
def list_models(client: "tutelage.Client", limit: int, output: str) -> None:
    """List models, most recently published first.

    \b
    Example:
      tutelage models list
    """
    from tutelage._names import short_name
    from tutelage.cli._output import age, count, loss, print_many

    def row(model: "tutelage.Model") -> tuple[str, ...]:
        latest = model.latest_version
        figures = ("", "", "") if latest is None else (str(latest.version), count(latest.parameters), steps(latest))
        return (
            short_name(model.name),
            *figures,
            loss(latest.validation_loss if latest else None),
            age(model.update_time),
        )

    print_many(
        itertools.islice(client.models.list(page_size=min(limit, 1000)), limit),
        output=output,
        columns=("MODEL", "VERSION", "PARAMETERS", "STEPS", "VALIDATION LOSS", "PUBLISHED"),
        row=row,
        empty="no job has published a model yet; train one with `tutelage train --dataset NAME --watch`",
    )


@models.command()
@click.argument("model", shell_complete=complete("models"))
@output_option
@with_client
def get(client: "tutelage.Client", model: str, output: str) -> None:
    """Show one model with its newest version, or one version (MODEL@v2, MODEL@prod).

    \b
    Example:
      tutelage models get plays-tiny
      tutelage models get plays-tiny@v2 -o json
    """
    from tutelage.cli._output import print_one

    if "/versions/" in model or "@" in model:
        print_one(client.models.version(model), output=output, details=version_details)
    else:
        found = client.models.get(model)
        latest = found.latest_version
        print_one(found, output=output, details=lambda m: version_details(latest) if latest else {"model": m.name})


@models.command()
@click.argument("model", shell_complete=complete("models"))
@click.option("--limit", type=MANY, default=50, show_default=True, help="Most versions to show.")
@output_option
@with_client
def versions(client: "tutelage.Client", model: str, limit: int, output: str) -> None:
    """List the versions of a model, newest first.

    \b
    Example:
      tutelage models versions plays-tiny
    """
    from tutelage._names import short_name
    from tutelage.cli._output import age, count, loss, print_many

    print_many(
        itertools.islice(client.models.versions(model), limit),
        output=output,
        columns=("VERSION", "PARAMETERS", "STEPS", "VALIDATION LOSS", "BITS PER BYTE", "JOB", "PUBLISHED"),
        row=lambda v: (
            short_name(v.name),
            count(v.parameters),
            steps(v),
            loss(v.validation_loss),
            loss(v.validation_bits_per_byte),
            short_name(v.job),
            age(v.create_time),
        ),
        empty=f"{model} has no versions",
    )


def steps(version: "tutelage.ModelVersionInfo") -> str:
    """Returns how many steps made a version; none that anybody here knows of made one that was brought along."""
    return f"{version.steps:,}" if version.import_model is None else ""


def version_details(version: "tutelage.ModelVersionInfo") -> Mapping[str, str]:
    """Returns what a person wants to know about a version."""
    from tutelage._names import short_name
    from tutelage.cli._output import count, loss, moment, size

    spec = version.train or version.fine_tune or version.import_model
    return {
        "model": short_name(version.name),
        "aliases": ", ".join(version.aliases),
        "use": "scores texts, and does not write them" if version.reward_model else "",
        "published": moment(version.create_time),
        "made by": made_by(version),
        "from": short_name(version.parent_version),
        "job": short_name(version.job),
        "dataset": f"{short_name(spec.dataset)} (sha256 {version.dataset_sha256[:12]})" if spec else "",
        "parameters": count(version.parameters),
        "steps": steps(version),
        "validation loss": f"{loss(version.validation_loss)} nats per token" if version.validation_loss else "",
        "bits per byte": loss(version.validation_bits_per_byte),
        "size": size(version.size_bytes),
        "software": version.software_version,
    }


def made_by(version: "tutelage.ModelVersionInfo") -> str:
    """Returns how a version came to be."""
    if version.fine_tune is not None:
        method = version.fine_tune.method
        how = f" by {method}" if method not in (None, "UNSPECIFIED", "SFT") else ""
        return f"fine-tuning{how} with LoRA" if version.fine_tune.lora else f"fine-tuning{how}"
    return "import" if version.import_model is not None else "pretraining"

"""`tutelage jobs verify` and `receipt`: what a run can be held to."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from tutelage.cli._commands import DIFFERS
from tutelage.cli._options import complete, output_option, with_client

if TYPE_CHECKING:
    import tutelage

job_argument = click.argument("job", shell_complete=complete("jobs"))


@click.command()
@job_argument
@click.option("--first-step", type=int, help="First step to compute again. Default: after the oldest checkpoint left.")
@click.option("--steps", type=int, help="How many; 1 to 40,000. Default: 10, or all there are.")
@click.option("--watch/--no-watch", default=True, help="Wait for the verdict, or only submit. Default: wait.")
@output_option
@with_client
def verify(
    client: "tutelage.Client", job: str, first_step: int | None, steps: int | None, watch: bool, output: str
) -> None:
    """Compute steps of a job again and compare them with what was recorded, bit for bit.

    A job of its own does it. Exits with 0 if every step came out the same, with 6 if one differs, with 3 if the
    computing failed.

    \b
    Example:
      tutelage jobs verify tiny-8f14e45fceea
      tutelage jobs verify tiny-8f14e45fceea --first-step 200 --steps 50
    """
    from tutelage.cli._submitting import print_accepted

    verifying = client.jobs.verify(job, first_step=first_step, steps=steps)
    if not watch:
        print_accepted(verifying, output=output)
        return
    verdict = wait_for_verdict(verifying, output=output)
    if verdict.kind == "differs":
        click.get_current_context().exit(DIFFERS)


def wait_for_verdict(verifying: "tutelage.Job", *, output: str) -> "tutelage.Note":
    """Waits until it is known, and says it."""
    from tutelage._names import short_name
    from tutelage.cli._output import print_details, print_json, print_json_line, say, show
    from tutelage.cli._specs import headline

    say(headline(verifying.info))
    try:
        verdict = verifying.verdict()
    except KeyboardInterrupt:
        say(f"\n{short_name(verifying.name)} goes on.\ncome back:  tutelage jobs watch {short_name(verifying.name)}")
        raise
    if output == "json":
        print_json(verdict.to_dict())
    elif output == "jsonl":
        print_json_line(verdict.to_dict())
    elif output == "name":
        show(verifying.name)
    else:
        show(verdict.message)
        print_details({name.replace("_", " "): text for name, text in sorted(verdict.details.items())})
    return verdict


@click.command()
@job_argument
@output_option
@with_client
def receipt(client: "tutelage.Client", job: str, output: str) -> None:
    """Show what a run can be held to: seeds, hashes of data, order and losses, versions.

    Two runs with the same seed, data, versions, precision and threads have the same chains.

    \b
    Example:
      tutelage jobs receipt tiny-8f14e45fceea
      tutelage jobs receipt tiny-8f14e45fceea -o json > receipt.json
    """
    from tutelage.cli._output import print_json, print_json_line, show

    found = client.jobs.receipt(job)
    if output == "json":
        print_json(found.to_dict())
    elif output == "jsonl":
        print_json_line(found.to_dict())
    elif output == "name":
        show(found.job)
    else:
        print_receipt(found)


def print_receipt(found: "tutelage.Receipt") -> None:
    """Prints a receipt for a person."""
    from tutelage._names import short_name
    from tutelage.cli._output import print_details

    lines: Mapping[str, str] = {
        "job": short_name(found.job),
        "up to step": f"{found.step:,}" + (f", line {found.lineage} after a rollback" if found.lineage > 1 else ""),
        "seed": str(found.seed),
        "datasets": ", ".join(f"sha256 {sha256}" for sha256 in found.dataset_sha256s),
        "data chain": found.data_chain,
        "loss chain": found.loss_chain,
        "published weights": f"sha256 of the manifest {found.manifest_sha256}" if found.manifest_sha256 else "",
        **{name.replace("_", " "): text for name, text in sorted(found.environment.items())},
    }
    print_details(lines)

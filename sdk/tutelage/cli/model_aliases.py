"""`tutelage models promote`, `rollback` and `aliases`: names that people and programs use for versions."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from tutelage.cli._options import complete, output_option, with_client

if TYPE_CHECKING:
    import tutelage

MOVE_COLUMNS = ("VERSION", "WHEN", "BY", "GATE", "REASON")


@click.command()
@click.argument("model", shell_complete=complete("models"))
@click.option("--alias", default="prod", show_default=True, help="The alias: lower-case letters, digits and hyphens.")
@click.option("--force", is_flag=True, help="Move it against the gate; it is recorded. Needs --reason.")
@click.option("--reason", default="", help="Why; at most 1,000 characters.")
@click.option("--etag", default="", help="Refuse if somebody else moved the alias since it had this etag.")
@output_option
@with_client
def promote(
    client: "tutelage.Client", model: str, alias: str, force: bool, reason: str, etag: str, output: str
) -> None:
    """Move an alias to a version; from then on MODEL@prod means it.

    The gate refuses while a duel against the version that has the alias says worse, while checks that it passed fail,
    or while a vote in the version is retracted.

    \b
    Example:
      tutelage models promote chat@v4 --alias prod
      tutelage models promote chat@v4 --alias prod --force --reason "v3 leaks addresses"
    """
    from tutelage.cli._output import print_one

    if force and not reason:
        raise click.UsageError("--force needs --reason: who reads the record must learn why")
    moved = client.models.promote(model, alias=alias, force=force, reason=reason, etag=etag)
    print_one(moved, output=output, details=alias_details)


@click.command()
@click.argument("alias", metavar="MODEL@ALIAS")
@click.option("--reason", default="", help="Why; at most 1,000 characters.")
@click.option("--etag", default="", help="Refuse if somebody else moved the alias since it had this etag.")
@output_option
@with_client
def rollback(client: "tutelage.Client", alias: str, reason: str, etag: str, output: str) -> None:
    """Move an alias back to the version that it had before.

    \b
    Example:
      tutelage models rollback chat@prod --reason "answers are too long"
    """
    from tutelage.cli._output import print_one

    print_one(client.models.rollback(alias, reason=reason, etag=etag), output=output, details=alias_details)


@click.command()
@click.argument("model", metavar="MODEL[@ALIAS]", shell_complete=complete("models"))
@output_option
@with_client
def aliases(client: "tutelage.Client", model: str, output: str) -> None:
    """List the aliases of a model, or every move of one.

    \b
    Example:
      tutelage models aliases chat
      tutelage models aliases chat@prod
    """
    from tutelage._names import short_name, spoken_name
    from tutelage.cli._output import age, moment, print_many, print_one, print_table

    if "@" in model or "/aliases/" in model:
        alias = client.models.alias(model)
        print_one(alias, output=output, details=alias_details)
        if output == "table":
            click.echo("")
            rows = [
                (
                    spoken_name(move.model_version),
                    moment(move.time),
                    short_name(move.actor),
                    f"{move.gate} (forced)" if move.forced else move.gate,
                    move.reason,
                )
                for move in alias.moves
            ]
            print_table(MOVE_COLUMNS, rows)
        return
    print_many(
        client.models.aliases(model),
        output=output,
        columns=("ALIAS", "VERSION", "MOVED"),
        row=lambda a: (spoken_name(a.name), spoken_name(a.model_version), age(a.update_time)),
        empty=f"{model} has no aliases; make one with `tutelage models promote {model}@v1 --alias prod`",
    )


def alias_details(alias: "tutelage.Alias") -> Mapping[str, str]:
    """Returns where an alias is, where it was, and what the gate said."""
    from tutelage._names import short_name, spoken_name
    from tutelage.cli._output import moment

    last = alias.moves[0] if alias.moves else None
    before = alias.moves[1].model_version if len(alias.moves) > 1 else ""
    return {
        "alias": spoken_name(alias.name),
        "version": spoken_name(alias.model_version),
        "before": spoken_name(before) if before else "",
        "moved": f"{moment(alias.update_time)} by {short_name(last.actor)}" if last else moment(alias.update_time),
        "gate": (f"{last.gate} (forced)" if last.forced else last.gate) if last else "",
        "reason": last.reason if last else "",
        "etag": alias.etag,
    }

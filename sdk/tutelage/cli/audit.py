"""`tutelage audit`."""

import itertools
from typing import TYPE_CHECKING

import click

from tutelage.cli._options import MANY, output_option, with_client

if TYPE_CHECKING:
    import tutelage


@click.command()
@click.option("--limit", type=MANY, default=50, show_default=True, help="Most entries to show.")
@output_option
@with_client
def audit(client: "tutelage.Client", limit: int, output: str) -> None:
    """Show who did what in the project. Newest first; needs the admin role.

    \b
    Example:
      tutelage audit --limit 20
      tutelage audit -o jsonl --limit 1000 | jq 'select(.method | endswith("CancelJob"))'
    """
    from tutelage.cli._output import moment, print_many

    print_many(
        itertools.islice(client.audit(page_size=min(limit, 1000)), limit),
        output="jsonl" if output == "name" else output,
        columns=("TIME", "KEY", "METHOD", "RESOURCE", "REQUEST"),
        row=lambda e: (moment(e.time), e.actor.rsplit("/")[-1], e.method, e.resource, e.request_id),
        empty="nothing was done yet",
    )

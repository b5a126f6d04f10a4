"""`tutelage lineage`: what a model was made of, back to the first dataset."""

from typing import TYPE_CHECKING

import click

from tutelage.cli._options import complete, output_option, with_client

if TYPE_CHECKING:
    import tutelage


@click.command()
@click.argument("name", shell_complete=complete("models"))
@output_option
@with_client
def lineage(client: "tutelage.Client", name: str, output: str) -> None:
    """Show what a version, a feedback set or a dataset was made of, and what was made of it.

    Every dataset, feedback set, review, job and parent is shown with the hash of its content. What holds a retracted
    vote is marked.

    \b
    Example:
      tutelage lineage chat@prod
      tutelage lineage feedbackSets/prefs-1 -o json
    """
    from tutelage.cli._lineage import print_lineage

    print_lineage(client.models.lineage(name), output=output)

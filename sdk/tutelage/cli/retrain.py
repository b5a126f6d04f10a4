"""`tutelage retrain`: the next version of a model, without retracted votes."""

from typing import TYPE_CHECKING

import click

from tutelage.cli._options import complete, output_option, with_client
from tutelage.cli._submitting import parse_labels

if TYPE_CHECKING:
    import tutelage


@click.command()
@click.argument("model", shell_complete=complete("models"))
@click.option("--label", "labels", multiple=True, callback=parse_labels, metavar="KEY=VALUE", help="May be repeated.")
@click.option("--watch", is_flag=True, help="Follow the job until it is over.")
@output_option
@with_client
def retrain(client: "tutelage.Client", model: str, labels: dict[str, str], watch: bool, output: str) -> None:
    """Tune a version again without the votes that were retracted since.

    Its feedback set is frozen anew without them, and the job that made it runs again on that. The result is the next
    version of the same model.

    \b
    Example:
      tutelage retrain chat@v4 --watch
    """
    from tutelage.cli._submitting import print_accepted
    from tutelage.cli._watch import watch_job

    job = client.retrain(model, labels=labels)
    if watch:
        watch_job(client, job, output=output)
    else:
        print_accepted(job, output=output)

"""`tutelage workers`, `queues` and `info`: what the service runs on."""

import itertools
from typing import TYPE_CHECKING

import click

from tutelage.cli._options import MANY, output_option, with_client

if TYPE_CHECKING:
    import tutelage


@click.command()
@click.option("--limit", type=MANY, default=100, show_default=True, help="Most workers to show.")
@output_option
@with_client
def workers(client: "tutelage.Client", limit: int, output: str) -> None:
    """Show the machines that train.

    \b
    Example:
      tutelage workers
    """
    from tutelage._names import short_name
    from tutelage.cli._output import age, print_many

    print_many(
        itertools.islice(client.cluster.workers(), limit),
        output=output,
        columns=("WORKER", "STATE", "SLOTS", "DEVICE", "VERSION", "HEARD", "JOBS"),
        row=lambda worker: (
            short_name(worker.name),
            worker.state,
            f"{worker.slots_used} of {worker.slots}",
            worker.device,
            worker.version,
            age(worker.heartbeat_time),
            ", ".join(map(short_name, worker.jobs)),
        ),
        empty="no worker was heard from; jobs wait until one is",
    )


@click.command()
@output_option
@with_client
def queues(client: "tutelage.Client", output: str) -> None:
    """Show the queues with their length and age.

    \b
    Example:
      tutelage queues
    """
    from tutelage._names import short_name
    from tutelage.cli._output import duration, print_many

    print_many(
        client.cluster.queues(),
        output=output,
        columns=("QUEUE", "WAITING", "HELD", "LONGEST WAIT"),
        row=lambda queue: (
            short_name(queue.name),
            str(queue.waiting_jobs),
            str(queue.held_jobs),
            duration(queue.oldest_wait_seconds) if queue.waiting_jobs else "",
        ),
        empty="there are no queues",
    )


@click.command()
@output_option
@with_client
def info(client: "tutelage.Client", output: str) -> None:
    """Show what the server offers: version, presets, limits.

    \b
    Example:
      tutelage info
      tutelage info -o json | jq .limits
    """
    from tutelage.cli._output import count, print_details, print_json, print_json_line, print_table, say, show

    server = client.cluster.info()
    if output == "json":
        print_json(server.to_dict())
    elif output == "jsonl":
        print_json_line(server.to_dict())
    elif output == "name":
        for preset in server.presets:
            show(preset.name)
    else:
        address = client.connection.address
        print_details({"server": address, "version": server.version, "found by": client.connection.source})
        show("")
        rows = [
            (preset.name, count(preset.parameters), f"{preset.steps:,}", preset.description)
            for preset in server.presets
        ]
        print_table(("PRESET", "PARAMETERS", "STEPS", "GOOD FOR"), rows)
        say(f"\nits {len(server.limits)} limits:  tutelage info -o json")

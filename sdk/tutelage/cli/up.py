"""`tutelage up`: hands over to the program that runs everything on this machine."""

import importlib.util
import os
import sys

import click

MISSING = (
    "the servers are not installed in this environment; install them beside this program:\n"
    '  pip install "tutelage-server[all]"'
)


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--data-dir", metavar="DIR", help="Where everything lies. Default: ~/.local/share/tutelage.")
@click.option("--port", metavar="PORT", help="gRPC port; 0 takes a free one. Default: 7460.")
@click.option("--http-port", metavar="PORT", help="HTTP port; 0 takes a free one. Default: 7461.")
@click.option("--slots", metavar="N", help="Jobs that run at the same time. Default: 1.")
@click.option("--threads", metavar="N", help="CPU threads that the worker may use. Default: all cores.")
@click.option("--no-sampler", is_flag=True, help="Do not start the sampler: saves memory.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), help="How to print the addresses. Default: text.")
def up(no_sampler: bool, **options: str | None) -> None:
    """Start the whole service on this machine.

    Gateway, services, worker, sampler and queue run as processes of their own, with SQLite in a data folder. Ctrl-C
    saves running jobs and stops everything; they go on at the next start. Other commands find the running service by
    themselves.

    \b
    Example:
      tutelage up
      tutelage up --data-dir ~/tutelage --slots 2
    """
    if importlib.util.find_spec("embedded") is None:
        raise click.ClickException(MISSING)
    arguments = [f"--{name.replace('_', '-')}={value}" for name, value in options.items() if value is not None]
    flags = ["--no-sampler"] if no_sampler else []
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "embedded", *arguments, *flags])

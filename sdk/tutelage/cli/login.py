"""`tutelage login`: stores a profile."""

import re
from typing import TextIO

import click

from tutelage.cli._output import say


def check_profile_name(ctx: click.Context, parameter: click.Parameter, name: str) -> str:
    """Refuses a path: a profile of that name could never be used, since a path means a file elsewhere."""
    if not re.fullmatch(r"[A-Za-z0-9-]+", name):
        raise click.BadParameter(f"{name!r} is no name: a profile name is letters, digits, hyphens")
    return name


@click.command()
@click.argument("address")
@click.option(
    "--profile",
    default="default",
    show_default=True,
    metavar="NAME",
    callback=check_profile_name,
    help="Name of the profile: letters, digits, hyphens.",
)
@click.option("--key-file", type=click.File("r"), help="File that holds the API key; - is standard input.")
@click.option("--ca-file", type=click.Path(exists=True, dir_okay=False, resolve_path=True), help="CA of the server.")
@click.option("--no-check", is_flag=True, help="Store the profile without asking the server.")
def login(address: str, profile: str, key_file: TextIO | None, ca_file: str | None, no_check: bool) -> None:
    """Store the address and the key of a server as a profile.

    ADDRESS is https://host:port, http://host:port (plain text: the key can be read on the way), or host:port, which
    means TLS unless it is this machine. The key is asked for, or read from a file; it never stands on the command line,
    where every process could read it. The profile becomes the one that is used.

    \b
    Example:
      tutelage login https://tutelage.example.com:7460
      tutelage login 127.0.0.1:7460 --profile local --key-file ~/.local/share/tutelage/keys/admin
    """
    import os

    import tutelage
    from tutelage import _profiles

    key = (key_file.read() if key_file else click.prompt("API key", hide_input=True, err=True)).strip()
    if ca_file:
        os.environ["TUTELAGE_CA_FILE"] = ca_file
    with tutelage.Client(address=address, api_key=key) as client:
        if not no_check:
            caller = client.caller()
            say(f"{address} knows this key: {caller.role.lower()} of {caller.project}")
    values = {"address": address, "api_key": key, "ca_file": ca_file or ""}
    path = _profiles.write_profile(profile, values=values, environment=os.environ)
    say(f"stored as profile {profile!r} in {path}")

"""`tutelage keys`: API keys of the project."""

import itertools
from typing import TYPE_CHECKING

import click

from tutelage.cli._options import MANY, output_option, with_client

if TYPE_CHECKING:
    import tutelage

ROLES = ("admin", "trainer", "reviewer", "viewer")


@click.group()
def keys() -> None:
    """Make, list and revoke API keys. Needs the admin role."""


@keys.command()
@click.option("--role", type=click.Choice(ROLES), required=True, help="What the key may do.")
@click.option("--display-name", default="", help="What people call it; at most 100 characters.")
@click.option("--expires-in", metavar="DAYS", type=click.IntRange(1, 3650), help="Days until it stops to work.")
@output_option
@with_client
def create(client: "tutelage.Client", role: str, display_name: str, expires_in: int | None, output: str) -> None:
    """Make a key. Its secret is printed once and kept nowhere.

    With -o json the answer holds the secret; otherwise the secret alone goes to standard output.

    \b
    Example:
      tutelage keys create --role trainer --display-name "ci" --expires-in 90 > ci.key
    """
    import datetime

    from tutelage._names import short_name
    from tutelage.cli._output import print_json, print_json_line, say, show

    days = datetime.timedelta(days=expires_in or 0)
    expire_time = datetime.datetime.now(datetime.UTC) + days if expires_in else None
    answer = client.keys.create(role, display_name=display_name, expire_time=expire_time)
    if output == "json":
        print_json(answer.to_dict())
    elif output == "jsonl":
        print_json_line(answer.to_dict())
    else:
        name = short_name(answer.api_key.name) if answer.api_key else ""
        say(f"made key {name} with the role {role}; this is its secret, shown only now:")
        show(answer.secret)


@keys.command(name="list")
@click.option("--limit", type=MANY, default=100, show_default=True, help="Most keys to show.")
@output_option
@with_client
def list_keys(client: "tutelage.Client", limit: int, output: str) -> None:
    """List the keys of the project, newest first, without secrets.

    \b
    Example:
      tutelage keys list
    """
    from tutelage._names import short_name
    from tutelage.cli._output import age, moment, print_many

    print_many(
        itertools.islice(client.keys.list(), limit),
        output=output,
        columns=("KEY", "ROLE", "NAME", "MADE", "LAST USED", "EXPIRES", "REVOKED"),
        row=lambda key: (
            short_name(key.name),
            key.role.lower(),
            key.display_name,
            age(key.create_time),
            age(key.last_use_time),
            moment(key.expire_time),
            moment(key.revoke_time),
        ),
        empty="there are no keys",
    )


@keys.command()
@click.argument("key")
@output_option
@with_client
def revoke(client: "tutelage.Client", key: str, output: str) -> None:
    """End a key at once.

    \b
    Example:
      tutelage keys revoke 4k2j8x0q7d1c
    """
    from tutelage._names import short_name
    from tutelage.cli._output import moment, print_one

    print_one(
        client.keys.revoke(key),
        output=output,
        details=lambda k: {"key": short_name(k.name), "revoked": moment(k.revoke_time)},
    )

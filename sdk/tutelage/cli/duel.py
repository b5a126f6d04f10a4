"""`tutelage duel`: is a version better than another?"""

import itertools
from typing import TYPE_CHECKING, Any

import click

from tutelage.cli._drawing import drawing_of, drawing_options, read_text
from tutelage.cli._options import MANY, Seconds, complete, output_option, with_client

if TYPE_CHECKING:
    import tutelage

HELP_FLAGS = ("-h", "--help")
JUDGES = ("reviewers", "checker", "reward-model")


class DuelGroup(click.Group):
    """A group in which two models alone mean `create`: `tutelage duel chat@v3 chat@v4`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Puts `create` before what is neither a command nor a question for help."""
        if args and args[0] not in self.commands and args[0] not in HELP_FLAGS:
            args = ["create", *args]
        return super().parse_args(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Returns the command; a model is where one may stand."""
        return self.commands.get(cmd_name, self.commands.get("create"))


@click.group(cls=DuelGroup)
def duel() -> None:
    """Compare two versions blindly, until it is clear which is better.

    `tutelage duel chat@v3 chat@v4 --prompts held-out.jsonl` is short for `tutelage duel create …`.
    """


@duel.command()
@click.argument("champion", shell_complete=complete("models"))
@click.argument("challenger", shell_complete=complete("models"))
@click.option("--prompts", required=True, help="A file of JSON lines or of lines, or a dataset.")
@click.option("--judge", type=click.Choice(JUDGES), help="Who compares. Default: reviewers, or what is named below.")
@click.option("--checker", help="A program that scores: python-parses, json-parses, contains=TEXT, excludes=TEXT …")
@click.option("--reward-model", default="", help="A reward model that scores.")
@click.option("--name", default="", help="Id of the duel. Default: made by the service.")
@click.option(
    "--error-rate", type=float, help="Chance of calling equal versions different; 0.001 to 0.2. Default: 0.05."
)
@click.option("--overlap", type=click.IntRange(1, 20), help="Votes wanted of each pair, with reviewers. Default: 1.")
@click.option(
    "--guidelines", metavar="FILE", type=click.Path(exists=True, dir_okay=False), help="What reviewers should know."
)
@click.option(
    "--reviewer", "reviewers", multiple=True, metavar="KEY", help="An API key that may review. Default: every one."
)
@click.option("--detach", is_flag=True, help="Begin it and do not wait for the verdict.")
@click.option(
    "--limit-seconds", type=Seconds(), metavar="SECONDS", help="Give up waiting after this; the duel goes on."
)
@drawing_options
@output_option
@with_client
def create(
    client: "tutelage.Client",
    champion: str,
    challenger: str,
    guidelines: str | None,
    detach: bool,
    limit_seconds: float | None,
    output: str,
    **given: Any,
) -> None:
    """Begin a duel, wait for its verdict, and show it with its confidence.

    The champion comes first, the version that wants to be better second. Both answer each prompt with the same seed;
    the judge sees no names, in random order. One may look at any time: the test stays honest. Ctrl-C leaves; the duel
    goes on. Exits with 3 if the answers could not be drawn, with 4 on timeout.

    \b
    Example:
      tutelage duel create chat@v3 chat@v4 --prompts held-out.jsonl
      tutelage duel chat@v3 chat@v4 --prompts held-out.jsonl --judge checker --checker python-parses
      tutelage duel chat@prod chat@v4 --prompts held-out.jsonl --reward-model judge@v1 --error-rate 0.01
    """
    from tutelage.cli._duels import follow, print_duel

    options = drawing_of(given)
    begun = client.duels.create(champion, challenger, guidelines=read_text(guidelines), **given, **options)
    if detach:
        print_duel(begun, output=output)
    else:
        follow(client, begun, limit_s=limit_seconds, output=output)


@duel.command()
@click.argument("duel")
@click.option("--wait", is_flag=True, help="Wait until there is a verdict.")
@click.option(
    "--limit-seconds", type=Seconds(), metavar="SECONDS", help="Give up waiting after this; the duel goes on."
)
@output_option
@with_client
def show(client: "tutelage.Client", duel: str, wait: bool, limit_seconds: float | None, output: str) -> None:
    """Show what a duel says up to now.

    \b
    Example:
      tutelage duel show v3-v4
      tutelage duel show v3-v4 --wait -o json | jq -r .result.verdict
    """
    from tutelage.cli._duels import follow, print_duel

    found = client.duels.get(duel)
    if wait:
        follow(client, found, limit_s=limit_seconds, output=output)
    else:
        print_duel(found, output=output)


@duel.command(name="list")
@click.option("--limit", type=MANY, default=50, show_default=True, help="Most duels to show.")
@output_option
@with_client
def list_duels(client: "tutelage.Client", limit: int, output: str) -> None:
    """List duels, newest first.

    \b
    Example:
      tutelage duel list
    """
    from tutelage.cli._duels import COLUMNS, duel_row
    from tutelage.cli._output import print_many

    print_many(
        itertools.islice(client.duels.list(page_size=min(limit, 1000)), limit),
        output=output,
        columns=COLUMNS,
        row=duel_row,
        empty="there are no duels; begin one with `tutelage duel chat@v3 chat@v4 --prompts FILE`",
    )

"""`tutelage review start`: the tool with which people review."""

import os
import sys
from typing import TYPE_CHECKING

import click

from tutelage.cli._options import output_option, with_client

if TYPE_CHECKING:
    import tutelage
    from tutelage.cli._review_desk import Desk
    from tutelage.cli._review_sender import Sender

REFUSED = 1


def complete_open(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Completes the reviews that the caller may work on."""
    import tutelage
    from tutelage._names import short_name

    try:
        with tutelage.Client(profile=ctx.params.get("profile"), timeout_s=1.0, retry_s=0.0) as client:
            names = [short_name(review.name) for review in client.reviews.list_open()]
    except tutelage.TutelageError:
        return []
    return [name for name in names if name.startswith(incomplete)]


@click.command()
@click.argument("review", shell_complete=complete_open)
@click.option(
    "--scripted", metavar="FILE", help="Read votes from FILE (- for standard input) and mark them as a program's."
)
@output_option
@with_client
def start(client: "tutelage.Client", review: str, scripted: str | None, output: str) -> None:
    """Judge what waits for you in a review.

    One key says it, Enter gives the vote, and the next item is there at once: A or B is better (with Shift: far
    better), E equal, N both bad, 1 to 9 how much better or how good, C write a better answer, R say why, Z take the
    last vote back, S skip, X discard, G the guidelines, ? all keys, Q quit. Every vote is on your disk before it is
    sent: a cut line, a crash or quitting loses nothing and doubles nothing.

    Without a terminal, an item is printed and a line is read: its keys and, after a blank, a text ("b3 clearer"); with
    -o jsonl an item is a line of JSON, and a line that begins with { a judgement. Exits with 1 if a vote was refused.

    \b
    Example:
      tutelage review start helpfulness
      tutelage review start helpfulness --scripted votes.txt
    """
    from tutelage.cli._review_desk import Desk
    from tutelage.cli._review_journal import Journal, journal_path
    from tutelage.cli._review_sender import Sender

    opened = find_open(client, review)
    path = journal_path(
        address=client.connection.address,
        api_key=client.connection.api_key,
        review=opened.name,
        environment=os.environ,
    )
    with Journal(path) as journal:
        with Sender(client, opened.name, journal) as sender:
            desk = Desk(sender, opened, scripted=scripted is not None)
            problems = work(desk, scripted=scripted, output=output)
        leave(client, desk, sender)
        problems += len(desk.hear_refusals())
        sum_up(desk, output=output)
    if sender.failure is not None and not desk.given and not sender.votes_sent:
        raise sender.failure
    sys.exit(REFUSED if problems else 0)


def find_open(client: "tutelage.Client", review: str) -> "tutelage.OpenReview":
    """Returns the review as its reviewers see it. Raises: NotFound with those that there are."""
    import tutelage
    from tutelage._names import short_name

    found = client.reviews.list_open()
    for each in found:
        if review in (each.name, short_name(each.name)):
            return each
    others = ", ".join(short_name(each.name) for each in found) or "none"
    raise tutelage.NotFound(f"no review {short_name(review)!r} waits for you; there are: {others}")


def work(desk: "Desk", *, scripted: str | None, output: str) -> int:
    """Lets a person or lines judge; returns how many lines went wrong."""
    from tutelage.cli._review_lines import Lines, lines_of

    if scripted is None and output == "table" and is_terminal():
        from tutelage.cli._review_terminal import Terminal

        Terminal(desk).run()
        return 0
    lines = Lines(desk, lines_of(scripted), output=output, quiet=scripted is not None or output != "table")
    lines.run()
    return lines.problems


def is_terminal() -> bool:
    """Says whether a person sits at a terminal that can be drawn on."""
    import importlib.util

    return sys.stdin.isatty() and sys.stdout.isatty() and importlib.util.find_spec("termios") is not None


def leave(client: "tutelage.Client", desk: "Desk", sender: "Sender") -> None:
    """Keeps an unfinished judgement with the service too, so that it is there on another machine."""
    import tutelage

    if desk.seat is None or not desk.judgement or sender.trouble:
        return
    subject = sender.journal.answers.get(desk.subject, desk.subject)
    try:
        client.reviews.save_draft(subject, timeout=3.0, **desk.judgement)
    except tutelage.TutelageError:
        return  # It is on this disk.


def sum_up(desk: "Desk", *, output: str) -> None:
    """Says what was done, and how to come back."""
    from tutelage._names import short_name
    from tutelage.cli._output import print_json, print_json_line, say

    sender = desk.sender
    left, unsent = max(sender.items_left, 0), sender.unsent()
    summary = {"review": desk.review.name, "votes": desk.given, "unsent": unsent, "ended": sender.ended}
    if output == "json":
        print_json(summary)
    elif output == "jsonl":
        print_json_line(summary)
    name = short_name(desk.review.name)
    say(f"{desk.given:,} votes given" + (f", {unsent:,} of them on this disk only: {sender.trouble}" if unsent else ""))
    if unsent or (left and not sender.ended):
        say(f"come back with:  tutelage review start {name}")

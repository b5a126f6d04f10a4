"""`tutelage feedback freeze`, `sets` and `export`: votes made fit to train on."""

import itertools
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from tutelage.cli._options import MANY, complete, output_option, with_client

if TYPE_CHECKING:
    import tutelage

POLICIES = ("majority", "unanimous", "weighted")
EXPORTS = ("sft", "dpo", "kto", "openai", "votes")
COLUMNS = ("SET", "VOTES", "PAIRS", "LABELS", "EXAMPLES", "POLICY", "RETRACTED", "MADE")


@click.command()
@click.argument("reviews", nargs=-1, shell_complete=complete("reviews"))
@click.option("--source", "sources", multiple=True, help="Take the votes of an application too, such as app.")
@click.option("--name", default="", help="Id of the set. Default: made by the service.")
@click.option("--policy", type=click.Choice(POLICIES), help="How votes that disagree become one. Default: majority.")
@click.option("--validation-share", type=float, help="Share of prompts kept for validation; 0 to 0.5. Default: 0.1.")
@click.option("--good-rating", type=int, help="Ratings from this one on count as good; 2 to 9. Default: 7.")
@click.option("--bad-rating", type=int, help="Ratings up to this one count as bad; 1 to 8. Default: 3.")
@output_option
@with_client
def freeze(
    client: "tutelage.Client", reviews: tuple[str, ...], sources: tuple[str, ...], output: str, **given: Any
) -> None:
    """Make a feedback set of the votes that count now; it never changes, and jobs train on it.

    Votes on the same answers become one by the policy; no prompt is in both training and validation. Every row knows
    the votes that it was made of.

    \b
    Example:
      tutelage feedback freeze helpfulness --name prefs-1
      tutelage feedback freeze --source app --policy unanimous
    """
    from tutelage._names import short_name
    from tutelage.cli._output import print_one, say

    if not reviews and not sources:
        raise click.UsageError("name a review, or a source of votes with --source")
    made = client.feedback.freeze(reviews, sources=sources, **given)
    print_one(made, output=output, details=set_details)
    if output == "table" and made.train is not None:
        method = "dpo" if made.train.pairs else "kto" if made.train.labels else "sft"
        say(f"\nnext:  tutelage fine-tune --model MODEL --feedback {short_name(made.name)} --method {method}")


@click.command()
@click.argument("feedback_set", metavar="[SET]", required=False)
@click.option("--limit", type=MANY, default=50, show_default=True, help="Most sets to show.")
@output_option
@with_client
def sets(client: "tutelage.Client", feedback_set: str | None, limit: int, output: str) -> None:
    """List feedback sets, newest first, or show one.

    \b
    Example:
      tutelage feedback sets
      tutelage feedback sets prefs-1
    """
    from tutelage.cli._output import print_many, print_one

    if feedback_set is not None:
        print_one(client.feedback.get_set(feedback_set), output=output, details=set_details)
        return
    print_many(
        itertools.islice(client.feedback.list_sets(page_size=min(limit, 1000)), limit),
        output=output,
        columns=COLUMNS,
        row=set_row,
        empty="there are no feedback sets; make one with `tutelage feedback freeze REVIEW`",
    )


@click.command()
@click.argument("feedback_set", metavar="SET")
@click.option("--format", type=click.Choice(EXPORTS), default="dpo", show_default=True, help="The rows to write.")
@click.option("--to", type=click.Path(dir_okay=False), help="The file to write. Default: standard output.")
@click.option("--overwrite", is_flag=True, help="Replace the file if it is there.")
@output_option
@with_client
def export(
    client: "tutelage.Client", feedback_set: str, format: Any, to: str | None, overwrite: bool, output: str
) -> None:
    """Write the rows of a set as JSON lines that other tools read.

    sft, dpo and kto have the columns of TRL, openai is OpenAI's preference format, votes holds a row a vote with its
    reviewer under a pseudonym. With --to, standard output says where the file is.

    \b
    Example:
      tutelage feedback export prefs-1 --format dpo --to prefs-1.jsonl
      tutelage feedback export prefs-1 --format votes | jq .
    """
    import json

    from tutelage.cli._output import print_json, show

    if to is None:
        for row in client.feedback.rows(feedback_set, format=format):
            sys.stdout.write(json.dumps(row) + "\n")
        return
    path = client.feedback.export(feedback_set, to, format=format, overwrite=overwrite)
    if output in ("json", "jsonl"):
        print_json({"path": str(path), "size_bytes": path.stat().st_size})
    else:
        show(str(path))


def set_row(made: "tutelage.FeedbackSet") -> tuple[str, ...]:
    """Returns the cells of a list."""
    from tutelage._names import short_name
    from tutelage.cli._output import age

    return (
        short_name(made.name),
        f"{made.votes:,}",
        both(made, "pairs"),
        both(made, "labels"),
        both(made, "examples"),
        made.policy.lower(),
        f"{made.retracted_votes:,}" if made.retracted_votes else "",
        age(made.create_time),
    )


def both(made: "tutelage.FeedbackSet", kind: str) -> str:
    """Returns the rows of a kind, those for training and those for validation."""
    train, validation = getattr(made.train, kind, 0), getattr(made.validation, kind, 0)
    return f"{train:,} + {validation:,}" if validation else f"{train:,}"


def set_details(made: "tutelage.FeedbackSet") -> Mapping[str, str]:
    """Returns what a person wants to know about one set."""
    from tutelage._names import short_name
    from tutelage.cli._output import moment

    programs = f", {made.scripted_votes:,} of them by programs" if made.scripted_votes else ""
    return {
        "set": short_name(made.name),
        "votes": f"{made.votes:,} by {made.reviewers:,} reviewers{programs}",
        "of reviews": ", ".join(map(short_name, made.reviews)),
        "of sources": ", ".join(made.sources),
        "policy": made.policy.lower(),
        "pairs": f"{both(made, 'pairs')}  (dpo, ipo, simpo, orpo, reward)",
        "labels": f"{both(made, 'labels')}  (kto)",
        "examples": f"{both(made, 'examples')}  (sft)",
        "left out": f"{made.items_left_out:,} items: ties and conflicts" if made.items_left_out else "",
        "retracted": f"{made.retracted_votes:,} votes since" if made.retracted_votes else "",
        "made again of": short_name(made.parent_set),
        "sha256": made.sha256,
        "made": f"{moment(made.create_time)} by {short_name(made.creator)}" if made.create_time else "",
    }

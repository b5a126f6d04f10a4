"""`tutelage feedback`: the ledger of votes, and the sets that are frozen from it to train on."""

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from tutelage.cli._options import MANY, complete, output_option, with_client
from tutelage.cli.feedback_sets import export, freeze, sets

if TYPE_CHECKING:
    import tutelage

COLUMNS = ("VOTE", "STATE", "SAYS", "FROM", "REVIEWER", "PROMPT", "GIVEN")


@click.group(commands=[freeze, sets, export])
def feedback() -> None:
    """Keep what people think of answers, and make it fit to train on."""


@feedback.command()
@click.option("--prompt", required=True, help="What was answered.")
@click.option("--response", "responses", multiple=True, required=True, help="The answer; give it twice to compare two.")
@click.option("--thumb", type=click.Choice(("up", "down")), help="Good or bad.")
@click.option("--score", type=int, help="A rating from 1 to 9.")
@click.option("--preferred", type=int, help="The better answer, counted from 0.")
@click.option("--correction", help="A better answer.")
@click.option("--rationale", default="", help="Why, in words.")
@click.option(
    "--model", default="", shell_complete=complete("models"), help="The version that answered, such as chat@v3."
)
@click.option(
    "--source", default="app", show_default=True, help="Where it comes from: lower-case letters, digits, hyphens."
)
@click.option("--end-user", default="", help="A pseudonym of the application's user.")
@click.option("--scripted", is_flag=True, help="Say that a program judged, and not a person.")
@click.option("--request-id", help="Any text that names this event; the same one again is the same vote.")
@output_option
@with_client
def submit(client: "tutelage.Client", responses: tuple[str, ...], thumb: str | None, output: str, **given: Any) -> None:
    """Record what somebody thought of an answer.

    \b
    Example:
      tutelage feedback submit --prompt "Hello" --response "Go away" --thumb down --correction "Good morning!"
      tutelage feedback submit --prompt "2+2?" --response 4 --response 5 --preferred 0 --source quiz
    """
    from tutelage.cli._output import print_one

    rating = {"up": 1, "down": -1}[thumb] if thumb else None
    vote = client.feedback.submit(responses=responses, rating=rating, **given)
    print_one(vote, output=output, details=vote_details)


@feedback.command(name="list")
@click.option("--review", default="", shell_complete=complete("reviews"), help="Only votes in this review.")
@click.option("--source", default="", help="Only votes from this source, such as app.")
@click.option("--limit", type=MANY, default=50, show_default=True, help="Most votes to show.")
@output_option
@with_client
def list_votes(client: "tutelage.Client", review: str, source: str, limit: int, output: str) -> None:
    """List votes, newest first.

    \b
    Example:
      tutelage feedback list --review helpfulness
      tutelage feedback list --source app -o jsonl
    """
    from tutelage.cli._output import print_many

    found = client.feedback.list(review=review, source=source, page_size=min(limit, 1000))
    print_many(
        itertools.islice(found, limit),
        output=output,
        columns=COLUMNS,
        row=vote_row,
        empty="there are no votes yet",
    )


@feedback.command()
@click.argument("vote")
@output_option
@with_client
def show(client: "tutelage.Client", vote: str, output: str) -> None:
    """Show one vote: what was answered, what was judged, by whom, and whether it counts.

    \b
    Example:
      tutelage feedback show 4k2j8x0q7d1c
    """
    from tutelage.cli._output import print_one

    print_one(client.feedback.get(vote), output=output, details=vote_details)


@feedback.command()
@click.argument("vote")
@click.option("--reason", required=True, help="Why it must not be used; at most 1,000 characters.")
@output_option
@with_client
def retract(client: "tutelage.Client", vote: str, reason: str, output: str) -> None:
    """Say that a vote must not be used any more, and name the models that learnt from it.

    The vote stays in the ledger. Sets that are frozen from now on leave it out; `retrain MODEL@v4` makes the next
    version without it.

    \b
    Example:
      tutelage feedback retract 4k2j8x0q7d1c --reason "the user asked us to forget it"
    """
    from tutelage._names import spoken_name
    from tutelage.cli._output import print_one, say

    answer = client.feedback.retract(vote, reason=reason)
    if output == "name":
        for name in (*answer.feedback_sets, *answer.model_versions, *answer.open_jobs):
            click.echo(name)
        return
    print_one(answer, output=output, details=retraction_details)
    if output == "table" and answer.model_versions:
        say(f"\nmake the next version without it:  tutelage retrain {spoken_name(answer.model_versions[0])}")


@feedback.command()
@click.argument("vote")
@output_option
@with_client
def trace(client: "tutelage.Client", vote: str, output: str) -> None:
    """Show where a vote went: feedback sets, jobs, versions, aliases.

    \b
    Example:
      tutelage feedback trace 4k2j8x0q7d1c
    """
    from tutelage.cli._lineage import print_lineage

    print_lineage(client.feedback.trace(vote), output=output)


def vote_row(vote: "tutelage.Vote") -> tuple[str, ...]:
    """Returns the cells of a list."""
    from tutelage._names import short_name
    from tutelage.cli._output import age
    from tutelage.cli.review_items import cut, judgement_words, prompt_text

    return (
        short_name(vote.name),
        vote.state,
        judgement_words(vote.judgement),
        short_name(vote.item) or vote.source,
        f"{short_name(vote.reviewer)}{' (program)' if vote.scripted else ''}",
        cut(prompt_text(vote.prompt)),
        age(vote.create_time),
    )


def vote_details(vote: "tutelage.Vote") -> Mapping[str, str]:
    """Returns everything about one vote."""
    from tutelage._names import short_name, spoken_name
    from tutelage.cli._output import moment
    from tutelage.cli.review_items import judgement_words, prompt_text

    judgement = vote.judgement
    answers = {
        f"answer {number}": candidate.text
        + (f"  ({spoken_name(candidate.model_version)})" if candidate.model_version else "")
        for number, candidate in enumerate(vote.candidates)
    }
    return {
        "vote": short_name(vote.name),
        "state": vote.state,
        "retracted": vote.retraction_reason,
        "prompt": prompt_text(vote.prompt),
        **answers,
        "says": judgement_words(judgement),
        "correction": judgement.correction.text if judgement and judgement.correction else "",
        "rationale": judgement.rationale if judgement else "",
        "item": short_name(vote.item),
        "source": vote.source,
        "reviewer": f"{short_name(vote.reviewer)}{' (a program voted)' if vote.scripted else ''}",
        "end user": vote.end_user,
        "shown": " then ".join(map(str, vote.shown_order)) if len(vote.shown_order) > 1 else "",
        "guidelines": f"version {vote.guidelines_version}" if vote.guidelines_version else "",
        "time spent": f"{vote.active_seconds:.1f} s" if vote.active_seconds else "",
        "given": moment(vote.create_time),
    }


def retraction_details(answer: "tutelage.RetractVoteResponse") -> Mapping[str, str]:
    """Returns a retracted vote, and what holds it."""
    from tutelage._names import short_name, spoken_name

    return {
        "vote": short_name(answer.vote.name) if answer.vote else "",
        "state": answer.vote.state if answer.vote else "",
        "feedback sets": ", ".join(map(short_name, answer.feedback_sets)) or "none holds it",
        "model versions": ", ".join(map(spoken_name, answer.model_versions)) or "none learnt from it",
        "open jobs": ", ".join(map(short_name, answer.open_jobs)),
    }

"""`tutelage review items` and `gold`: what is judged, and what the right answer is."""

import itertools
from typing import TYPE_CHECKING, Any

import click

from tutelage.cli._options import MANY, complete, output_option, with_client

if TYPE_CHECKING:
    import tutelage

COLUMNS = ("ITEM", "PROMPT", "ANSWERS", "MODELS", "VOTES", "GOLD")
TEXT_CHARACTERS_MAX = 40


@click.command()
@click.argument("review", shell_complete=complete("reviews"))
@click.option("--limit", type=MANY, default=50, show_default=True, help="Most items to show.")
@output_option
@with_client
def items(client: "tutelage.Client", review: str, limit: int, output: str) -> None:
    """List the items of a review with the models behind their answers. Reviewers do not see this.

    \b
    Example:
      tutelage review items helpfulness
      tutelage review items helpfulness -o jsonl | jq -r .candidates[].text
    """
    from tutelage.cli._output import print_many

    print_many(
        itertools.islice(client.reviews.items(review, page_size=min(limit, 1000)), limit),
        output=output,
        columns=COLUMNS,
        row=item_row,
        empty="there are no items yet; they appear while the answers are drawn",
    )


@click.command()
@click.argument("item", metavar="REVIEW/items/NUMBER")
@click.option(
    "--preferred", type=click.IntRange(0, 15), help="The better answer, counted from 0 in the order of the item."
)
@click.option("--verdict", type=click.Choice(("equal", "both-bad")), help="Neither is better.")
@click.option("--thumb", type=click.Choice(("up", "down")), help="Good or bad.")
@click.option("--score", type=click.IntRange(1, 9), help="A rating.")
@click.option("--none", "nothing", is_flag=True, help="Make it an ordinary item again.")
@output_option
@with_client
def gold(
    client: "tutelage.Client",
    item: str,
    preferred: int | None,
    verdict: str | None,
    thumb: str | None,
    score: int | None,
    nothing: bool,
    output: str,
) -> None:
    """Say what the right answer of an item is. Votes of reviewers are compared with it; they do not see it.

    \b
    Example:
      tutelage review gold helpfulness/items/3 --preferred 0
      tutelage review gold helpfulness/items/3 --none
    """
    from tutelage._names import short_name
    from tutelage.cli._output import print_one

    answer: dict[str, Any] = {"preferred": preferred, "score": score}
    answer["verdict"] = verdict.replace("-", "_") if verdict else None
    answer["rating"] = {"up": 1, "down": -1}[thumb] if thumb else None
    given = {name: value for name, value in answer.items() if value is not None}
    if bool(given) == nothing:
        raise click.UsageError("give either the right answer (--preferred, --verdict, --thumb, --score) or --none")
    print_one(
        client.reviews.set_gold_answer(item, **given),
        output=output,
        details=lambda i: {"item": short_name(i.name), "right answer": judgement_words(i.gold) or "none"},
    )


def item_row(item: "tutelage.ReviewItem") -> tuple[str, ...]:
    """Returns the cells of one item."""
    from tutelage._names import short_name, spoken_name

    return (
        short_name(item.name),
        cut(prompt_text(item.prompt)),
        "  |  ".join(cut(candidate.text) for candidate in item.candidates),
        ", ".join(dict.fromkeys(spoken_name(candidate.model_version) for candidate in item.candidates)),
        str(item.votes),
        judgement_words(item.gold),
    )


def cut(text: str) -> str:
    """Returns the beginning of a text, on one line."""
    from tutelage.cli._output import one_line

    line = one_line(text)
    return line if len(line) <= TEXT_CHARACTERS_MAX else f"{line[:TEXT_CHARACTERS_MAX]}…"


def prompt_text(prompt: "tutelage.Prompt | None") -> str:
    """Returns a prompt as text; of a conversation, each turn after who said it."""
    if prompt is None:
        return ""
    return prompt.text or "\n\n".join(f"{turn.role}: {turn.content}" for turn in prompt.messages)


def judgement_words(judgement: "tutelage.Judgement | None") -> str:
    """Returns a judgement on one line."""
    if judgement is None:
        return ""
    j = judgement
    strength = f", strength {j.strength}" if j.strength is not None else ""
    parts = [
        f"prefers {j.preferred}{strength}" if j.verdict == "PREFERS" else "",
        {"EQUAL": "equal", "BOTH_BAD": "both bad"}.get(j.verdict, ""),
        {"UP": "good", "DOWN": "bad"}.get(j.thumb, ""),
        f"rating {j.rating}" if j.rating is not None else "",
        "ranking " + " > ".join(map(str, j.ranking)) if j.ranking else "",
        "corrected" if j.correction is not None else "",
        ", ".join(f"{key} {value}" for key, value in sorted(j.rubric.items())),
        f"discarded: {j.discard.lower().replace('_', ' ')}" if j.discard != "UNSPECIFIED" else "",
    ]
    return ", ".join(part for part in parts if part)

"""`tutelage review`: people judge what models wrote."""

import itertools
from typing import TYPE_CHECKING, Any

import click

from tutelage.cli._drawing import drawing_of, drawing_options, read_text
from tutelage.cli._options import MANY, complete, output_option, with_client
from tutelage.cli.review_items import gold, items
from tutelage.cli.review_start import start

if TYPE_CHECKING:
    import tutelage

review_argument = click.argument("review", shell_complete=complete("reviews"))
TEXT_FILE = click.Path(exists=True, dir_okay=False)


@click.group(commands=[start, items, gold])
def review() -> None:
    """Let people judge what models wrote.

    \b
    The owner:     create, stats, items, gold, update, close
    The reviewer:  list --open, start
    """


@review.command()
@click.option(
    "--model",
    "models",
    multiple=True,
    required=True,
    shell_complete=complete("models"),
    help="chat@v3; may be given 8 times.",
)
@click.option("--prompts", required=True, help="A file of JSON lines or of lines, or a dataset.")
@click.option("--name", default="", help="Id of the review. Default: made by the service.")
@click.option("--pairs", type=click.IntRange(1, 8), help="Pairs to make of each prompt. Default: 1.")
@click.option("--samples", type=click.IntRange(1, 16), help="Answers of each model to each prompt, instead of --pairs.")
@click.option(
    "--kind", type=click.Choice(("pair", "single", "ranking")), help="What is asked. Default: pair, if it can be."
)
@click.option(
    "--overlap", type=click.IntRange(1, 20), help="Votes wanted of each item, by different people. Default: 1."
)
@click.option("--guidelines", metavar="FILE", type=TEXT_FILE, help="What reviewers should know, as Markdown.")
@click.option(
    "--rubric", multiple=True, metavar="KEY=QUESTION", help="A further question, answered 1 to 9; may be repeated."
)
@click.option(
    "--reviewer", "reviewers", multiple=True, metavar="KEY", help="An API key that may review. Default: every one."
)
@click.option("--repeat-share", type=float, help="Share of items that come to a reviewer twice, unsaid; 0 to 0.5.")
@click.option("--seat-seconds", type=int, help="How long a seat is held without a sign; 30 to 86400. Default: 600.")
@click.option("--prompts-max", type=int, help="Prompts to answer, from the first one. Default: all.")
@click.option("--checker", help="A program that scores each answer, such as python-parses; reviewers do not see it.")
@click.option("--reward-model", default="", help="A reward model that scores each answer; reviewers do not see it.")
@drawing_options
@output_option
@with_client
def create(
    client: "tutelage.Client",
    models: tuple[str, ...],
    guidelines: str | None,
    rubric: tuple[str, ...],
    output: str,
    **given: Any,
) -> None:
    """Make a review: draw answers of models to prompts, and let people judge them.

    Of one model the answers meet in pairs; of several, each model's answers meet the others'. Reviewers see no names of
    models and no other votes. Items appear while the answers are drawn.

    \b
    Example:
      tutelage review create --model chat@v3 --prompts prompts.jsonl --pairs 2 --overlap 2 --guidelines guide.md
      tutelage review create --model chat@v3 --model chat@v4 --prompts prompts.txt --name helpfulness
      tutelage review create --model chat@v3 --prompts prompts.txt --kind single --rubric 'polite=Is it polite?'
    """
    from tutelage._names import short_name
    from tutelage.cli._output import print_one, say
    from tutelage.cli._reviews import review_details

    options = drawing_of(given)
    made = client.reviews.create(
        list(models),
        guidelines=read_text(guidelines),
        rubric=dict(entry.partition("=")[::2] for entry in rubric),
        **given,
        **options,
    )
    print_one(made, output=output, details=review_details)
    if output == "table":
        say(f"\nreviewers type:  tutelage review start {short_name(made.name)}")
        say(f"its answers are drawn by:  tutelage jobs watch {short_name(made.job)}")


@review.command(name="list")
@click.option("--open", "mine", is_flag=True, help="Those that I may work on, with what is left for me.")
@click.option("--limit", type=MANY, default=50, show_default=True, help="Most reviews to show.")
@output_option
@with_client
def list_reviews(client: "tutelage.Client", mine: bool, limit: int, output: str) -> None:
    """List reviews, newest first; with --open those that wait for me.

    \b
    Example:
      tutelage review list
      tutelage review list --open
    """
    from tutelage.cli._output import print_many
    from tutelage.cli._reviews import COLUMNS, OPEN_COLUMNS, open_row, review_row

    if mine:
        found = client.reviews.list_open()[:limit]
        print_many(found, output=output, columns=OPEN_COLUMNS, row=open_row, empty="nothing waits for you")
        return
    print_many(
        itertools.islice(client.reviews.list(page_size=min(limit, 1000)), limit),
        output=output,
        columns=COLUMNS,
        row=review_row,
        empty="there are no reviews; make one with `tutelage review create --model MODEL --prompts FILE`",
    )


@review.command()
@review_argument
@output_option
@with_client
def show(client: "tutelage.Client", review: str, output: str) -> None:
    """Show one review: what is asked, of whom, and how far it has come.

    \b
    Example:
      tutelage review show helpfulness
    """
    from tutelage.cli._output import print_one
    from tutelage.cli._reviews import review_details

    print_one(client.reviews.get(review), output=output, details=review_details)


@review.command()
@review_argument
@output_option
@with_client
def stats(client: "tutelage.Client", review: str, output: str) -> None:
    """Show what the votes say: agreement, win rates, gold items, bias.

    \b
    Example:
      tutelage review stats helpfulness
      tutelage review stats helpfulness -o json | jq .krippendorff_alpha
    """
    from tutelage.cli._review_stats import print_stats

    print_stats(client.reviews.stats(review), review=review, output=output)


@review.command()
@review_argument
@click.option("--overlap", type=click.IntRange(1, 20), help="More votes of each item.")
@click.option(
    "--guidelines", metavar="FILE", type=TEXT_FILE, help="New guidelines; votes keep the version that was seen."
)
@click.option("--open", "reopened", is_flag=True, help="Take votes again after `review close`.")
@output_option
@with_client
def update(
    client: "tutelage.Client", review: str, overlap: int | None, guidelines: str | None, reopened: bool, output: str
) -> None:
    """Ask for more votes of each item, write new guidelines, or open a review again. Votes stay.

    \b
    Example:
      tutelage review update helpfulness --overlap 3
      tutelage review update helpfulness --guidelines guide.md
    """
    from tutelage.cli._output import print_one
    from tutelage.cli._reviews import review_details

    if overlap is None and guidelines is None and not reopened:
        raise click.UsageError("nothing to change: give --overlap, --guidelines or --open")
    text = None if guidelines is None else read_text(guidelines)
    changed = client.reviews.update(review, overlap=overlap, guidelines=text, closed=False if reopened else None)
    print_one(changed, output=output, details=review_details)


@review.command()
@review_argument
@output_option
@with_client
def close(client: "tutelage.Client", review: str, output: str) -> None:
    """Take no more votes. `review update --open` takes that back.

    \b
    Example:
      tutelage review close helpfulness
    """
    from tutelage.cli._output import print_one
    from tutelage.cli._reviews import review_details

    print_one(client.reviews.update(review, closed=True), output=output, details=review_details)

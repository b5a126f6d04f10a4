"""`tutelage sample`: texts drawn from a model."""

import io
import itertools
import sys
from typing import TYPE_CHECKING, Any

import click

from tutelage.cli._options import complete, output_option, with_client

if TYPE_CHECKING:
    import tutelage

PROMPT_CHARACTERS_MAX = 100_000


@click.command()
@click.argument("model", shell_complete=complete("models"))
@click.option("--prompt", help="What to continue. Default: standard input if it is not a terminal, else nothing.")
@click.option("--max-tokens", type=int, help="Most tokens to draw; 1 to 4096. Default: 100.")
@click.option("--temperature", type=float, help="0 takes the likeliest token, 1 the model's own odds. Default: 0.8.")
@click.option("--top-k", type=int, help="Draw from the k likeliest tokens only; 0 means all. Default: 0.")
@click.option("--top-p", type=float, help="Draw from the likeliest tokens with this probability. Default: 1.")
@click.option("--seed", type=int, help="The same seed draws the same text. Default: chosen by the service.")
@click.option("--stop", multiple=True, help="Stop before this text; may be given 8 times.")
@click.option("--samples", type=int, help="Texts to draw; 1 to 16. Default: 1.")
@click.option("--logprobs", type=int, help="Show log-probabilities with this many alternatives to each token; 0 to 20.")
@output_option
@with_client
def sample(client: "tutelage.Client", model: str, prompt: str | None, output: str, **options: Any) -> None:
    """Continue a text with a model; tokens appear as they are drawn.

    MODEL means its newest version; MODEL/versions/2 means that one. With -o jsonl each piece is printed as it comes.

    \b
    Example:
      tutelage sample plays-tiny --prompt "To be" --max-tokens 100
      echo "To be" | tutelage sample plays-tiny --temperature 0.2 --seed 7
    """
    from tutelage.cli._output import print_json, print_json_line, show

    if prompt is None:
        prompt = "" if sys.stdin.isatty() else read_prompt()
    if output == "json":
        print_json(client.sample(model, prompt, **options).to_dict())
    elif output == "jsonl":
        for piece in client.stream(model, prompt, **options):
            print_json_line(piece.to_dict())
    elif output == "name":
        show(client.sample(model, prompt, **options).model_version)
    elif options["logprobs"] is not None:
        show_logprobs(client.sample(model, prompt, **options))
    elif (options["samples"] or 1) > 1:
        show_samples(client.sample(model, prompt, **options), prompt)
    else:
        show_stream(client, model, prompt, options)


def read_prompt() -> str:
    """Returns what standard input holds, without the newline at its end; reads no more than a prompt may have."""
    reader = io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8")
    try:
        # One more for the newline, and one more to see that there is too much.
        prompt = reader.read(PROMPT_CHARACTERS_MAX + 2).removesuffix("\n")
    except UnicodeDecodeError as error:
        raise click.UsageError(f"the prompt on standard input is not UTF-8: {error.reason}") from error
    finally:
        reader.detach()
    if len(prompt) > PROMPT_CHARACTERS_MAX:
        raise click.UsageError(f"the prompt on standard input has more than {PROMPT_CHARACTERS_MAX:,} characters")
    return prompt


def show_stream(client: "tutelage.Client", model: str, prompt: str, options: dict[str, Any]) -> None:
    """Prints one text as it is drawn, after its prompt; nothing if the service refuses it."""
    from tutelage.cli._output import clean

    pieces = iter(client.stream(model, prompt, **options))
    first = list(itertools.islice(pieces, 1))
    click.secho(clean(prompt), nl=False, bold=True)
    for piece in itertools.chain(first, pieces):
        click.echo(clean(piece.text), nl=False)
        sys.stdout.flush()
    click.echo("")


def show_samples(answer: "tutelage.SampleResponse", prompt: str) -> None:
    """Prints several texts, each after the prompt."""
    from tutelage.cli._output import clean

    for number, drawn in enumerate(answer.samples, start=1):
        click.secho(f"── {number} (seed {drawn.seed}, {drawn.finish_reason.lower()})", dim=True)
        click.secho(clean(prompt), nl=False, bold=True)
        click.echo(clean(drawn.text))


def show_logprobs(answer: "tutelage.SampleResponse") -> None:
    """Prints each token with its log-probability and what could have stood there."""
    from tutelage.cli._output import print_table

    rows = [
        (
            str(number),
            readable(token.bytes),
            "" if token.logprob is None else f"{token.logprob:.3f}",
            "  ".join(f"{readable(other.bytes)} {other.logprob:.2f}" for other in token.alternatives),
        )
        for number, drawn in enumerate(answer.samples, start=1)
        for token in drawn.tokens
    ]
    print_table(("SAMPLE", "TOKEN", "LOGPROB (NATS)", "ALTERNATIVES"), rows)


def readable(content: bytes) -> str:
    """Returns the bytes of a token as text in quotes, with everything unprintable escaped."""
    return repr(content.decode("utf-8", "backslashreplace"))

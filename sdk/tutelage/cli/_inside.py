"""The inside of a step as a page for a person: forward and compare, backward, adjust."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from tutelage.cli._curve import BARS
from tutelage.cli._output import console, count, print_details, print_table, say, show, stdout_is_terminal

if TYPE_CHECKING:
    import tutelage

TOKENS_MAX = 200
# How likely the model thought the right token, and the colour that it gets: at least this, likeliest first.
SHADES = ((0.5, "black on green"), (0.1, "black on yellow"), (0.01, "black on dark_orange"), (0.0, "white on red"))
# Movements of a weight in one step, relative to its size: below, it hardly learns; above, it may not settle.
UPDATE_SMALL, UPDATE_LARGE = 1e-5, 1e-2


def print_inside(answer: "tutelage.InspectStepResponse") -> None:
    """Prints the three parts of a step, each under what it is."""
    heading(f"Forward and compare: what the model of step {answer.step:,} expects, and how wrong it is")
    if stdout_is_terminal():
        print_coloured(answer.tokens)
    print_tokens(answer.tokens)
    show(f"mean loss {answer.loss:.4f} nats per token\n")
    heading("Backward: how much each part has to do with the error")
    print_parts(answer.parts)
    show("")
    heading("Adjust: how the weights would move")
    print_details(adjustment_details(answer))


def heading(text: str) -> None:
    """Prints a heading."""
    click.secho(text, bold=True)


def print_coloured(tokens: "Sequence[tutelage.InspectedToken]") -> None:
    """Prints the text, each token on the colour of its likelihood."""
    from rich.text import Text

    line = Text()
    for token in tokens:
        line.append(visible(token.text), style=shade(token.probability))
    legend = Text("\nlikelihood of the right token: ", style="dim")
    for least, style in SHADES:
        legend.append(f" ≥ {least:.0%} " if least else " less ", style=style)
    console().print(line, legend, "", sep="\n")


def shade(probability: float | None) -> str:
    """Returns the colour of a token; none for one that nothing predicts."""
    if probability is None:
        return ""
    return next(style for least, style in SHADES if probability >= least)


def visible(text: str) -> str:
    """Returns a token as it can stand in a line, its line breaks as marks."""
    from tutelage.cli._output import clean

    return clean(text).replace("\n", "⏎\n").replace("\t", "→")


def print_tokens(tokens: "Sequence[tutelage.InspectedToken]") -> None:
    """Prints each token with its loss, as a number and as a bar, and what was expected in its place."""
    highest = max((token.loss for token in tokens if token.loss is not None), default=0.0)
    rows = [
        (
            repr(token.text),
            "" if token.loss is None else f"{token.loss:.3f}",
            bar(token.loss, highest),
            "" if token.probability is None else percent(token.probability),
            "  ".join(f"{other.text!r} {percent(other.probability)}" for other in token.predictions),
        )
        for token in tokens[:TOKENS_MAX]
    ]
    print_table(("TOKEN", "LOSS (NATS)", "", "LIKELIHOOD", "EXPECTED"), rows)
    if len(tokens) > TOKENS_MAX:
        say(f"… and {len(tokens) - TOKENS_MAX:,} more tokens; -o json has them all")


def bar(loss: float | None, highest: float) -> str:
    """Returns a bar as high as the loss, beside the highest of the text."""
    if loss is None or not 0 <= loss <= highest or highest == 0:
        return ""
    return BARS[round(loss / highest * (len(BARS) - 1))]


def percent(probability: float) -> str:
    """Returns a probability with as many digits as matter."""
    return f"{probability:.0%}" if probability >= 0.1 else f"{probability:.2%}"


def print_parts(parts: "Sequence[tutelage.InspectedPart]") -> None:
    """Prints each part of the model with the norms of weights and gradient, and how far a step would move it."""
    rows = [
        (
            part.name,
            count(part.weights),
            f"{part.weight_norm:.4g}",
            f"{part.gradient_norm:.3g}",
            f"{part.update_ratio:.2g}",
            remark(part.update_ratio),
        )
        for part in parts
    ]
    print_table(("PART", "WEIGHTS", "NORM", "GRADIENT NORM", "UPDATE / WEIGHT", ""), rows)


def remark(update_ratio: float) -> str:
    """Returns what is unusual about a movement; about 0.001 is healthy."""
    if update_ratio > UPDATE_LARGE:
        return "▲ large"
    return "▼ hardly moves" if 0 < update_ratio < UPDATE_SMALL else "stays" if update_ratio == 0 else ""


def adjustment_details(answer: "tutelage.InspectStepResponse") -> dict[str, str]:
    """Returns how much was adjusted so far, in words."""
    changed = answer.changed_weights
    share = f" ({changed / answer.weights:.1%} of all)" if changed is not None and answer.weights else ""
    return {
        "learning rate": f"{answer.learning_rate:.3g}",
        "gradient norm": f"{answer.gradient_norm:.4g} before clipping",
        "weights": f"{answer.weights:,}, of which {answer.trainable_weights:,} are trained",
        "adjusted so far": f"each in {answer.adjusted_steps:,} steps: {count(answer.adjustments)} adjustments in all",
        "changed so far": "" if changed is None else f"{changed:,} weights differ from the first checkpoint{share}",
    }

"""Curves in a terminal."""

import math
from collections.abc import Mapping, Sequence

BARS = "▁▂▃▄▅▆▇█"
MARKERS = ("braille", "x", "o", "+")


def draw(curves: Mapping[str, Sequence[tuple[int, float]]], *, width: int, height: int) -> str:
    """Returns curves over steps, drawn with characters; the first one as a line, others as points on top.

    Infinite values, and those that are no number, leave a gap. Returns nothing if there is nothing to draw.
    """
    import plotext

    figure = plotext.figure
    figure.clear()
    figure.plot_size(width, height)
    names = []
    for marker, (key, given) in zip(MARKERS, curves.items(), strict=False):
        # plotext ends the whole process when it meets a value that is not finite.
        points = [(step, value) for step, value in given if math.isfinite(value)]
        if not points:
            continue
        signal = figure.signal([step for step, _ in points], [value for _, value in points], marker=marker)
        figure.draw(signal.lines() if marker == "braille" else signal)
        names.append(key if marker == "braille" else f"{marker} {key}")
    if not names:
        return ""
    figure.label("step", "x")
    figure.title("   ".join(names))
    return str(figure.build().string(colorless=True)).rstrip()


def sparkline(values: Sequence[float], *, width: int) -> str:
    """Returns a curve of one line; each character is the mean of its share of the values."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return ""
    parts = split(finite, min(width, len(finite)))
    means = [sum(part) / len(part) for part in parts]
    low, high = min(means), max(means)
    scale = (len(BARS) - 1) / (high - low) if high > low else 0
    return "".join(BARS[round((mean - low) * scale)] for mean in means)


def split(values: Sequence[float], parts: int) -> list[Sequence[float]]:
    """Returns the values in that many runs of nearly equal length."""
    return [values[len(values) * i // parts : len(values) * (i + 1) // parts] for i in range(parts)]

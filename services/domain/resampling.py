"""Drawing again from what was observed, under a seed: the same seed gives the same draws on every machine."""

import math
from collections.abc import Iterator, Sequence

_MASK = 2**64 - 1
_GOLDEN = 0x9E3779B97F4A7C15
_NORMAL_FROM = 30.0  # from this mean on a Poisson count is drawn as a rounded normal one: the error is below 1 %


def poisson_weights(counts: Sequence[int], *, seed: int, draws: int) -> Iterator[list[int]]:
    """Yield `draws` resamples: how often each observation counts, given how often it was seen.

    An observation that was seen k times gets a Poisson weight of mean k, which is the bootstrap of a sample whose size
    is itself by chance. Its cost does not grow with the counts.
    Source: Hanley and MacGibbon 2006, Computer Methods and Programs in Biomedicine 83, 57-62.
    """
    uniform = _uniforms(seed)
    for _ in range(draws):
        yield [_poisson(float(count), uniform) for count in counts]


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the value below which a share of the ordered values lies, between neighbours by a straight line."""
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def _uniforms(seed: int) -> Iterator[float]:
    """Yield numbers from 0 to 1, both left out: SplitMix64 (Steele, Lea and Flood 2014)."""
    state = seed & _MASK
    while True:
        state = (state + _GOLDEN) & _MASK
        mixed = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        yield ((mixed ^ (mixed >> 31)) + 0.5) / 2**64


def _poisson(mean: float, uniform: Iterator[float]) -> int:
    if mean > _NORMAL_FROM:
        radius = math.sqrt(-2 * math.log(next(uniform)))
        return max(0, round(mean + math.sqrt(mean) * radius * math.cos(2 * math.pi * next(uniform))))
    count, product, least = 0, next(uniform), math.exp(-mean)
    while product > least:
        count, product = count + 1, product * next(uniform)
    return count

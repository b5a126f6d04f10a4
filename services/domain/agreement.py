"""How far reviewers agree, beyond what chance would give.

A unit is what was judged, with the values that its votes gave it: `(1, 1, 3)` is a unit with three votes. Values are
numbers; on the nominal scale they are names, and only whether they are equal counts.
"""

import collections
import dataclasses
import enum
import itertools
from collections.abc import Iterable, Sequence

from services.domain.resampling import percentile, poisson_weights

RESAMPLES = 400
CONFIDENCE = 0.95

Unit = Sequence[int]
_Coincidences = dict[tuple[int, int], float]


class Scale(enum.Enum):
    """What the distance of two values means."""

    NOMINAL = "NOMINAL"
    ORDINAL = "ORDINAL"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Estimate:
    """A measured value with the interval that holds it with 95 % confidence; None where there is too little to say."""

    value: float
    low: float | None = None
    high: float | None = None


def krippendorff_alpha(units: Iterable[Unit], *, scale: Scale) -> float | None:
    """Return Krippendorff's alpha: 1 for full agreement, 0 for that of chance, below 0 for less.

    Units with fewer than two values say nothing, and are left out. None if no two values can be compared, or if there
    is only one value in all: then agreement and chance are the same.
    Source: Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", sections B to D.
    """
    found: _Coincidences = collections.defaultdict(float)
    for unit in units:
        _count(found, unit, weight=1)
    return _alpha(found, scale=scale)


def estimate_alpha(clusters: Iterable[Iterable[Unit]], *, scale: Scale, seed: int) -> Estimate | None:
    """Return alpha with its bootstrap interval, or None as `krippendorff_alpha`.

    A cluster holds the units that were judged together, such as all pairs of one ranking, and is drawn as one. The same
    seed gives the same interval. Resamples in which nothing varies have no alpha, and are left out; full agreement has
    no interval, for it resamples to nothing else.
    """
    patterns = collections.Counter(_pattern(cluster) for cluster in clusters)
    kinds = [(pattern, count) for pattern, count in sorted(patterns.items()) if pattern]
    value = _alpha(_weighted(pattern for pattern in kinds), scale=scale)
    if value is None:
        return None
    resampled = []
    for weights in poisson_weights([count for _, count in kinds], seed=seed, draws=RESAMPLES):
        drawn = zip((pattern for pattern, _ in kinds), weights, strict=True)
        again = _alpha(_weighted(drawn), scale=scale)
        if again is not None:
            resampled.append(again)
    resampled.sort()
    if len(resampled) < RESAMPLES // 2 or resampled[0] == resampled[-1]:
        return Estimate(value=value)
    tail = (1 - CONFIDENCE) / 2
    return Estimate(value=value, low=percentile(resampled, tail), high=percentile(resampled, 1 - tail))


def cohen_kappa(pairs: Sequence[tuple[int, int]]) -> float | None:
    """Return Cohen's kappa of two reviewers, from the value that each gave to the same things.

    None without pairs, or if both always give one and the same value.
    Source: Cohen 1960, Educational and Psychological Measurement 20, 37-46.
    """
    if not pairs:
        return None
    count = len(pairs)
    first, second = (collections.Counter(pair[place] for pair in pairs) for place in (0, 1))
    observed = sum(one == other for one, other in pairs) / count
    expected = sum(first[value] * second[value] for value in first) / count**2
    return None if expected == 1 else (observed - expected) / (1 - expected)


def raw_agreement(units: Iterable[Unit]) -> float | None:
    """Return the share of pairs of votes on the same unit that agree, or None without such pairs."""
    agreeing = pairs = 0
    for unit in units:
        pairs += len(unit) * (len(unit) - 1) // 2
        agreeing += sum(count * (count - 1) // 2 for count in collections.Counter(unit).values())
    return agreeing / pairs if pairs else None


def _pattern(cluster: Iterable[Unit]) -> tuple[tuple[int, ...], ...]:
    """Return what a cluster says, whoever says it, so that equal ones are counted together."""
    return tuple(sorted(tuple(sorted(unit)) for unit in cluster if len(unit) > 1))


def _weighted(patterns: Iterable[tuple[Iterable[Unit], int]]) -> _Coincidences:
    found: _Coincidences = collections.defaultdict(float)
    for pattern, weight in patterns:
        if weight:
            for unit in pattern:
                _count(found, unit, weight=weight)
    return found


def _count(found: _Coincidences, unit: Unit, *, weight: int) -> None:
    """Count each ordered pair of values of a unit, all of them together as its number of values."""
    if len(unit) < 2:
        return
    share = weight / (len(unit) - 1)
    for pair in itertools.permutations(unit, 2):
        found[pair] += share


def _alpha(found: _Coincidences, *, scale: Scale) -> float | None:
    totals: dict[int, float] = collections.defaultdict(float)
    for (value, _), count in found.items():
        totals[value] += count
    values = sorted(totals)
    distance = _distances(values, totals, scale=scale)
    expected = sum(totals[one] * totals[other] * distance[one, other] for one, other in distance)
    if not expected:
        return None
    observed = sum(found.get(pair, 0.0) * each for pair, each in distance.items())
    return 1 - (sum(totals.values()) - 1) * observed / expected


def _distances(values: Sequence[int], totals: dict[int, float], *, scale: Scale) -> dict[tuple[int, int], float]:
    """Return the squared distance of each two values, the lower one first."""
    if scale is Scale.NOMINAL:
        return dict.fromkeys(itertools.combinations(values, 2), 1.0)
    upto = dict(zip(values, itertools.accumulate(totals[value] for value in values), strict=True))
    return {
        (low, high): (upto[high] - upto[low] + totals[low] - (totals[low] + totals[high]) / 2) ** 2
        for low, high in itertools.combinations(values, 2)
    }

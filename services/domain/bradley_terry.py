"""How strong versions are, from which of two was preferred how often.

A tie is half a win for each. Every version also meets an average one that nobody saw: `PRIOR` times it wins, and as
often it loses. So versions that never lost, or that were never compared with some others, have finite strengths.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence

from services.domain.agreement import Estimate

PRIOR = 0.5
NORMAL_95 = 1.959963984540054  # the quantile of the standard normal distribution for 95 % on both sides
_ROUNDS_MAX = 10_000
_PRECISION = 1e-10  # of a logarithm of odds

Wins = Mapping[tuple[str, str], float]
"""How often the first was preferred to the second; a tie is half a win in each order."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Score:
    """How often one version was preferred, and its strength: the logarithm of its odds against the average version."""

    name: str
    wins: float
    comparisons: int
    win_rate: Estimate
    strength: Estimate


def scores(wins: Wins) -> list[Score]:
    """Return each version with its share of wins and its strength, strongest first."""
    names = sorted({name for pair in wins for name in pair})
    found = strengths(wins)
    scored = []
    for name in names:
        won = sum(count for (winner, _), count in wins.items() if winner == name)
        met = won + sum(count for (_, loser), count in wins.items() if loser == name)
        rate = wilson_interval(won, round(met))
        scored.append(Score(name=name, wins=won, comparisons=round(met), win_rate=rate, strength=found[name]))
    return sorted(scored, key=lambda each: (-each.strength.value, each.name))


def strengths(wins: Wins, *, prior: float = PRIOR) -> dict[str, Estimate]:
    """Return the strength of each version with its interval, centred so that their mean is 0.

    The most likely strengths by the MM algorithm, the intervals from the inverse of the observed information.
    Source: Bradley and Terry 1952, Biometrika 39, 324-345; Hunter 2004, Annals of Statistics 32, 384-406, eq. 3.
    """
    names = sorted({name for pair in wins for name in pair})
    met = [[wins.get((one, other), 0.0) + wins.get((other, one), 0.0) for other in names] for one in names]
    won = [prior + sum(wins.get((one, other), 0.0) for other in names if other != one) for one in names]
    logs = _fit(won, met, prior=prior)
    errors = _standard_errors(logs, met, prior=prior)
    middle = sum(logs) / len(logs) if logs else 0.0
    return {
        name: Estimate(value=log - middle, low=log - middle - NORMAL_95 * error, high=log - middle + NORMAL_95 * error)
        for name, log, error in zip(names, logs, errors, strict=True)
    }


def wilson_interval(wins: float, count: int) -> Estimate:
    """Return a share with its 95 % score interval; without anything counted it is one half, and may be anything.

    Source: Wilson 1927, Journal of the American Statistical Association 22, 209-212.
    """
    if not count:
        return Estimate(value=0.5, low=0.0, high=1.0)
    share, spread = wins / count, NORMAL_95**2 / count
    middle = (share + spread / 2) / (1 + spread)
    half = math.sqrt(share * (1 - share) * spread + spread**2 / 4) / (1 + spread)
    return Estimate(value=share, low=max(0.0, middle - half), high=min(1.0, middle + half))


def _fit(won: Sequence[float], met: Sequence[Sequence[float]], *, prior: float) -> list[float]:
    """Return the logarithms of the strengths; the average version that all meet has the strength 1."""
    size = len(won)
    strength = [1.0] * size
    for _ in range(_ROUNDS_MAX):
        moved = 0.0
        for one in range(size):
            shared = 2 * prior / (strength[one] + 1)
            shared += sum(met[one][each] / (strength[one] + strength[each]) for each in range(size) if each != one)
            better = won[one] / shared if shared else strength[one]
            moved = max(moved, abs(math.log(better / strength[one])))
            strength[one] = better
        if moved < _PRECISION:
            break
    return [math.log(each) for each in strength]


def _standard_errors(logs: Sequence[float], met: Sequence[Sequence[float]], *, prior: float) -> list[float]:
    """Return the standard error of each strength about the mean of all."""
    size = len(logs)
    information = [[0.0] * size for _ in range(size)]
    for one in range(size):
        information[one][one] += 2 * prior * _variance(logs[one])
        for other in range(size):
            if other != one:
                weight = met[one][other] * _variance(logs[one] - logs[other])
                information[one][one] += weight
                information[one][other] -= weight
    covariance = _inverse(information)
    errors = []
    for one in range(size):
        about = [(1.0 if each == one else 0.0) - 1 / size for each in range(size)]
        variance = sum(
            about[row] * covariance[row][column] * about[column] for row in range(size) for column in range(size)
        )
        errors.append(math.sqrt(max(variance, 0.0)))
    return errors


def _variance(log_odds: float) -> float:
    chance = 1 / (1 + math.exp(-log_odds))
    return chance * (1 - chance)


def _inverse(matrix: Sequence[Sequence[float]]) -> list[list[float]]:
    """Return the inverse of a positive definite matrix, by elimination."""
    size = len(matrix)
    rows = [[*row, *(1.0 if place == number else 0.0 for place in range(size))] for number, row in enumerate(matrix)]
    for pivot in range(size):
        best = max(range(pivot, size), key=lambda row: abs(rows[row][pivot]))
        rows[pivot], rows[best] = rows[best], rows[pivot]
        scale = rows[pivot][pivot]
        rows[pivot] = [value / scale for value in rows[pivot]]
        for row in range(size):
            factor = rows[row][pivot]
            if row != pivot and factor:
                rows[row] = [value - factor * other for value, other in zip(rows[row], rows[pivot], strict=True)]
    return [row[size:] for row in rows]

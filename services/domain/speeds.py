"""What a cluster has measured of its own runs, and which of it says something about another run."""

import dataclasses
import statistics
from collections.abc import Sequence

ALIKE = 1.05
NEAR = 2.0
SIMILAR = 10.0
RUNS_MIN = 3
SHARE_MAX = 3.0  # beyond, something else was measured than training


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeasuredSpeed:
    """What one attempt achieved: floating-point operations of its measured steps over their time."""

    parameters: int
    flops_per_second: float
    kind: str = "train"
    tokens_per_step: int = 0
    memory_share: float | None = None
    """The most memory that it held, as a share of what its shape alone lets one expect; None if it was not measured."""


def memory_share(speeds: Sequence[MeasuredSpeed], *, parameters: int, kind: str) -> float | None:
    """Return how much more or less memory runs of nearly this size took than their shapes say; None without history.

    Processors, arithmetic and allocators differ, and every cluster has its own.
    """
    same = _of_size([each for each in speeds if each.kind == kind], parameters, within=NEAR)
    shares = [each.memory_share for each in same if each.memory_share]
    return min(max(statistics.median(shares), 1 / SHARE_MAX), SHARE_MAX) if shares else None


def similar_speeds(
    speeds: Sequence[MeasuredSpeed], *, parameters: int, kind: str = "train", tokens_per_step: int = 0
) -> list[float]:
    """Return FLOP/s of the runs that are most like this one.

    Runs of the same shape and batch, even if it is one; else some of the same kind of work and nearly the same size; of
    a similar size; of the same kind; else all there are.
    """
    same = [each for each in speeds if each.kind == kind]
    alike = [each for each in same if each.tokens_per_step == tokens_per_step]
    found = _of_size(alike, parameters, within=ALIKE) if tokens_per_step else []
    for candidates, least in (
        (found, 1),
        (_of_size(same, parameters, within=NEAR), RUNS_MIN),
        (_of_size(same, parameters, within=SIMILAR), RUNS_MIN),
        (same, RUNS_MIN),
    ):
        if len(candidates) >= least:
            return [each.flops_per_second for each in candidates]
    return [each.flops_per_second for each in speeds]


def _of_size(speeds: Sequence[MeasuredSpeed], parameters: int, *, within: float) -> list[MeasuredSpeed]:
    return [each for each in speeds if 1 / within <= each.parameters / max(1, parameters) <= within]

"""What a cluster has measured of its own speed, and which of it says something about a run."""

import dataclasses
from collections.abc import Sequence

ALIKE = 1.05
NEAR = 2.0
SIMILAR = 10.0
RUNS_MIN = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeasuredSpeed:
    """What one attempt achieved: floating-point operations of its measured steps over their time."""

    parameters: int
    flops_per_second: float
    kind: str = "train"
    tokens_per_step: int = 0


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

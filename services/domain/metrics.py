"""Curves: the values of one metric over the steps of a job."""

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class MetricSeries:
    """One curve. Each point covers one step or several neighbours; the tuples have the same length."""

    key: str
    steps: tuple[int, ...]
    """Last step of each point."""
    means: tuple[float, ...]
    minima: tuple[float, ...]
    maxima: tuple[float, ...]

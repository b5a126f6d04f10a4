"""The learning rate of a step."""

import math


def learning_rate(step: int, *, steps: int, peak: float, warmup_steps: int, final_ratio: float) -> float:
    """Rises evenly to `peak` at the end of warm-up, then falls along a half cosine to `peak * final_ratio` at the end.

    Steps count from 1. Source: Loshchilov and Hutter 2017, arXiv 1608.03983, eq. 5, without restarts.
    """
    if step <= warmup_steps:
        return peak * step / warmup_steps
    share = (step - warmup_steps) / (steps - warmup_steps)
    return peak * (final_ratio + (1 - final_ratio) * 0.5 * (1 + math.cos(math.pi * share)))

"""The learning rate of a step."""

import math

from tutelage.v1 import training_pb2

DECAY_RATIO = 0.2


def learning_rate(step: int, *, steps: int, spec: training_pb2.OptimizationSpec) -> float:
    """Rises evenly to the highest rate at the end of warm-up, then goes by the schedule of the spec.

    Steps count from 1. Raises: ValueError if the schedule is none of those below.
    Sources: cosine: Loshchilov and Hutter 2017, arXiv 1608.03983, eq. 5, without restarts; warm-up, stable, decay: Hu
    et al. 2024, arXiv 2404.06395, section 4.2; inverse square root: Vaswani et al. 2017, arXiv 1706.03762, eq. 3.
    """
    peak, final, warmup = spec.learning_rate, spec.final_learning_rate_ratio, spec.warmup_steps
    if step <= warmup:
        return peak * step / warmup
    share = (step - warmup) / (steps - warmup)
    match spec.schedule:
        case training_pb2.SCHEDULE_CONSTANT:
            return peak
        case training_pb2.SCHEDULE_LINEAR:
            return peak * falling(share, final=final)
        case training_pb2.SCHEDULE_UNSPECIFIED | training_pb2.SCHEDULE_COSINE:
            return peak * (final + (1 - final) * 0.5 * (1 + math.cos(math.pi * share)))
        case training_pb2.SCHEDULE_WARMUP_STABLE_DECAY:
            ratio = spec.decay_ratio if spec.HasField("decay_ratio") else DECAY_RATIO
            return peak * falling(share_of_decay(step, steps=steps, warmup=warmup, ratio=ratio), final=final)
        case training_pb2.SCHEDULE_INVERSE_SQUARE_ROOT:
            return peak * max(final, math.sqrt(max(1, warmup) / step))
    raise ValueError(f"unknown schedule {spec.schedule}")


def falling(share: float, *, final: float) -> float:
    """A straight line from 1 to `final`."""
    return 1 - (1 - final) * share


def share_of_decay(step: int, *, steps: int, warmup: int, ratio: float) -> float:
    """How much of the fall at the end is over; it takes `ratio` of the steps, at least one, never some of warm-up."""
    length = min(max(1, round(ratio * steps)), steps - warmup)
    return max(0.0, (step - (steps - length)) / length)

"""How the weights may be moved; what a rule or a schedule would not read is refused, since it would do nothing."""

import math
from collections.abc import Iterator

from services.domain import limits
from services.domain.errors import FieldViolation
from services.domain.filling import micro_batch_of
from services.domain.optimization import OWN_SETTINGS, OptimizationDraft, OptimizationSpec, Optimizer, Schedule
from services.domain.ranges import not_shares, outside

PATH = "spec.optimization"


def optimization_violations(
    spec: OptimizationSpec, *, draft: OptimizationDraft, steps: int
) -> Iterator[FieldViolation]:
    """Yield every wrong field."""
    ranges: dict[str, tuple[float, float]] = {
        "final_learning_rate_ratio": (0, 1),
        "warmup_steps": (0, max(steps, 0)),
        "weight_decay": (0, 1),
        "clip_norm": (0, math.inf),
        "batch_size": (1, limits.BATCH_SIZE_MAX),
    }
    wrong = [*outside(spec, PATH, ranges)]
    yield from wrong
    if not 0 < spec.learning_rate <= limits.LEARNING_RATE_MAX:
        yield FieldViolation(f"{PATH}.learning_rate", f"must be above 0 and at most 1, got {spec.learning_rate}")
    yield from not_shares(spec, PATH, ("beta1", "beta2", "momentum"))
    if spec.epsilon is not None and not 0 < spec.epsilon < math.inf:
        yield FieldViolation(f"{PATH}.epsilon", f"must be above 0, got {spec.epsilon}")
    if spec.decay_ratio is not None and not 0 < spec.decay_ratio <= 1:
        yield FieldViolation(f"{PATH}.decay_ratio", f"must be above 0 and at most 1, got {spec.decay_ratio}")
    if not any(each.field.endswith(".batch_size") for each in wrong):
        yield from _micro_batch(spec)
    yield from _without_effect(spec, draft=draft)


def _micro_batch(spec: OptimizationSpec) -> Iterator[FieldViolation]:
    whole, part = spec.batch_size, spec.micro_batch_size
    if part < 1 or whole % part:
        smaller = micro_batch_of(whole, most=max(1, part))
        yield FieldViolation(
            f"{PATH}.micro_batch_size", f"must divide batch_size = {whole}, got {part}; {smaller} would be right"
        )


def _without_effect(spec: OptimizationSpec, *, draft: OptimizationDraft) -> Iterator[FieldViolation]:
    """Name what was asked for and would silently do nothing."""
    for name in sorted({name for names in OWN_SETTINGS.values() for name in names} - OWN_SETTINGS[spec.optimizer]):
        if getattr(draft, name) is not None:
            readers = [f"OPTIMIZER_{each.name}" for each in Optimizer if name in OWN_SETTINGS[each]]
            description = f"must be left out for OPTIMIZER_{spec.optimizer.name}, which has none"
            yield FieldViolation(f"{PATH}.{name}", f"{description}; {_words(readers)} would read it")
    if draft.decay_ratio is not None and spec.schedule is not Schedule.WARMUP_STABLE_DECAY:
        description = f"must be left out for SCHEDULE_{spec.schedule.name}"
        yield FieldViolation(f"{PATH}.decay_ratio", f"{description}; SCHEDULE_WARMUP_STABLE_DECAY would read it")
    if spec.nesterov and spec.momentum == 0:
        yield FieldViolation(f"{PATH}.nesterov", "looks ahead along the momentum, which is 0; set momentum above 0")
    if spec.schedule is Schedule.CONSTANT and spec.final_learning_rate_ratio != 1:
        description = f"must be left out for SCHEDULE_CONSTANT, which stays, got {spec.final_learning_rate_ratio}"
        yield FieldViolation(f"{PATH}.final_learning_rate_ratio", description)


def _words(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"

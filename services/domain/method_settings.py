"""Defaults and checks of the methods of fine-tuning: what each of them reads, and what would do nothing for it."""

import math
from collections.abc import Iterator

from services.domain import limits
from services.domain.checkers import checker_violations
from services.domain.errors import FieldViolation
from services.domain.filling import either, given
from services.domain.fine_tuning import FineTuneDraft, FineTuneSpec
from services.domain.methods import (
    OWN_SETTINGS,
    GrpoDraft,
    GrpoSpec,
    Method,
    PreferenceDraft,
    PreferenceSpec,
)
from services.domain.ranges import outside

_BETA = {Method.SIMPO: limits.BETA_SIMPO_DEFAULT}
_PREFERENCE, _GRPO = "spec.preference", "spec.grpo"


def learning_rate_of(method: Method, *, adapted: bool) -> float:
    """Return the default learning rate; the limits say where each comes from."""
    whole, adapters = _LEARNING_RATES.get(method, _OF_PREFERENCES)
    return adapters if adapted else whole


_OF_PREFERENCES = (limits.PREFERENCE_LEARNING_RATE_DEFAULT, limits.PREFERENCE_LORA_LEARNING_RATE_DEFAULT)
_LEARNING_RATES = {
    Method.SFT: (limits.FINE_TUNE_LEARNING_RATE_DEFAULT, limits.FINE_TUNE_LORA_LEARNING_RATE_DEFAULT),
    Method.ORPO: (limits.ORPO_LEARNING_RATE_DEFAULT, limits.ORPO_LORA_LEARNING_RATE_DEFAULT),
    Method.REWARD: (limits.REWARD_LEARNING_RATE_DEFAULT, limits.REWARD_LORA_LEARNING_RATE_DEFAULT),
}


def fill_preference(draft: PreferenceDraft, *, method: Method) -> PreferenceSpec | None:
    """Return the settings that the method reads, None if it reads none."""
    if not OWN_SETTINGS[method]:
        return None
    defaults = {
        "beta": _BETA.get(method, limits.BETA_PREFERENCE_DEFAULT),
        "label_smoothing": 0.0,
        "margin": limits.MARGIN_DEFAULT,
        "sft_weight": 0.0,
        "desirable_weight": 1.0,
        "undesirable_weight": 1.0,
    }
    values = {**defaults, **given(draft)}
    return PreferenceSpec(**{name: value for name, value in values.items() if name in OWN_SETTINGS[method]})


def fill_grpo(draft: GrpoDraft, *, method: Method, reward_model: str) -> GrpoSpec | None:
    """Return the settings of GRPO, None for any other method; `reward_model` is the exact version."""
    if method is not Method.GRPO:
        return None
    return GrpoSpec(
        group_size=either(draft.group_size, limits.GROUP_SIZE_DEFAULT),
        max_tokens=either(draft.max_tokens, limits.GRPO_TOKENS_DEFAULT),
        temperature=either(draft.temperature, 1.0),
        kl_weight=either(draft.kl_weight, limits.KL_WEIGHT_DEFAULT),
        clip_ratio=either(draft.clip_ratio, limits.CLIP_RATIO_DEFAULT),
        updates=either(draft.updates, 1),
        checker=draft.checker,
        reward_model=reward_model,
    )


def method_violations(spec: FineTuneSpec, *, draft: FineTuneDraft) -> Iterator[FieldViolation]:
    """Yield every setting of a method that is wrong, or that would silently do nothing."""
    yield from _not_of(spec.method, draft=draft)
    if spec.preference is not None:
        yield from _preference(spec.preference)
    if spec.grpo is not None:
        yield from _grpo(spec.grpo, context_length=spec.context_length)
        yield from _groups(spec.optimization.batch_size, group_size=spec.grpo.group_size)


def _not_of(method: Method, *, draft: FineTuneDraft) -> Iterator[FieldViolation]:
    for name in given(draft.preference):
        if name not in OWN_SETTINGS[method]:
            readers = [f"METHOD_{each.name}" for each in Method if name in OWN_SETTINGS[each]]
            description = f"is not of METHOD_{method.name}; {_words(readers)} would read it"
            yield FieldViolation(f"{_PREFERENCE}.{name}", description)
    for name, value in given(draft.grpo).items():
        if method is not Method.GRPO and value != "":
            yield FieldViolation(f"{_GRPO}.{name}", f"is not of METHOD_{method.name}; METHOD_GRPO would read it")
    if method is not Method.SFT:
        yield from _of_sft_only(method, draft=draft)


def _of_sft_only(method: Method, *, draft: FineTuneDraft) -> Iterator[FieldViolation]:
    why = f"is not of METHOD_{method.name}"
    if draft.rows.packing:
        yield FieldViolation("spec.rows.packing", f"{why}: each of its rows is looked at alone; leave it out")
    if draft.rows.loss_on is not None:
        yield FieldViolation("spec.rows.loss_on", f"{why}, which learns from answers only; leave it out")
    if draft.regularization.label_smoothing:
        advice = "; preference.label_smoothing is for pairs the wrong way round" if method is Method.DPO else ""
        yield FieldViolation("spec.regularization.label_smoothing", f"{why}: no token is the right one{advice}")
    if method is Method.REWARD and (draft.samples.interval_steps or draft.samples.prompt is not None):
        yield FieldViolation("spec.samples", "must be left out: a reward model scores texts and cannot write any")


def _preference(spec: PreferenceSpec) -> Iterator[FieldViolation]:
    most = limits.PREFERENCE_WEIGHT_MAX
    for name in ("beta", "desirable_weight", "undesirable_weight"):
        value = getattr(spec, name)
        if value is not None and not 0 < value <= most:
            yield FieldViolation(f"{_PREFERENCE}.{name}", f"must be above 0 and at most {most:g}, got {value}")
    there = {name: (0.0, most) for name in ("margin", "sft_weight") if getattr(spec, name) is not None}
    yield from outside(spec, _PREFERENCE, there)
    smoothing = spec.label_smoothing
    if smoothing is not None and not 0 <= smoothing < limits.LABEL_SMOOTHING_MAX:
        description = f"must be at least 0 and below {limits.LABEL_SMOOTHING_MAX:g}, got {smoothing}"
        yield FieldViolation(f"{_PREFERENCE}.label_smoothing", description)


def _grpo(spec: GrpoSpec, *, context_length: int) -> Iterator[FieldViolation]:
    ranges: dict[str, tuple[float, float]] = {
        "group_size": (limits.GROUP_SIZE_MIN, limits.GROUP_SIZE_MAX),
        "max_tokens": (1, limits.DRAW_TOKENS_MAX),
        "kl_weight": (0, limits.PREFERENCE_WEIGHT_MAX),
        "updates": (1, limits.GRPO_UPDATES_MAX),
    }
    wrong = [*outside(spec, _GRPO, ranges)]
    yield from wrong
    if not 0 < spec.temperature <= limits.DRAW_TEMPERATURE_MAX or not math.isfinite(spec.temperature):
        most = limits.DRAW_TEMPERATURE_MAX
        yield FieldViolation(f"{_GRPO}.temperature", f"must be above 0 and at most {most:g}, got {spec.temperature}")
    if not 0 < spec.clip_ratio < 1:
        yield FieldViolation(f"{_GRPO}.clip_ratio", f"must be above 0 and below 1, got {spec.clip_ratio}")
    if not wrong and spec.max_tokens >= context_length:
        description = f"must be below context_length = {context_length}, or no prompt fits, got {spec.max_tokens}"
        yield FieldViolation(f"{_GRPO}.max_tokens", description)
    yield from _scorer(spec)


def _groups(batch_size: int, *, group_size: int) -> Iterator[FieldViolation]:
    if batch_size >= 1 and group_size >= 1 and batch_size % group_size:
        right = group_size * max(1, round(batch_size / group_size))
        description = f"counts answers and must be a multiple of grpo.group_size = {group_size}, got {batch_size}"
        yield FieldViolation("spec.optimization.batch_size", f"{description}; {right} would be right")


def _scorer(spec: GrpoSpec) -> Iterator[FieldViolation]:
    if spec.checker is None and not spec.reward_model:
        yield FieldViolation(f"{_GRPO}.checker", "is required, or reward_model: something has to score the answers")
    elif spec.checker is not None:
        yield from checker_violations(spec.checker, f"{_GRPO}.checker")
        if spec.reward_model:
            words = "must be left out where a reward model scores: an answer has one score"
            yield FieldViolation(f"{_GRPO}.checker", words)


def _words(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"

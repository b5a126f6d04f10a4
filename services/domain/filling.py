"""Defaults that pretraining and fine-tuning share: what was asked for, and the rest as the proto comments say."""

import dataclasses
from typing import Any, TypeVar

from services.domain import limits
from services.domain.inputs import Inputs
from services.domain.optimization import OWN_SETTINGS, OptimizationDraft, OptimizationSpec, Optimizer, Schedule
from services.domain.run_settings import (
    CheckpointsDraft,
    CheckpointsSpec,
    Compilation,
    ComputeDraft,
    ComputeSpec,
    EarlyStoppingSpec,
    LossOn,
    MixturePart,
    MixturePartDraft,
    RegularizationDraft,
    RegularizationSpec,
    RowsDraft,
    RowsSpec,
    SamplesDraft,
    SamplesSpec,
)

T = TypeVar("T")

_MOMENTUM = {Optimizer.SGD: limits.MOMENTUM_SGD_DEFAULT, Optimizer.MUON: limits.MOMENTUM_MUON_DEFAULT}
_BETA2 = {Optimizer.RMSPROP: limits.BETA2_RMSPROP_DEFAULT}


def given(draft: Any) -> dict[str, Any]:
    """Return what a draft says, by field."""
    values = {field.name: getattr(draft, field.name) for field in dataclasses.fields(draft)}
    return {name: value for name, value in values.items() if value is not None}


def either(value: T | None, default: T) -> T:
    """Return what was asked for, or the default; zero and nothing are different things."""
    return default if value is None else value


def tenth_of(steps: int) -> int:
    """Return a tenth of the steps, the usual interval of looks on the way."""
    return max(1, steps // 10)


def fill_optimization(
    draft: OptimizationDraft, *, learning_rate: float, batch_size: int, micro_batch_size: int | None, steps: int
) -> OptimizationSpec:
    """Return the settings; those that the optimizer or the schedule does not read are None, even if they were given.

    `learning_rate` is the default of AdamW; other optimizers have one of another size.
    """
    optimizer, schedule = draft.optimizer or Optimizer.ADAMW, draft.schedule or Schedule.COSINE
    batch_size = either(draft.batch_size, batch_size)
    defaults = {
        "optimizer": optimizer,
        "schedule": schedule,
        "learning_rate": min(learning_rate * _TIMES.get(optimizer, 1.0), limits.LEARNING_RATE_MAX),
        "final_learning_rate_ratio": _final_ratio(schedule),
        "warmup_steps": min(limits.WARMUP_STEPS_MAX_DEFAULT, max(0, steps // 20)),
        "weight_decay": limits.WEIGHT_DECAY_DEFAULT,
        "clip_norm": limits.CLIP_NORM_DEFAULT,
        "batch_size": batch_size,
        "micro_batch_size": micro_batch_of(batch_size, most=either(micro_batch_size, batch_size)),
        "decay_ratio": limits.DECAY_RATIO_DEFAULT,
        **_rule(draft, optimizer),
    }
    values = {**defaults, **given(draft)}
    return OptimizationSpec(**{name: value for name, value in values.items() if name not in _unread(values)})


_TIMES = {
    Optimizer.MUON: limits.LEARNING_RATE_TIMES_MUON,
    Optimizer.ADAFACTOR: limits.LEARNING_RATE_TIMES_ADAFACTOR,
}


def _final_ratio(schedule: Schedule) -> float:
    return 1.0 if schedule is Schedule.CONSTANT else limits.FINAL_LEARNING_RATE_RATIO_DEFAULT


def _rule(draft: OptimizationDraft, optimizer: Optimizer) -> dict[str, Any]:
    momentum = either(draft.momentum, _MOMENTUM.get(optimizer, 0.0))
    return {
        "beta1": limits.BETA1_DEFAULT,
        "beta2": _BETA2.get(optimizer, limits.BETA2_DEFAULT),
        "epsilon": limits.EPSILON_DEFAULT,
        "momentum": momentum,
        "nesterov": optimizer is Optimizer.MUON and momentum != 0,
    }


def _unread(values: dict[str, Any]) -> set[str]:
    unread = {name for names in OWN_SETTINGS.values() for name in names} - OWN_SETTINGS[values["optimizer"]]
    return unread if values["schedule"] is Schedule.WARMUP_STABLE_DECAY else unread | {"decay_ratio"}


def micro_batch_of(batch_size: int, *, most: int) -> int:
    """Return the largest number of sequences, up to `most`, that divides the batch."""
    if batch_size <= most:
        return max(1, batch_size)
    return next(count for count in range(most, 0, -1) if batch_size % count == 0)


def fill_samples(draft: SamplesDraft, *, inputs: Inputs, steps: int) -> SamplesSpec:
    """Return when and from what text is drawn; of no steps, never."""
    return SamplesSpec(
        interval_steps=either(draft.interval_steps, tenth_of(steps) if steps else 0),
        prompt=inputs.opening if draft.prompt is None else draft.prompt,
        tokens=either(draft.tokens, limits.SAMPLE_TOKENS_DEFAULT),
    )


def fill_checkpoints(draft: CheckpointsDraft, *, stopping: EarlyStoppingSpec, steps: int) -> CheckpointsSpec:
    """Return when state is saved; the best one is published where training stops once it gets no better."""
    usual = min(max(tenth_of(steps), limits.CHECKPOINT_INTERVAL_MIN_DEFAULT), limits.CHECKPOINT_INTERVAL_MAX_DEFAULT)
    return CheckpointsSpec(
        interval_steps=either(draft.interval_steps, usual),
        publish_best=either(draft.publish_best, stopping.patience > 0),
    )


def fill_regularization(draft: RegularizationDraft) -> RegularizationSpec:
    """Return what keeps the model from learning by heart; nothing, unless it was asked for."""
    stopping = EarlyStoppingSpec(**given(draft.early_stopping))
    return RegularizationSpec(**{**given(draft), "early_stopping": stopping})


def fill_compute(draft: ComputeDraft) -> ComputeSpec:
    """Return how a step is computed."""
    return ComputeSpec(
        activation_checkpointing=either(draft.activation_checkpointing, False),
        compilation=draft.compilation or Compilation.AUTO,
    )


def fill_rows(draft: RowsDraft, *, inputs: Inputs, packing: bool = True) -> RowsSpec | None:
    """Return how rows become sequences; None where there are none. `packing` is what is done if nothing was asked."""
    if not inputs.has_rows:
        return None
    return RowsSpec(
        packing=either(draft.packing, packing),
        loss_on=draft.loss_on or LossOn.AUTO,
        chat_template=draft.chat_template,
        deduplicate=either(draft.deduplicate, True),
    )


def fill_mixture(draft: tuple[MixturePartDraft, ...], *, inputs: Inputs) -> tuple[MixturePart, ...]:
    """Return the further datasets under their full names, each with its weight."""
    parts = zip(draft, inputs.mixture, strict=True)
    return tuple(MixturePart(dataset=dataset.name, weight=either(part.weight, 1.0)) for part, dataset in parts)

"""From what a caller asks for to what is trained: every default filled in, every wrong field named.

`resolve` fills first and checks afterwards, so that one answer names everything that is wrong, with the values that
were meant, and says what would be right.
"""

import dataclasses
from typing import Any, TypeVar

from services.domain import limits
from services.domain.datasets import Dataset
from services.domain.errors import FieldViolation, InvalidField
from services.domain.names import did_you_mean
from services.domain.presets import DEFAULT_PRESET, PRESETS, Preset, feed_forward_width_for
from services.domain.spec_checks import violations_of
from services.domain.training import (
    Architecture,
    ArchitectureDraft,
    CheckpointsSpec,
    EvaluationSpec,
    OptimizationDraft,
    OptimizationSpec,
    Precision,
    SamplesSpec,
    TokenizerDraft,
    TokenizerKind,
    TokenizerSpec,
    TrainDraft,
    TrainSpec,
)

T = TypeVar("T")


def resolve(draft: TrainDraft, *, dataset: Dataset, opening: str, seed: int) -> TrainSpec:
    """Return the specification that is used. `opening` is the first words of the validation part.

    Raises: InvalidField with every wrong field.
    """
    preset = find_preset(draft.preset)
    spec = _filled(draft, preset=preset, dataset=dataset, opening=opening, seed=seed)
    violations = [*_draft_violations(draft), *violations_of(spec, draft=draft, dataset=dataset)]
    if violations:
        raise InvalidField.of_all(violations)
    return spec


def find_preset(name: str) -> Preset:
    """Return a preset, the default one for an empty name. Raises: InvalidField with the nearest name."""
    preset = PRESETS.get(name or DEFAULT_PRESET)
    if preset is None:
        known = ", ".join(PRESETS)
        raise InvalidField.of(
            "spec.preset", f"must be one of {known}, got {ascii(name[:80])}{did_you_mean(name, PRESETS)}"
        )
    return preset


def _filled(draft: TrainDraft, *, preset: Preset, dataset: Dataset, opening: str, seed: int) -> TrainSpec:
    steps = _or(draft.steps, preset.steps)
    tenth = max(1, steps // 10)
    architecture = _architecture(draft.architecture, preset=preset)
    tokenizer = _tokenizer(draft.tokenizer)
    return TrainSpec(
        dataset=dataset.name,
        preset=preset.name,
        architecture=architecture,
        tokenizer=tokenizer,
        steps=steps,
        seed=_or(draft.seed, seed),
        optimization=_optimization(draft.optimization, preset=preset, steps=steps),
        evaluation=EvaluationSpec(
            interval_steps=_or(draft.evaluation.interval_steps, tenth),
            sequences=_or(draft.evaluation.sequences, _evaluation_sequences(dataset, architecture, tokenizer)),
        ),
        samples=SamplesSpec(
            interval_steps=_or(draft.samples.interval_steps, tenth),
            prompt=_or(draft.samples.prompt, opening),
            tokens=_or(draft.samples.tokens, limits.SAMPLE_TOKENS_DEFAULT),
        ),
        checkpoints=CheckpointsSpec(interval_steps=_or(draft.checkpoints.interval_steps, _checkpoint_interval(tenth))),
        precision=draft.precision or Precision.AUTO,
        model=draft.model or f"{dataset.id}-{preset.name}",
    )


def _architecture(draft: ArchitectureDraft, *, preset: Preset) -> Architecture:
    given = _given(draft)
    heads = given.get("heads", preset.architecture.heads)
    width = given.get("width", preset.architecture.width)
    derived = {"key_value_heads": heads, "feed_forward_width": feed_forward_width_for(width)}
    return dataclasses.replace(preset.architecture, **{**derived, **given})


def _tokenizer(draft: TokenizerDraft) -> TokenizerSpec:
    if (draft.kind or TokenizerKind.BYTES) is TokenizerKind.BYTES:
        return TokenizerSpec()
    size = _or(draft.vocabulary_size, limits.BPE_VOCABULARY_SIZE_DEFAULT)
    return TokenizerSpec(kind=TokenizerKind.BPE, vocabulary_size=size)


def _optimization(draft: OptimizationDraft, *, preset: Preset, steps: int) -> OptimizationSpec:
    given = _given(draft)
    batch_size = given.get("batch_size", preset.batch_size)
    defaults = {
        "learning_rate": preset.learning_rate,
        "final_learning_rate_ratio": 0.1,
        "warmup_steps": min(limits.WARMUP_STEPS_MAX_DEFAULT, max(0, steps // 20)),
        "weight_decay": 0.1,
        "beta1": 0.9,
        "beta2": 0.95,
        "epsilon": 1e-8,
        "clip_norm": 1.0,
        "batch_size": batch_size,
        "micro_batch_size": batch_size,
    }
    return OptimizationSpec(**{**defaults, **given})


def _evaluation_sequences(dataset: Dataset, architecture: Architecture, tokenizer: TokenizerSpec) -> int:
    """Return the default, or all there are; how many tokens BPE makes of the text is known to the trainer only."""
    if tokenizer.kind is not TokenizerKind.BYTES or architecture.context_length < 1:
        return limits.EVALUATION_SEQUENCES_DEFAULT
    there_are = (dataset.split.validation_bytes - 1) // architecture.context_length
    return max(1, min(limits.EVALUATION_SEQUENCES_DEFAULT, there_are))


def _checkpoint_interval(tenth: int) -> int:
    return min(max(tenth, limits.CHECKPOINT_INTERVAL_MIN_DEFAULT), limits.CHECKPOINT_INTERVAL_MAX_DEFAULT)


def _draft_violations(draft: TrainDraft) -> list[FieldViolation]:
    """Name what would silently do nothing."""
    kind = draft.tokenizer.kind or TokenizerKind.BYTES
    if kind is TokenizerKind.BYTES and draft.tokenizer.vocabulary_size not in (None, limits.BYTE_VOCABULARY_SIZE):
        description = (
            f"must be left out for the byte tokenizer, which always has {limits.BYTE_VOCABULARY_SIZE} tokens, "
            f"got {draft.tokenizer.vocabulary_size}; set kind to TOKENIZER_KIND_BPE to choose a size"
        )
        return [FieldViolation("spec.tokenizer.vocabulary_size", description)]
    return []


def _given(draft: Any) -> dict[str, Any]:
    values = {field.name: getattr(draft, field.name) for field in dataclasses.fields(draft)}
    return {name: value for name, value in values.items() if value is not None}


def _or(value: T | None, default: T) -> T:
    return default if value is None else value

"""From what a caller asks for to what is trained: every default filled in, every wrong field named.

`resolve` and `resolve_fine_tune` fill first and check afterwards, so that one answer names everything that is wrong,
with the values that were meant, and says what would be right.
"""

import dataclasses

from services.domain import filling, limits
from services.domain.architecture import Architecture, ArchitectureDraft, TokenizerDraft, TokenizerKind, TokenizerSpec
from services.domain.errors import InvalidField
from services.domain.filling import either
from services.domain.fine_tuning import LORA_TARGETS, BaseModel, FineTuneDraft, FineTuneSpec, LoraDraft, LoraSpec
from services.domain.inputs import Inputs, is_text
from services.domain.method_rows import usable_rows
from services.domain.method_settings import fill_grpo, fill_preference, learning_rate_of
from services.domain.methods import OF_PREFERENCES, GrpoSpec, Method
from services.domain.names import did_you_mean
from services.domain.presets import DEFAULT_PRESET, PRESETS, Preset, feed_forward_width_for
from services.domain.run_settings import EvaluationSpec, Precision
from services.domain.spec_checks import fine_tune_violations, train_violations
from services.domain.training import TrainDraft, TrainSpec


def resolve(draft: TrainDraft, inputs: Inputs) -> TrainSpec:
    """Return the specification that is used. Raises: InvalidField with every wrong field."""
    preset = find_preset(draft.preset)
    spec = _filled(draft, preset=preset, inputs=inputs)
    violations = train_violations(spec, draft=draft, inputs=inputs)
    if violations:
        raise InvalidField.of_all(violations)
    return spec


def resolve_fine_tune(draft: FineTuneDraft, inputs: Inputs, *, base: str, model: str, found: BaseModel) -> FineTuneSpec:
    """Return the specification that is used; `base` is the full name of what it begins with, `model` its model's id.

    Raises: InvalidField with every wrong field.
    """
    spec = _tuned(draft, inputs, base=base, model=model, found=found)
    violations = fine_tune_violations(spec, draft=draft, inputs=inputs)
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


def _filled(draft: TrainDraft, *, preset: Preset, inputs: Inputs) -> TrainSpec:
    steps = either(draft.steps, preset.steps)
    architecture = _architecture(draft.architecture, preset=preset)
    tokenizer = _tokenizer(draft.tokenizer, inputs=inputs)
    regularization = filling.fill_regularization(draft.regularization)
    stopping = regularization.early_stopping
    return TrainSpec(
        dataset=inputs.dataset.name,
        mixture=filling.fill_mixture(draft.mixture, inputs=inputs),
        preset=preset.name,
        architecture=architecture,
        tokenizer=tokenizer,
        steps=steps,
        seed=either(draft.seed, inputs.seed),
        optimization=filling.fill_optimization(
            draft.optimization,
            learning_rate=preset.learning_rate,
            batch_size=preset.batch_size,
            micro_batch_size=preset.micro_batch_size,
            steps=steps,
        ),
        evaluation=EvaluationSpec(
            interval_steps=either(draft.evaluation.interval_steps, filling.tenth_of(steps)),
            sequences=either(draft.evaluation.sequences, _evaluation_sequences(inputs, architecture, tokenizer)),
        ),
        samples=filling.fill_samples(draft.samples, inputs=inputs, steps=steps),
        checkpoints=filling.fill_checkpoints(draft.checkpoints, stopping=stopping, steps=steps),
        precision=draft.precision or Precision.AUTO,
        model=draft.model or f"{inputs.dataset.id}-{preset.name}",
        rows=filling.fill_rows(draft.rows, inputs=inputs),
        regularization=regularization,
        compute=filling.fill_compute(draft.compute),
    )


def _architecture(draft: ArchitectureDraft, *, preset: Preset) -> Architecture:
    """Return the shape; what is not given follows from another width or number of heads, else from the preset."""
    given = filling.given(draft)
    derived: dict[str, int] = {}
    if "heads" in given:
        derived["key_value_heads"] = given["heads"]
    if "width" in given:
        derived["feed_forward_width"] = feed_forward_width_for(given["width"])
    return dataclasses.replace(preset.architecture, **{**derived, **given})


def _tokenizer(draft: TokenizerDraft, *, inputs: Inputs) -> TokenizerSpec:
    kind = draft.kind or TokenizerKind.BYTES
    if kind is TokenizerKind.BYTES:
        return TokenizerSpec()
    if kind is TokenizerKind.FILE:
        name = inputs.tokenizer.name if inputs.tokenizer else ""
        return TokenizerSpec(kind=kind, vocabulary_size=either(inputs.vocabulary_size, 0), dataset=name)
    return TokenizerSpec(kind=kind, vocabulary_size=either(draft.vocabulary_size, limits.BPE_VOCABULARY_SIZE_DEFAULT))


def _evaluation_sequences(inputs: Inputs, architecture: Architecture, tokenizer: TokenizerSpec) -> int:
    """Return the default, or all there are; how many tokens another tokenizer makes is known to the trainer only."""
    known = tokenizer.kind is TokenizerKind.BYTES and is_text(inputs.dataset) and not inputs.mixture
    if not known or architecture.context_length < 1:
        return limits.EVALUATION_SEQUENCES_DEFAULT
    there_are = (inputs.dataset.split.validation_bytes - 1) // architecture.context_length
    return max(1, min(limits.EVALUATION_SEQUENCES_DEFAULT, there_are))


def _tuned(draft: FineTuneDraft, inputs: Inputs, *, base: str, model: str, found: BaseModel) -> FineTuneSpec:
    steps = either(draft.steps, limits.FINE_TUNE_STEPS_DEFAULT)
    method = draft.method or Method.SFT
    grpo = fill_grpo(draft.grpo, method=method, reward_model=inputs.reward_model)
    longest = min(found.architecture.context_length, limits.FINE_TUNE_CONTEXT_LENGTH_MAX_DEFAULT)
    regularization = filling.fill_regularization(draft.regularization)
    stopping = regularization.early_stopping
    return FineTuneSpec(
        base=base,
        base_model=found,
        dataset=inputs.dataset.name,
        mixture=filling.fill_mixture(draft.mixture, inputs=inputs),
        lora=_lora(draft.lora) if draft.lora else None,
        steps=steps,
        seed=either(draft.seed, inputs.seed),
        optimization=filling.fill_optimization(
            draft.optimization,
            learning_rate=learning_rate_of(method, adapted=draft.lora is not None),
            batch_size=_batch_size(method, inputs, grpo=grpo),
            micro_batch_size=grpo.group_size if grpo else None,
            steps=steps,
        ),
        evaluation=EvaluationSpec(
            interval_steps=either(draft.evaluation.interval_steps, filling.tenth_of(steps)),
            sequences=either(draft.evaluation.sequences, limits.EVALUATION_SEQUENCES_DEFAULT),
        ),
        samples=filling.fill_samples(draft.samples, inputs=inputs, steps=0 if method is Method.REWARD else steps),
        checkpoints=filling.fill_checkpoints(draft.checkpoints, stopping=stopping, steps=steps),
        precision=draft.precision or Precision.AUTO,
        model=draft.model or model,
        context_length=either(draft.context_length, longest),
        rows=filling.fill_rows(draft.rows, inputs=inputs, packing=method is Method.SFT),
        regularization=regularization,
        compute=filling.fill_compute(draft.compute),
        method=method,
        preference=fill_preference(draft.preference, method=method),
        grpo=grpo,
    )


def _batch_size(method: Method, inputs: Inputs, *, grpo: GrpoSpec | None) -> int:
    """Return the default, or all rows there are: people judge fewer answers than there are texts.

    A batch of GRPO counts answers: as many groups as others have rows.
    """
    if grpo is not None:
        return min(limits.FINE_TUNE_BATCH_SIZE_DEFAULT * max(1, grpo.group_size), limits.BATCH_SIZE_MAX)
    if method not in OF_PREFERENCES:
        return limits.FINE_TUNE_BATCH_SIZE_DEFAULT
    return max(1, min(limits.FINE_TUNE_BATCH_SIZE_DEFAULT, usable_rows(inputs, method=method)))


def _lora(draft: LoraDraft) -> LoraSpec:
    rank = either(draft.rank, limits.LORA_RANK_DEFAULT)
    return LoraSpec(
        rank=rank,
        alpha=either(draft.alpha, 2.0 * rank),
        dropout=either(draft.dropout, 0.0),
        targets=draft.targets or LORA_TARGETS,
        rank_stabilized=either(draft.rank_stabilized, False),
    )

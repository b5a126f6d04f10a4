"""What a specification must be, and what would be right where it is not."""

import math
from collections.abc import Iterator, Mapping

from services.domain import limits
from services.domain.datasets import Dataset
from services.domain.errors import FieldViolation
from services.domain.names import CHOSEN_ID_RULE, is_chosen_id
from services.domain.training import Architecture, OptimizationSpec, TokenizerKind, TrainDraft, TrainSpec

_UNCHECKED = ("spec.architecture", "spec.optimization.batch_size", "spec.tokenizer")


def violations_of(spec: TrainSpec, *, draft: TrainDraft, dataset: Dataset) -> list[FieldViolation]:
    """Return every wrong field. What follows from several fields is only checked once each of them is right."""
    found = [
        *_architecture(spec.architecture),
        *_tokenizer(spec),
        *_optimization(spec.optimization, steps=spec.steps),
        *_run(spec),
        *_samples(spec),
    ]
    if not any(each.field.startswith(_UNCHECKED) for each in found):
        found += [*_size(spec), *_data(spec, draft=draft, dataset=dataset)]
    return found


def _architecture(shape: Architecture) -> Iterator[FieldViolation]:
    path = "spec.architecture"
    ranges = {
        "layers": (1, limits.LAYERS_MAX),
        "width": (limits.WIDTH_MIN, limits.WIDTH_MAX),
        "heads": (1, limits.HEADS_MAX),
        "key_value_heads": (1, limits.HEADS_MAX),
        "feed_forward_width": (limits.FEED_FORWARD_WIDTH_MIN, limits.FEED_FORWARD_WIDTH_MAX),
        "context_length": (limits.CONTEXT_LENGTH_MIN, limits.CONTEXT_LENGTH_MAX),
        "rotary_base": (limits.ROTARY_BASE_MIN, limits.ROTARY_BASE_MAX),
    }
    wrong = [*_outside(shape, path, ranges)]
    yield from wrong
    if not wrong:
        yield from _heads(shape, path)


def _heads(shape: Architecture, path: str) -> Iterator[FieldViolation]:
    """Each head needs an even share of the width, since rotary positions turn pairs of numbers."""
    if shape.width % (2 * shape.heads):
        share = f"{shape.width} / {shape.heads} = {shape.width / shape.heads:g}"
        right = ", ".join(map(str, _head_counts(shape.width, near=shape.heads)))
        advice = f"for this width choose {right}" if right else "choose an even width"
        yield FieldViolation(f"{path}.heads", f"must divide width into even numbers, but {share}; {advice}")
    if shape.heads % shape.key_value_heads:
        right = ", ".join(str(count) for count in range(1, shape.heads + 1) if shape.heads % count == 0)
        description = f"must divide heads = {shape.heads}, got {shape.key_value_heads}; choose one of {right}"
        yield FieldViolation(f"{path}.key_value_heads", description)


def _head_counts(width: int, *, near: int) -> list[int]:
    fitting = [count for count in range(1, limits.HEADS_MAX + 1) if width % (2 * count) == 0]
    return sorted(sorted(fitting, key=lambda count: abs(count - near))[:3])


def _tokenizer(spec: TrainSpec) -> Iterator[FieldViolation]:
    if spec.tokenizer.kind is TokenizerKind.BPE:
        sizes = (limits.BPE_VOCABULARY_SIZE_MIN, limits.BPE_VOCABULARY_SIZE_MAX)
        yield from _outside(spec.tokenizer, "spec.tokenizer", {"vocabulary_size": sizes})


def _optimization(spec: OptimizationSpec, *, steps: int) -> Iterator[FieldViolation]:
    path = "spec.optimization"
    ranges: dict[str, tuple[float, float]] = {
        "final_learning_rate_ratio": (0, 1),
        "warmup_steps": (0, max(steps, 0)),
        "weight_decay": (0, 1),
        "clip_norm": (0, math.inf),
        "batch_size": (1, limits.BATCH_SIZE_MAX),
    }
    wrong = [*_outside(spec, path, ranges)]
    yield from wrong
    if not 0 < spec.learning_rate <= limits.LEARNING_RATE_MAX:
        yield FieldViolation(f"{path}.learning_rate", f"must be above 0 and at most 1, got {spec.learning_rate}")
    if not 0 < spec.epsilon < math.inf:
        yield FieldViolation(f"{path}.epsilon", f"must be above 0, got {spec.epsilon}")
    for name, beta in (("beta1", spec.beta1), ("beta2", spec.beta2)):
        if not 0 <= beta < 1:
            yield FieldViolation(f"{path}.{name}", f"must be at least 0 and below 1, got {beta}")
    if not any(each.field.endswith(".batch_size") for each in wrong):
        yield from _micro_batch(spec, path)


def _micro_batch(spec: OptimizationSpec, path: str) -> Iterator[FieldViolation]:
    whole, part = spec.batch_size, spec.micro_batch_size
    if part < 1 or whole % part:
        smaller = max(count for count in range(1, max(1, min(part, whole)) + 1) if whole % count == 0)
        yield FieldViolation(
            f"{path}.micro_batch_size", f"must divide batch_size = {whole}, got {part}; {smaller} would be right"
        )


def _run(spec: TrainSpec) -> Iterator[FieldViolation]:
    yield from _outside(spec, "spec", {"steps": (1, limits.STEPS_MAX), "seed": (0, limits.SEED_MAX)})
    interval = (0, limits.STEPS_MAX)
    sequences = (1, limits.EVALUATION_SEQUENCES_MAX)
    yield from _outside(spec.evaluation, "spec.evaluation", {"interval_steps": interval, "sequences": sequences})
    yield from _outside(spec.checkpoints, "spec.checkpoints", {"interval_steps": (1, limits.STEPS_MAX)})
    if not is_chosen_id(spec.model):
        yield FieldViolation("spec.model", f"{CHOSEN_ID_RULE}, got {ascii(spec.model[:80])}")


def _samples(spec: TrainSpec) -> Iterator[FieldViolation]:
    path = "spec.samples"
    ranges = {"interval_steps": (0, limits.STEPS_MAX), "tokens": (1, limits.SAMPLE_TOKENS_MAX)}
    yield from _outside(spec.samples, path, ranges)
    prompt = spec.samples.prompt
    if len(prompt) > limits.SAMPLE_PROMPT_CHARACTERS_MAX:
        most = limits.SAMPLE_PROMPT_CHARACTERS_MAX
        yield FieldViolation(f"{path}.prompt", f"must be at most {most} characters, got {len(prompt)}")
    if "\x00" in prompt:
        yield FieldViolation(f"{path}.prompt", f"must not hold a NUL character, got one at {prompt.index(chr(0))}")


def _size(spec: TrainSpec) -> Iterator[FieldViolation]:
    if spec.parameters > limits.PARAMETERS_MAX:
        description = (
            f"make a model of {spec.parameters:,} parameters, and the most is {limits.PARAMETERS_MAX:,}; "
            "lower layers, width, feed_forward_width or the vocabulary"
        )
        yield FieldViolation("spec.architecture", description)
    if spec.tokens_per_step > limits.TOKENS_PER_STEP_MAX:
        description = (
            f"{spec.optimization.batch_size} sequences of {spec.architecture.context_length} tokens are "
            f"{spec.tokens_per_step:,} tokens a step, and the most is {limits.TOKENS_PER_STEP_MAX:,}"
        )
        yield FieldViolation("spec.optimization.batch_size", description)


def _data(spec: TrainSpec, *, draft: TrainDraft, dataset: Dataset) -> Iterator[FieldViolation]:
    """A token is at least one byte, so text that is too short in bytes is too short in tokens of any kind."""
    context, batch = spec.architecture.context_length, spec.optimization.batch_size
    train, validation = dataset.split.train_bytes, dataset.split.validation_bytes
    if train < batch * context + 1:
        needed = f"one batch of {batch} sequences of {context} tokens needs {batch * context + 1:,}"
        advice = "upload more text, or lower optimization.batch_size or architecture.context_length"
        yield FieldViolation("spec.dataset", f"has {train:,} bytes to train on, and {needed}; {advice}")
    if validation < context + 1:
        needed = f"one sequence of {context} tokens needs {context + 1:,}"
        advice = "upload more text, hold out a larger part, or lower architecture.context_length"
        yield FieldViolation("spec.dataset", f"has {validation:,} bytes to validate on, and {needed}; {advice}")
    elif spec.tokenizer.kind is TokenizerKind.BYTES and (asked := draft.evaluation.sequences):
        there_are = (validation - 1) // context
        if asked > there_are:
            description = (
                f"must be at most {there_are}, the sequences of {context} tokens in the validation part, got {asked}"
            )
            yield FieldViolation("spec.evaluation.sequences", description)


def _outside(of: object, path: str, ranges: Mapping[str, tuple[float, float]]) -> Iterator[FieldViolation]:
    """Name the fields outside their range, ends included; what is not a number is outside every range."""
    for name, (least, most) in ranges.items():
        value = getattr(of, name)
        if not (least <= value <= most and math.isfinite(value)):
            description = (
                f"must be {least} to {most}" if math.isfinite(most) else f"must be at least {least} and finite"
            )
            yield FieldViolation(f"{path}.{name}", f"{description}, got {value}")

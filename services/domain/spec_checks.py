"""What a specification must be, and what would be right where it is not."""

from collections.abc import Iterator

from services.domain import limits
from services.domain.architecture import Architecture, TokenizerDraft, TokenizerKind
from services.domain.data_checks import data_violations, mixture_violations, rows_violations, text_violations
from services.domain.datasets import DatasetFormat
from services.domain.errors import FieldViolation
from services.domain.fine_tuning import LORA_TARGETS, FineTuneDraft, FineTuneSpec, LoraSpec
from services.domain.inputs import Inputs
from services.domain.method_rows import count_violations, kind_violations
from services.domain.method_settings import method_violations
from services.domain.methods import NEEDING_VALIDATION
from services.domain.names import CHOSEN_ID_RULE, did_you_mean, is_chosen_id
from services.domain.optimization_checks import optimization_violations
from services.domain.ranges import outside
from services.domain.run_checks import run_violations
from services.domain.training import TrainDraft, TrainSpec

_PEFT_NAMES = {
    "q_proj": "query",
    "k_proj": "key",
    "v_proj": "value",
    "o_proj": "out",
    "gate_proj": "gate",
    "up_proj": "up",
    "down_proj": "down",
}


def train_violations(spec: TrainSpec, *, draft: TrainDraft, inputs: Inputs) -> list[FieldViolation]:
    """Return every wrong field. What follows from several fields is only checked once each of them is right."""
    shape = [*_architecture(spec.architecture)]
    tokenizer = [*_tokenizer(draft.tokenizer, spec=spec, inputs=inputs)]
    optimization = [*optimization_violations(spec.optimization, draft=draft.optimization, steps=spec.steps)]
    found = [*shape, *tokenizer, *optimization, *_shared(spec, draft=draft, inputs=inputs)]
    data = [*data_violations(inputs), *kind_violations(inputs, method=None)]
    if not shape and not tokenizer:
        found += _size(spec)
    if not shape and not data and spec.optimization.batch_size >= 1:
        found += _tokens_per_step(spec, context_length=spec.architecture.context_length)
        bytes_as_tokens = spec.tokenizer.kind is TokenizerKind.BYTES
        asked = draft.evaluation.sequences if bytes_as_tokens else None
        data += text_violations(
            inputs,
            context_length=spec.architecture.context_length,
            context_field="architecture.context_length",
            batch_size=spec.optimization.batch_size,
            sequences=asked,
        )
    return found + data


def fine_tune_violations(spec: FineTuneSpec, *, draft: FineTuneDraft, inputs: Inputs) -> list[FieldViolation]:
    """Return every wrong field."""
    found = [
        *optimization_violations(spec.optimization, draft=draft.optimization, steps=spec.steps),
        *_shared(spec, draft=draft, inputs=inputs),
        *(_lora(spec.lora) if spec.lora else ()),
        *method_violations(spec, draft=draft),
    ]
    context = [*_context(spec)]
    data = [*data_violations(inputs), *kind_violations(inputs, method=spec.method)]
    if not context and not data and spec.optimization.batch_size >= 1:
        found += _tokens_per_step(spec, context_length=spec.context_length)
        data += text_violations(
            inputs,
            context_length=spec.context_length,
            context_field="context_length",
            batch_size=spec.optimization.batch_size,
            sequences=None,
            needs_validation=spec.method in NEEDING_VALIDATION,
        )
        found += _rows_of_method(spec, inputs=inputs)
    return found + context + data


def _rows_of_method(spec: FineTuneSpec, *, inputs: Inputs) -> Iterator[FieldViolation]:
    patience = spec.regularization.early_stopping.patience
    batch_size = spec.optimization.batch_size
    yield from count_violations(inputs, method=spec.method, batch_size=batch_size, patience=patience)


def _shared(
    spec: TrainSpec | FineTuneSpec, *, draft: TrainDraft | FineTuneDraft, inputs: Inputs
) -> Iterator[FieldViolation]:
    """What pretraining and fine-tuning have in common."""
    yield from run_violations(spec, draft=draft, inputs=inputs)
    yield from mixture_violations(spec.mixture, inputs=inputs)
    yield from rows_violations(draft.rows, inputs=inputs)
    if not is_chosen_id(spec.model):
        yield FieldViolation("spec.model", f"{CHOSEN_ID_RULE}, got {ascii(spec.model[:80])}")


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
    wrong = [*outside(shape, path, ranges)]
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


def _tokenizer(draft: TokenizerDraft, *, spec: TrainSpec, inputs: Inputs) -> Iterator[FieldViolation]:
    path = "spec.tokenizer"
    kind, size = spec.tokenizer.kind, draft.vocabulary_size
    if kind is TokenizerKind.BPE:
        sizes = (limits.BPE_VOCABULARY_SIZE_MIN, limits.BPE_VOCABULARY_SIZE_MAX)
        yield from outside(spec.tokenizer, path, {"vocabulary_size": sizes})
    if kind is TokenizerKind.FILE:
        yield from _tokenizer_file(draft, spec=spec, inputs=inputs)
    elif draft.dataset:
        description = f"must be left out unless kind is TOKENIZER_KIND_FILE, and it is TOKENIZER_KIND_{kind.name}"
        yield FieldViolation(f"{path}.dataset", description)
    if kind is TokenizerKind.BYTES and size not in (None, limits.BYTE_VOCABULARY_SIZE):
        description = (
            f"must be left out for the byte tokenizer, which always has {limits.BYTE_VOCABULARY_SIZE} tokens, "
            f"got {size}; set kind to TOKENIZER_KIND_BPE to choose a size"
        )
        yield FieldViolation(f"{path}.vocabulary_size", description)


def _tokenizer_file(draft: TokenizerDraft, *, spec: TrainSpec, inputs: Inputs) -> Iterator[FieldViolation]:
    path, there_are = "spec.tokenizer", inputs.vocabulary_size
    if inputs.tokenizer is None:
        yield FieldViolation(f"{path}.dataset", "is required for TOKENIZER_KIND_FILE: the dataset that holds the file")
    elif inputs.tokenizer.format is not DatasetFormat.TOKENIZER:
        word = inputs.tokenizer.format.name
        description = f"must be of DATASET_FORMAT_TOKENIZER, and {inputs.tokenizer.name} is of DATASET_FORMAT_{word}"
        yield FieldViolation(f"{path}.dataset", f"{description}; upload the tokenizer.json in that format")
    elif there_are is None:
        yield FieldViolation(f"{path}.dataset", f"{inputs.tokenizer.name} is no tokenizer.json with a vocabulary")
    elif draft.vocabulary_size not in (None, there_are):
        description = f"must be left out for a file, which has {there_are} tokens, got {draft.vocabulary_size}"
        yield FieldViolation(f"{path}.vocabulary_size", description)


def _size(spec: TrainSpec) -> Iterator[FieldViolation]:
    if spec.parameters > limits.PARAMETERS_MAX:
        description = (
            f"make a model of {spec.parameters:,} parameters, and the most is {limits.PARAMETERS_MAX:,}; "
            "lower layers, width, feed_forward_width or the vocabulary"
        )
        yield FieldViolation("spec.architecture", description)


def _tokens_per_step(spec: TrainSpec | FineTuneSpec, *, context_length: int) -> Iterator[FieldViolation]:
    if spec.optimization.batch_size <= limits.BATCH_SIZE_MAX and spec.tokens_per_step > limits.TOKENS_PER_STEP_MAX:
        description = (
            f"{spec.optimization.batch_size} sequences of {context_length} tokens are "
            f"{spec.tokens_per_step:,} tokens a step, and the most is {limits.TOKENS_PER_STEP_MAX:,}"
        )
        yield FieldViolation("spec.optimization.batch_size", description)


def _context(spec: FineTuneSpec) -> Iterator[FieldViolation]:
    most = spec.base_model.architecture.context_length
    if not limits.CONTEXT_LENGTH_MIN <= spec.context_length <= most:
        description = (
            f"must be {limits.CONTEXT_LENGTH_MIN} to {most}, the context of the base, got {spec.context_length}"
        )
        yield FieldViolation("spec.context_length", description)


def _lora(lora: LoraSpec) -> Iterator[FieldViolation]:
    path = "spec.lora"
    yield from outside(lora, path, {"rank": (1, limits.LORA_RANK_MAX)})
    if 1 <= lora.rank <= limits.LORA_RANK_MAX and not 0 < lora.alpha <= limits.LORA_ALPHA_MAX:
        description = f"must be above 0 and at most {limits.LORA_ALPHA_MAX:g}, got {lora.alpha}"
        yield FieldViolation(f"{path}.alpha", description)
    if not 0 <= lora.dropout < 1:
        yield FieldViolation(f"{path}.dropout", f"must be at least 0 and below 1, got {lora.dropout}")
    known = ", ".join(LORA_TARGETS)
    for index, target in enumerate(lora.targets):
        if target not in LORA_TARGETS:
            hint = f"; did you mean {_PEFT_NAMES[target]!r}?" if target in _PEFT_NAMES else ""
            hint = hint or did_you_mean(target, LORA_TARGETS)
            yield FieldViolation(f"{path}.targets[{index}]", f"must be one of {known}, got {ascii(target[:80])}{hint}")
        elif target in lora.targets[:index]:
            yield FieldViolation(f"{path}.targets[{index}]", f"names {target!r} a second time")

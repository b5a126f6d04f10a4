"""Which datasets can be trained on, in which mixture, as which rows, and whether there is enough of them."""

from collections.abc import Iterator

from services.domain import limits
from services.domain.datasets import TRAINABLE, Dataset, DatasetFormat, RowKind
from services.domain.errors import FieldViolation
from services.domain.inputs import Inputs, is_text
from services.domain.method_rows import NAMES
from services.domain.run_settings import LossOn, MixturePart, RowsDraft

_WAYS_OUT = {
    DatasetFormat.MODEL_FILES: "holds the files of a model: import it with ImportModel, and fine-tune what comes out",
    DatasetFormat.TOKENIZER: "holds a tokenizer: name it in tokenizer.dataset, and train on a dataset of text or rows",
}


def data_violations(inputs: Inputs) -> Iterator[FieldViolation]:
    """Name the datasets that hold nothing to train on."""
    for path, dataset in inputs.paths():
        if dataset.format not in TRAINABLE:
            yield FieldViolation(path, f"{dataset.name} {_WAYS_OUT[dataset.format]}")


def mixture_violations(mixture: tuple[MixturePart, ...], *, inputs: Inputs) -> Iterator[FieldViolation]:
    """Name the parts that cannot be mixed."""
    if len(mixture) > limits.MIXTURE_PARTS_MAX:
        description = f"must have at most {limits.MIXTURE_PARTS_MAX} datasets beside the first, got {len(mixture)}"
        yield FieldViolation("spec.mixture", description)
    seen = [inputs.dataset.name]
    for index, part in enumerate(mixture):
        path = f"spec.mixture[{index}]"
        if not 0 < part.weight <= limits.MIXTURE_WEIGHT_MAX:
            description = f"must be above 0 and at most {limits.MIXTURE_WEIGHT_MAX:g}, got {part.weight}"
            yield FieldViolation(f"{path}.weight", description)
        if part.dataset in seen:
            yield FieldViolation(f"{path}.dataset", f"names {part.dataset} a second time; give it one larger weight")
        seen.append(part.dataset)


def rows_violations(draft: RowsDraft, *, inputs: Inputs) -> Iterator[FieldViolation]:
    """Name what rows cannot be, and what would do nothing with the rows that there are."""
    path, template = "spec.rows", draft.chat_template
    if not inputs.has_rows:
        for name in ("packing", "loss_on", "chat_template", "deduplicate"):
            if getattr(draft, name) is not None:
                yield FieldViolation(f"{path}.{name}", "must be left out: plain text is one long row")
        return
    kinds = {dataset.row_kind for dataset in inputs.datasets if dataset.row_kind}
    if template is not None and not 1 <= len(template) <= limits.CHAT_TEMPLATE_CHARACTERS_MAX:
        description = f"must be 1 to {limits.CHAT_TEMPLATE_CHARACTERS_MAX} characters, got {len(template)}"
        yield FieldViolation(f"{path}.chat_template", description)
    if template is not None and kinds <= {RowKind.TEXT, RowKind.PROMPT_COMPLETION}:
        yield FieldViolation(f"{path}.chat_template", f"renders `messages`, and the rows are {_words(kinds)}")
    if draft.loss_on is LossOn.COMPLETION and kinds <= {RowKind.TEXT}:
        yield FieldViolation(f"{path}.loss_on", "there is no completion in rows of `text`; leave it out")


def text_violations(
    inputs: Inputs,
    *,
    context_length: int,
    context_field: str,
    batch_size: int,
    sequences: int | None,
    needs_validation: bool = True,
) -> Iterator[FieldViolation]:
    """Count the text: a token is at least one byte, so what is too short in bytes is too short in tokens of any kind.

    `sequences` is how many were asked for in an evaluation, if there must be as many. Of rows, some must be held out
    where the run `needs_validation`.
    """
    for path, dataset in inputs.paths():
        if not is_text(dataset):
            yield from _too_few_rows(path, dataset, needs_validation=needs_validation)
            continue
        rows = 1 if inputs.mixture else batch_size
        yield from _too_short(path, dataset, context=context_length, field=context_field, batch=rows)
    first = inputs.dataset
    if not is_text(first) or inputs.mixture:
        return
    validation = first.split.validation_bytes
    if validation < context_length + 1:
        needed = f"one sequence of {context_length} tokens needs {context_length + 1:,}"
        advice = f"upload more text, hold out a larger part, or lower {context_field}"
        yield FieldViolation("spec.dataset", f"has {validation:,} bytes to validate on, and {needed}; {advice}")
    elif sequences is not None and sequences > (there_are := (validation - 1) // context_length):
        description = f"must be at most {there_are}, the sequences of {context_length} tokens in the validation part"
        yield FieldViolation("spec.evaluation.sequences", f"{description}, got {sequences}")


def _too_short(path: str, dataset: Dataset, *, context: int, field: str, batch: int) -> Iterator[FieldViolation]:
    train = dataset.split.train_bytes
    if train < batch * context + 1:
        wanted = f"batch of {batch} sequences" if batch > 1 else "sequence"
        needed = f"one {wanted} of {context} tokens needs {batch * context + 1:,}"
        advice = f"upload more text, or lower optimization.batch_size or {field}"
        yield FieldViolation(path, f"has {train:,} bytes to train on, and {needed}; {advice}")


def _too_few_rows(path: str, dataset: Dataset, *, needs_validation: bool) -> Iterator[FieldViolation]:
    if dataset.split.train_rows < 1:
        yield FieldViolation(path, "has no rows to train on; upload more rows, or hold out a smaller part")
    elif needs_validation and path == "spec.dataset" and dataset.split.validation_rows < 1:
        yield FieldViolation(path, "has no rows to validate on; upload more rows, or hold out a larger part")


def _words(kinds: set[RowKind]) -> str:
    return " and ".join(sorted(NAMES[kind] for kind in kinds))

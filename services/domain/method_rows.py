"""Which method learns from which rows, and what to say where a dataset has none of them."""

from collections.abc import Iterator, Mapping

from services.domain.counting import counted
from services.domain.datasets import TRAINABLE, Dataset, RowKind, SignalCounts
from services.domain.errors import FieldViolation
from services.domain.inputs import Inputs, is_text
from services.domain.methods import OF_PAIRS, OF_PREFERENCES, Method

EXAMPLES = frozenset([RowKind.TEXT, RowKind.PROMPT_COMPLETION, RowKind.MESSAGES])
"""Rows whose next token is learnt."""

NAMES: Mapping[RowKind, str] = {
    RowKind.TEXT: "texts",
    RowKind.PROMPT_COMPLETION: "prompts and completions",
    RowKind.MESSAGES: "conversations",
    RowKind.PROMPT: "prompts",
    RowKind.PREFERENCE: "pairs of a chosen and a rejected answer",
    RowKind.LABELLED: "labelled answers",
    RowKind.FEEDBACK: "feedback",
    RowKind.CHECKS: "prompts with checks",
}


def rows_of(method: Method | None) -> frozenset[RowKind]:
    """Return the rows that a method learns from; None is pretraining."""
    if method is None:
        return EXAMPLES
    if method is Method.SFT:
        return EXAMPLES | {RowKind.FEEDBACK}
    if method is Method.GRPO:
        return frozenset(RowKind) - {RowKind.TEXT}
    return frozenset([RowKind.LABELLED if method is Method.KTO else RowKind.PREFERENCE, RowKind.FEEDBACK])


def kind_violations(inputs: Inputs, *, method: Method | None) -> Iterator[FieldViolation]:
    """Name the datasets that hold nothing for the method, with what they hold instead. None is pretraining."""
    for path, dataset in inputs.paths():
        if dataset.format in TRAINABLE and not _usable(dataset, method):
            learner = f"METHOD_{method.name}" if method else "pretraining"
            description = f"holds {held(dataset)}, and {learner} learns from {_wanted(method)}"
            yield FieldViolation(path, f"{description}{_instead(dataset, method)}")


def usable_rows(inputs: Inputs, *, method: Method) -> int:
    """Return how many rows of all datasets the method could learn from; of rows that occur again each one."""
    return sum(_of(dataset, method, dataset.split.train_rows, _train_signals(dataset)) for dataset in inputs.datasets)


def held_out_rows(inputs: Inputs, *, method: Method) -> int:
    """Return how many rows of all datasets are kept to measure the method on."""
    signals = [each.row_statistics.validation_signals if each.row_statistics else None for each in inputs.datasets]
    counted_rows = zip(inputs.datasets, signals, strict=True)
    return sum(_of(each, method, each.split.validation_rows, found or SignalCounts()) for each, found in counted_rows)


def count_violations(inputs: Inputs, *, method: Method, batch_size: int, patience: int) -> Iterator[FieldViolation]:
    """Name the batch that is larger than all that there is to learn from, and a wait for what is never measured."""
    if method is Method.SFT:
        return
    there_are = usable_rows(inputs, method=method)
    if method in OF_PREFERENCES and there_are < batch_size:
        description = (
            f"must be at most {there_are}, the rows that METHOD_{method.name} can learn from, got {batch_size}"
        )
        yield FieldViolation("spec.optimization.batch_size", description)
    if patience > 0 and not held_out_rows(inputs, method=method):
        description = f"needs rows to validate on, and METHOD_{method.name} has none; hold some out"
        yield FieldViolation("spec.regularization.early_stopping.patience", description)


def held(dataset: Dataset) -> str:
    """Return in words what there is to train on in a dataset, with the counts of each kind."""
    statistics = dataset.row_statistics
    if statistics is None:
        return "plain text"
    if statistics.kind is RowKind.FEEDBACK:
        counts = _train_signals(dataset)
        parts = [counted(getattr(counts, f"{noun}s"), noun) for noun in ("pair", "label", "example")]
        return f"{parts[0]}, {parts[1]} and {parts[2]} to train on"
    return f"{counted(dataset.split.train_rows, 'row')} of {NAMES[statistics.kind]} to train on"


def _usable(dataset: Dataset, method: Method | None) -> bool:
    if is_text(dataset):
        return method in (None, Method.SFT)
    statistics = dataset.row_statistics
    if statistics is None or statistics.kind not in rows_of(method):
        return False
    return statistics.kind is not RowKind.FEEDBACK or _of_feedback(_train_signals(dataset), method) > 0


def _of(dataset: Dataset, method: Method, rows: int, signals: SignalCounts) -> int:
    """Return how many of the rows of a part the method learns from."""
    if dataset.row_kind not in rows_of(method):
        return 0
    return _of_feedback(signals, method) if dataset.row_kind is RowKind.FEEDBACK else rows


def _train_signals(dataset: Dataset) -> SignalCounts:
    return (dataset.row_statistics.train_signals if dataset.row_statistics else None) or SignalCounts()


def _of_feedback(counts: SignalCounts, method: Method | None) -> int:
    """Return how many rows of a feedback set the method learns from."""
    if method in OF_PAIRS:
        return counts.pairs
    if method is Method.KTO:
        return counts.labels
    return counts.examples if method is Method.SFT else counts.rows


def _wanted(method: Method | None) -> str:
    if method in OF_PAIRS:
        return "pairs: rows with `prompt`, `chosen` and `rejected`, or a feedback set that has pairs"
    if method is Method.KTO:
        return "labelled answers: rows with `prompt`, `completion` and `label`, or a feedback set that has labels"
    if method is Method.GRPO:
        return "prompts: rows with `prompt`, or with `messages`"
    return "rows with `text`, with `prompt` and `completion`, or with `messages`"


def _instead(dataset: Dataset, method: Method | None) -> str:
    """Return the methods that could learn from the dataset, as far as there are any."""
    fitting = [f"METHOD_{each.name}" for each in Method if each is not method and _usable(dataset, each)]
    return f"; it is for {', '.join(fitting)}" if fitting else ""

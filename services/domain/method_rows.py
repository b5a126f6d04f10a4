"""Which method learns from which rows, and what to say where a dataset has none of them."""

from collections.abc import Iterator, Mapping

from services.domain.counting import counted
from services.domain.datasets import TRAINABLE, Dataset, RowKind, RowStatistics, SignalCounts
from services.domain.errors import FieldViolation
from services.domain.inputs import Inputs, is_text
from services.domain.methods import OF_PAIRS, Method

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


def held(dataset: Dataset) -> str:
    """Return in words what there is to train on in a dataset, with the counts of each kind."""
    statistics = dataset.row_statistics
    if statistics is None:
        return "plain text"
    if statistics.kind is RowKind.FEEDBACK:
        counts = statistics.train_signals or SignalCounts()
        parts = [counted(getattr(counts, f"{noun}s"), noun) for noun in ("pair", "label", "example")]
        return f"{parts[0]}, {parts[1]} and {parts[2]} to train on"
    return f"{counted(dataset.split.train_rows, 'row')} of {NAMES[statistics.kind]} to train on"


def _usable(dataset: Dataset, method: Method | None) -> bool:
    if is_text(dataset):
        return method in (None, Method.SFT)
    statistics = dataset.row_statistics
    if statistics is None or statistics.kind not in rows_of(method):
        return False
    return statistics.kind is not RowKind.FEEDBACK or _of_feedback(statistics, method) > 0


def _of_feedback(statistics: RowStatistics, method: Method | None) -> int:
    """Return how many rows of a feedback set the method learns from."""
    counts = statistics.train_signals or SignalCounts()
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

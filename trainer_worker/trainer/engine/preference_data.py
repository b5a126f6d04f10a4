"""From the datasets of an assignment to prompts with answers that are ready to be learnt from."""

import contextlib
import dataclasses
import itertools
import pathlib
from collections.abc import Generator, Iterator, Sequence

import numpy as np

from artifacts import Store
from trainer_worker.trainer.engine.answers import AnswerRows, Layout, Lesson
from trainer_worker.trainer.engine.chat import CHATML
from trainer_worker.trainer.engine.errors import UnusableData
from trainer_worker.trainer.engine.mixture import Mixture
from trainer_worker.trainer.engine.order import shuffled
from trainer_worker.trainer.engine.preference_rows import (
    AnswerEncoder,
    Count,
    Gathered,
    Judged,
    Wanted,
    read_judged,
    with_strange_answers,
)
from trainer_worker.trainer.engine.samples import Decode, Origin, evenly, excerpt
from trainer_worker.trainer.engine.text import fetch_file
from trainer_worker.trainer.engine.tokenizers import Tokenizer
from trainer_worker.trainer.engine.training_data import Remark, require_rows, training_spec
from tutelage.v1 import training_pb2
from tutelage_internal.v1 import workers_pb2

ROWS_AT_ONCE = 500
ROWS_NAMED_MAX = 5
NAMES = {"pair": "pairs of a chosen and a rejected answer", "label": "labelled answers", "example": "examples"}


class AnswerSamples:
    """Rows of prompts and answers, of which a batch is a `Lesson`: the counterpart of sequences."""

    def __init__(
        self, rows: AnswerRows, *, context_length: int, layout: Layout, dataset: str = "", decode: Decode | None = None
    ) -> None:
        self.rows, self.context_length, self.layout = rows, context_length, layout
        self.count, self.tokens = len(rows), len(rows.tokens)
        self._dataset, self._decode = dataset, decode

    def read(self, indices: np.ndarray) -> Lesson:
        return Lesson(self.rows, indices, self.layout)

    def order(self, samples: np.ndarray, *, seed: int) -> np.ndarray:
        return shuffled(samples, count=self.count, seed=seed)

    def spread(self, sequences: int) -> np.ndarray:
        return evenly(self.count, sequences)

    def origin(self, index: int, place: int) -> Origin:
        words = excerpt(np.concatenate(self.rows.segments(index)), self._decode)
        return Origin(self._dataset, row=int(self.rows.numbers[index]), token=place, excerpt=words)


class MixedAnswers(Mixture):
    """Rows of several datasets, each with its share."""

    def __init__(self, parts: Sequence[AnswerSamples], weights: Sequence[float]) -> None:
        super().__init__(parts, weights)
        self.rows, self.layout = joined([part.rows for part in parts]), parts[0].layout

    def read(self, indices: np.ndarray) -> Lesson:  # type: ignore[override]
        return Lesson(self.rows, indices, self.layout)


Answered = AnswerSamples | MixedAnswers


def joined(rows: Sequence[AnswerRows]) -> AnswerRows:
    """The rows of all, one after the other."""
    before = np.cumsum([0, *(len(one.tokens) for one in rows)])
    begins = [one.begins[:-1] + first for one, first in zip(rows, before, strict=False)]
    return AnswerRows(
        tokens=np.concatenate([one.tokens for one in rows]),
        begins=np.concatenate([*begins, before[-1:]]),
        numbers=np.concatenate([one.numbers for one in rows]),
        weights=np.concatenate([one.weights for one in rows]),
        labels=np.concatenate([one.labels for one in rows]),
        answers=rows[0].answers,
    )


@dataclasses.dataclass(frozen=True)
class Purpose:
    """What rows are read for: the kind that the method takes, and how answers are laid out for it."""

    wanted: Wanted
    layout: Layout
    strange_answers: bool = False


def prepare_answers(
    assignment: workers_pb2.Assignment,
    purpose: Purpose,
    *,
    tokenizer: Tokenizer,
    context_length: int,
    store: Store,
    scratch: pathlib.Path,
) -> Generator[Remark | None, None, tuple[Answered, Answered, str]]:
    """Fetches, checks and tokenises the datasets of an assignment.

    Yields None as a sign of life, and remarks to be told. Returns the rows to train on, those to evaluate on, and an
    opening for samples. The template of conversations becomes that of the tokenizer, and so of the model that is tuned.
    Raises: UnusableData if a dataset is damaged, or has no row for the method, or not enough for a batch.
    """
    spec = training_spec(assignment)
    prepared: list[tuple[AnswerSamples, AnswerSamples]] = []
    weights: list[float] = []
    opening = ""
    for part in (assignment.dataset, *assignment.mixture):
        yield None
        reading = Reading(part, spec.rows, purpose, tokenizer, context_length)
        both = yield from reading.parts(store=store, scratch=scratch)
        prepared.append((reading.samples(both[0]), reading.samples(both[1])))
        weights.append(part.weight or 1.0)
        opening = opening or both[1].opening or both[0].opening
    weights[0] = 1.0
    training, validation = (blended([both[side] for both in prepared], weights) for side in (0, 1))
    if training.count < spec.optimization.batch_size:
        message = f"the training part has {training.count} {NAMES[purpose.wanted]}"
        raise UnusableData(f"{message}, and one batch needs {spec.optimization.batch_size}")
    return training, validation, opening


def blended(parts: Sequence[AnswerSamples], weights: Sequence[float]) -> Answered:
    there = [(part, weight) for part, weight in zip(parts, weights, strict=True) if part.count]
    if len(there) < 2:
        return there[0][0] if there else parts[0]
    return MixedAnswers([part for part, _ in there], [weight for _, weight in there])


@dataclasses.dataclass(frozen=True)
class Reading:
    """One dataset, on its way to tokens."""

    part: workers_pb2.DatasetArtifact
    spec: training_pb2.RowsSpec
    purpose: Purpose
    tokenizer: Tokenizer
    context_length: int

    def parts(
        self, *, store: Store, scratch: pathlib.Path
    ) -> Generator[Remark | None, None, tuple[Gathered, Gathered]]:
        """The training and the validation part. Raises: UnusableData."""
        require_rows(self.part)
        key, sha256, size = self.part.key, self.part.sha256, self.part.size_bytes
        path = fetch_file(store, key=key, sha256=sha256, size_bytes=size, scratch=scratch)
        template = self.spec.chat_template or self.tokenizer.chat_template
        found: Count = {}
        both = Gathered(self.context_length), Gathered(self.context_length)
        with contextlib.closing(AnswerEncoder(self.tokenizer, None if template == CHATML else template)) as encoder:
            rows = self.rows(path, found, both)
            while chunk := list(itertools.islice(rows, ROWS_AT_ONCE)):
                for row, segments in zip(chunk, encoder.encode(chunk), strict=True):
                    both[row.number > self.part.train_rows].add(row, segments)
                if any(not isinstance(row.prompt, str) for row in chunk):
                    self.tokenizer.chat_template = template or CHATML
                yield None
        self.require_some(both[0], found)
        yield from self.remarks(both[0], found)
        return both

    def rows(self, path: pathlib.Path, found: Count, both: tuple[Gathered, Gathered]) -> Iterator[Judged]:
        """Those of the kind that is wanted, but for any that occurred before."""
        seen: set[bytes] = set()
        settled = self.spec.deduplicate if self.spec.HasField("deduplicate") else True
        kind, wanted = self.part.row_kind, self.purpose.wanted
        for row in read_judged(path, format=self.part.format, kind=kind, wanted=wanted, found=found):
            if row is None:
                continue
            if settled and (identity := row.identity()) in seen:
                both[row.number > self.part.train_rows].duplicates += 1
                continue
            if settled:
                seen.add(identity)
            yield row

    def samples(self, part: Gathered) -> AnswerSamples:
        rows = part.finished(answers=2 if self.purpose.wanted == "pair" else 1)
        if self.purpose.strange_answers:
            rows = with_strange_answers(rows, context_length=self.context_length)
        decode = self.tokenizer.decode
        return AnswerSamples(
            rows,
            context_length=self.context_length,
            layout=self.purpose.layout,
            dataset=self.part.name,
            decode=decode,
        )

    def require_some(self, training: Gathered, found: Count) -> None:
        if training.rows:
            return
        name = self.part.name or "the dataset"
        counts = ", ".join(f"{count:,} {NAMES[kind]}" for kind, count in sorted(found.items())) or "no rows"
        wanted = NAMES[self.purpose.wanted]
        message = f"{name} has nothing in its training part to learn from: the method takes {wanted}"
        if training.prompts_too_long:
            message += f"; of row {training.prompts_too_long[0]} the prompt alone fills {self.context_length:,} tokens"
        raise UnusableData(f"{message}. It holds {counts}", help="Choose another method, or another dataset.")

    def remarks(self, training: Gathered, found: Count) -> Iterator[Remark]:
        """What became of the rows of the training part."""
        count = len(training.rows)
        details: dict[str, object] = {
            "dataset": self.part.name,
            "rows": count,
            "duplicates": training.duplicates,
            "truncated": training.truncated,
            "of_other_kinds": sum(found.values()) - found[self.purpose.wanted],
            "tokens": sum(len(segment) for row in training.segments for segment in row),
        }
        yield Remark("rows", f"{count:,} {NAMES[self.purpose.wanted]} are learnt from.", details)
        if training.truncated:
            message = f"{training.truncated:,} of {count:,} rows are longer than {self.context_length:,} tokens: "
            yield Remark("rows_truncated", message + "the ends of their answers are cut off.", details)
        if long := training.prompts_too_long:
            message = f"{len(long):,} rows are left out: their prompts alone fill {self.context_length:,} tokens. "
            yield Remark("prompts_too_long", message + named_rows(long), details)
        if same := training.same_answers:
            message = f"{len(same):,} rows are left out: the chosen and the rejected answer are the same. "
            yield Remark("same_answers", message + named_rows(same), details)


def named_rows(numbers: Sequence[int]) -> str:
    """The first of them, in words."""
    more = f" and {len(numbers) - ROWS_NAMED_MAX:,} more" if len(numbers) > ROWS_NAMED_MAX else ""
    return f"Rows: {', '.join(map(str, numbers[:ROWS_NAMED_MAX]))}{more}."

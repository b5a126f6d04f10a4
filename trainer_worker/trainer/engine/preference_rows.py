"""Rows of prompts with answers that people judged: read, checked, and made into tokens.

A method takes one of three kinds: pairs (a chosen and a rejected answer), labels (an answer, good or bad) or examples
(an answer to learn). Rows of a feedback set say by `kind` what they are; those of other datasets are of one kind.
"""

import dataclasses
import hashlib
import json
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np

from trainer_worker.trainer.engine.answers import AnswerRows
from trainer_worker.trainer.engine.chat import ChatML, ChatTemplate, Hiding, JinjaTemplate
from trainer_worker.trainer.engine.errors import UnusableData
from trainer_worker.trainer.engine.order import permuted
from trainer_worker.trainer.engine.rows import (
    Message,
    RowKind,
    checked_messages,
    checked_text,
    jsonl_objects,
    named,
    parquet_objects,
    wrong,
)
from trainer_worker.trainer.engine.special_tokens import Encoded
from trainer_worker.trainer.engine.tokenizers import Tokenizer
from tutelage.v1 import datasets_pb2

Wanted = Literal["pair", "label", "example"]

COLUMNS = ("kind", "prompt", "chosen", "rejected", "completion", "label", "weight")
ANSWERS: dict[str, tuple[str, ...]] = {"pair": ("chosen", "rejected"), "label": ("completion",)}
ANSWERS["example"] = ANSWERS["label"]
KIND_OF_ROWS = {
    datasets_pb2.ROW_KIND_PREFERENCE: "pair",
    datasets_pb2.ROW_KIND_LABELLED: "label",
    datasets_pb2.ROW_KIND_PROMPT_COMPLETION: "example",
}
WEIGHT_MAX = 1000  # beyond, the other rows of a batch hardly count; uploads are held to it too
Count = dict[str, int]


@dataclasses.dataclass(frozen=True, slots=True)
class Judged:
    """A row, numbered from 1 as in the file: a prompt, as text or as messages, and one answer or two, the chosen first.

    `good` is the label of a labelled answer. `weight` is how much the row counts.
    """

    number: int
    prompt: str | tuple[Message, ...]
    answers: tuple[str, ...]
    good: bool = True
    weight: float = 1.0

    def identity(self) -> bytes:
        """Equal for rows that say the same."""
        said = json.dumps([self.prompt, self.answers, self.good], sort_keys=True, ensure_ascii=False)
        return hashlib.blake2b(said.encode(), digest_size=16).digest()

    @property
    def characters(self) -> int:
        asked = self.prompt if isinstance(self.prompt, str) else "".join(said["content"] for said in self.prompt)
        return len(asked) + sum(map(len, self.answers))

    @property
    def opening(self) -> str:
        """What is asked, as a text."""
        return self.prompt if isinstance(self.prompt, str) else str(self.prompt[-1]["content"])


def read_judged(
    path: pathlib.Path,
    *,
    format: "datasets_pb2.DatasetFormat.ValueType",
    kind: RowKind,
    wanted: Wanted,
    found: Count,
) -> Iterator[Judged | None]:
    """All rows of a file, in order, with None in the place of those that are of another kind than is wanted.

    `found` counts the rows of each kind. Raises: UnusableData with the row and the field that is wrong.
    """
    parquet = format == datasets_pb2.DATASET_FORMAT_PARQUET
    objects = parquet_objects(path, columns=COLUMNS) if parquet else jsonl_objects(path)
    for number, values in enumerate(objects, start=1):
        if not isinstance(values, dict):
            raise wrong(number, "", f"must be an object, not {named(values)}")
        name = kind_of_row(number, values, kind)
        found[name] = found.get(name, 0) + 1
        yield judged_row(number, values, wanted, kind) if name == wanted else None


def kind_of_row(number: int, values: dict[str, Any], kind: RowKind) -> str:
    if kind in KIND_OF_ROWS:
        return KIND_OF_ROWS[kind]
    said = values.get("kind")
    if kind == datasets_pb2.ROW_KIND_FEEDBACK or said is not None:
        if said not in ANSWERS:
            raise wrong(number, "kind", f"must be one of {', '.join(ANSWERS)}")
        return str(said)
    if values.get("chosen") is not None:
        return "pair"
    return "label" if values.get("label") is not None else "example"


def judged_row(number: int, values: dict[str, Any], wanted: Wanted, kind: RowKind) -> Judged:
    """Labelled answers have no weight, as their upload has it: the field is passed over. Raises: UnusableData."""
    prompt = values.get("prompt")
    messages = tuple(checked_messages(number, prompt)) if isinstance(prompt, list) else ()
    good = values.get("label") if wanted == "label" else True
    if not isinstance(good, bool):
        raise wrong(number, "label", "is missing" if good is None else f"must be true or false, not {named(good)}")
    return Judged(
        number,
        prompt=messages or checked_text(number, "prompt", prompt),
        answers=tuple(checked_answer(number, field, values.get(field)) for field in ANSWERS[wanted]),
        good=good,
        weight=1.0 if kind == datasets_pb2.ROW_KIND_LABELLED else checked_weight(number, values.get("weight")),
    )


def checked_answer(number: int, field: str, value: Any) -> str:
    """A text, or a list with one message of the assistant."""
    if not isinstance(value, list):
        return checked_text(number, field, value)
    messages = list(checked_messages(number, value))
    if len(messages) != 1 or messages[0]["role"] != "assistant":
        raise wrong(number, field, "must be a text, or one message of the assistant")
    return str(messages[0]["content"])


def checked_weight(number: int, value: Any) -> float:
    if value is None:
        return 1.0
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= WEIGHT_MAX:
        raise wrong(number, "weight", f"must be a number from 0 to {WEIGHT_MAX:,}")
    return float(value)


Segments = list[np.ndarray]


class AnswerEncoder:
    """Turns prompts and answers into tokens, as `tokens` of a row and as they are met when the model is asked.

    A prompt is never empty, and an answer ends with the end of the text, so that an empty answer is one token.
    """

    def __init__(self, tokenizer: Tokenizer, template: str | None) -> None:
        """Without a template, conversations are written in ChatML."""
        self._tokenizer, self._source = tokenizer, template
        self._begin = np.array(tokenizer.beginning, np.uint32)
        self._end = np.array([tokenizer.end_of_text], np.uint32)
        self._template: ChatTemplate | None = None
        self._hiding = Hiding(tokenizer.special_tokens)

    def close(self) -> None:
        if self._template is not None:
            self._template.close()

    def encode(self, rows: Sequence[Judged]) -> list[Segments]:
        """The tokens of each row's prompt and of each of its answers, uint32.

        Raises: UnusableData with the row on which the chat template fails.
        """
        found: list[Segments] = [[] for _ in rows]
        talks = [place for place, row in enumerate(rows) if not isinstance(row.prompt, str)]
        texts = [place for place, row in enumerate(rows) if isinstance(row.prompt, str)]
        for places, encode in ((talks, self._conversations), (texts, self._texts)):
            if places:
                for place, segments in zip(places, encode([rows[place] for place in places]), strict=True):
                    found[place] = segments
        return found

    def _texts(self, rows: Sequence[Judged]) -> Iterator[Segments]:
        """The prompt is made into tokens by itself, as it is when the model is asked to go on from it."""
        prompts = self._tokenizer.encode_rows([str(row.prompt) for row in rows])
        answers = iter(self._tokenizer.encode_rows([text for row in rows for text in row.answers], continuing=True))
        for row, prompt in zip(rows, prompts, strict=True):
            asked = np.concatenate([self._begin, prompt]) if len(prompt) or len(self._begin) else self._end
            ended = [np.concatenate([next(answers), self._end]) for _ in row.answers]
            yield [tokens.astype(np.uint32) for tokens in (asked, *ended)]

    def _conversations(self, rows: Sequence[Judged]) -> Iterator[Segments]:
        written = [self._written(row, answer) for row in rows for answer in row.answers]
        encoded = self._tokenizer.encode_rendered([text for text, _, _ in written], [hidden for *_, hidden in written])
        halves = iter([self._halved(text, asked, one) for (text, asked, _), one in zip(written, encoded, strict=True)])
        for row in rows:
            yield with_one_prompt([next(halves) for _ in row.answers])

    def _written(self, row: Judged, answer: str) -> tuple[str, int, dict[str, str]]:
        """The conversation with an answer, where that begins, and what characters of it stand for."""
        said = [*row.prompt, {"role": "assistant", "content": answer}]
        messages, hidden = self._hiding.hide(said)
        try:
            text = self._opened().render(messages, spans=False).text
            asked = self._opened().ask(messages[:-1])
        except UnusableData as error:
            raise UnusableData(f"row {row.number}: {error}", help=error.help) from error
        return text, len(os.path.commonprefix([text, asked])), hidden

    def _halved(self, text: str, begin: int, encoded: Encoded) -> tuple[np.ndarray, np.ndarray]:
        """The tokens of the prompt and of the answer. A template that ends with the end of a text gets no second."""
        ordinary = encoded.tokens[encoded.begins < len(text.rstrip())]
        ended = len(ordinary) > 0 and ordinary[-1] == self._end[0]
        first = self._begin if self._source is None else self._begin[:0]
        before = encoded.begins < begin
        prompt = np.concatenate([first, encoded.tokens[before]])
        answer = np.concatenate([encoded.tokens[~before], self._end[: not ended]])
        return (prompt if len(prompt) else self._end).astype(np.uint32), answer.astype(np.uint32)

    def _opened(self) -> ChatTemplate:
        if self._template is None:
            words = {"bos_token": self._tokenizer.beginning_words, "eos_token": self._tokenizer.end_of_text_words}
            self._template = ChatML() if self._source is None else JinjaTemplate(self._source, **words)
        return self._template


def with_one_prompt(halves: Sequence[tuple[np.ndarray, np.ndarray]]) -> Segments:
    """What the prompts of all answers begin with alike; what differs, where a token covers the end of a prompt and the
    beginning of an answer, belongs to the answers."""
    prompts = [prompt for prompt, _ in halves]
    same = min(map(len, prompts))
    for prompt in prompts[1:]:
        differ = np.flatnonzero(prompt[:same] != prompts[0][:same])
        same = int(differ[0]) if len(differ) else same
    return [prompts[0][:same], *(np.concatenate([prompt[same:], answer]) for prompt, answer in halves)]


@dataclasses.dataclass
class Gathered:
    """Rows as they are found, and what became of those that are not trained on."""

    context_length: int
    segments: list[Segments] = dataclasses.field(default_factory=list)
    rows: list[tuple[int, float, bool]] = dataclasses.field(default_factory=list)
    duplicates: int = 0
    truncated: int = 0
    same_answers: list[int] = dataclasses.field(default_factory=list)
    prompts_too_long: list[int] = dataclasses.field(default_factory=list)
    opening: str = ""

    def add(self, row: Judged, segments: Segments) -> None:
        """Long answers lose their ends; rows with nothing to learn from are left out."""
        prompt, *answers = segments
        room = self.context_length - len(prompt)
        if room < 1:
            self.prompts_too_long.append(row.number)
            return
        if len(answers) > 1 and np.array_equal(answers[0][:room], answers[1][:room]):
            self.same_answers.append(row.number)
            return
        self.truncated += any(len(answer) > room for answer in answers)
        self.segments.append([prompt, *(answer[:room] for answer in answers)])
        self.rows.append((row.number, row.weight, row.good))
        self.opening = self.opening or row.opening

    def finished(self, answers: int) -> AnswerRows:
        numbers, weights, labels = zip(*self.rows, strict=True) if self.rows else ((), (), ())
        flat = [segment for row in self.segments for segment in row]
        lengths = np.array([len(segment) for segment in flat], np.int64)
        return AnswerRows(
            tokens=np.concatenate(flat) if flat else np.zeros(0, np.uint32),
            begins=np.concatenate(([0], np.cumsum(lengths))).astype(np.int64),
            numbers=np.array(numbers, np.int64),
            weights=np.array(weights, np.float32),
            labels=np.array(labels, bool),
            answers=answers,
        )


def with_strange_answers(rows: AnswerRows, *, context_length: int) -> AnswerRows:
    """Labelled answers, each with a second one: the answer to another prompt.

    Which one is a function of the rows alone, so that its probability under the reference is computed once.
    Source: Ethayarajh et al. 2024, arXiv 2402.01306, section 4.1: unrelated answers estimate the divergence.
    """
    segments = [rows.segments(row) for row in range(len(rows))]
    prompts = [prompt.tobytes() for prompt, _ in segments]
    others = next_others(prompts)
    found: list[np.ndarray] = []
    places = permuted(np.arange(len(rows)), count=len(rows), seed=0, epoch=0).tolist()
    for (prompt, answer), asked, place in zip(segments, prompts, places, strict=True):
        strange = segments[others[place] if prompts[place] == asked else place][1]
        found += [prompt, answer, strange[: context_length - len(prompt)]]
    lengths = np.array([len(segment) for segment in found], np.int64)
    begins = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
    tokens = np.concatenate(found) if found else rows.tokens
    return dataclasses.replace(rows, tokens=tokens, begins=begins, answers=2)


def next_others(prompts: Sequence[bytes]) -> list[int]:
    """Of each row, the next one with another prompt, around the end; the row itself if there is none."""
    count = len(prompts)
    found = list(range(count))
    if len(set(prompts)) < 2:
        return found
    for row in reversed(range(2 * count - 1)):  # twice around: the last rows look past the end
        following = (row + 1) % count
        found[row % count] = found[following] if prompts[following] == prompts[row % count] else following
    return found

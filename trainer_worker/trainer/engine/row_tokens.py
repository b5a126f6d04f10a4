"""Rows as tokens, and which of them the loss counts; kept in the scratch folder once they are made."""

import contextlib
import dataclasses
import hashlib
import itertools
import json
import pathlib
import shutil
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import BinaryIO

import numpy as np

from trainer_worker.trainer.engine.chat import CHATML, ChatML, ChatTemplate, Hiding, JinjaTemplate, Rendered
from trainer_worker.trainer.engine.errors import UnusableData
from trainer_worker.trainer.engine.preference_rows import AnswerEncoder, Judged, read_judged
from trainer_worker.trainer.engine.row_samples import RowTokens
from trainer_worker.trainer.engine.rows import Row, RowKind, read_rows, without_duplicates
from trainer_worker.trainer.engine.text import first_words
from trainer_worker.trainer.engine.tokenizers import Tokenizer
from tutelage.v1 import datasets_pb2

FORMAT = 1  # raised when the same rows become other tokens
CHARACTERS_AT_ONCE = 2_000_000
ROWS_AT_ONCE = 10_000
OPENING_CHARACTERS_MAX = 2000
PARTS = ("training", "validation")


@dataclasses.dataclass(frozen=True)
class RowSource:
    """A file of rows, and what its rows become."""

    path: pathlib.Path
    sha256: str
    format: "datasets_pb2.DatasetFormat.ValueType"
    kind: RowKind
    train_rows: int
    deduplicate: bool = True
    loss_on_all: bool = False
    chat_template: str | None = None

    def identity(self, tokenizer: Tokenizer) -> str:
        """The same where the same tokens come out."""
        said = [FORMAT, self.sha256, self.format, self.kind, self.train_rows, self.deduplicate, self.loss_on_all]
        said += [self.template(tokenizer), tokenizer.identity()]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()

    def template(self, tokenizer: Tokenizer) -> str | None:
        """The chat template of the job, else of the model; None is ChatML, which needs no sandbox."""
        template = self.chat_template or tokenizer.chat_template
        return None if template == CHATML else template


@dataclasses.dataclass(frozen=True)
class PartOfRows:
    """The training or the validation part. `opening` is what its first row begins with."""

    rows: RowTokens
    duplicates: int
    opening: str


def tokenized_rows(
    source: RowSource, tokenizer: Tokenizer, *, scratch: pathlib.Path
) -> Generator[None, None, tuple[PartOfRows, PartOfRows]]:
    """Yields nothing from time to time, a sign of life. Returns the training and the validation part.

    A row that occurred before is left out, of whichever part it is: validation rows are none that were trained on.
    Raises: UnusableData with the row and the field that is wrong, or on which the chat template fails.
    """
    folder = scratch / "tokens" / f"rows-{source.identity(tokenizer)[:40]}"
    if not folder.exists():
        temporary = folder.with_name(f"{folder.name}.{uuid.uuid4().hex}")
        try:
            yield from write(source, tokenizer, temporary)
            if not folder.exists():  # else another trainer was faster
                temporary.replace(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    training, validation = (read_part(folder / part) for part in PARTS)
    return training, validation


def write(source: RowSource, tokenizer: Tokenizer, folder: pathlib.Path) -> Iterator[None]:
    with contextlib.closing(Encoder(source, tokenizer)) as encoder, contextlib.ExitStack() as stack:
        writers = [stack.enter_context(contextlib.closing(PartWriter(folder / part))) for part in PARTS]
        numbered = enumerate(rows_of(source), start=1)
        for held_out, rows in itertools.groupby(numbered, key=lambda item: item[0] > source.train_rows):
            for chunk in in_chunks((row for _, row in rows), writers[held_out]):
                writers[held_out].add(chunk, encoder.encode(chunk), opening=encoder.opening)
                yield


AnyRow = Row | Judged
OF_ANOTHER_KIND = Row(0)  # stands for a row of a feedback set that is no example


def rows_of(source: RowSource) -> Iterator[AnyRow | None]:
    if source.kind == datasets_pb2.ROW_KIND_FEEDBACK:
        yield from examples_of(source)
        return
    rows = read_rows(source.path, format=source.format, kind=source.kind)
    yield from without_duplicates(rows) if source.deduplicate else rows


def examples_of(source: RowSource) -> Iterator[AnyRow | None]:
    """The examples of a feedback set, None in the place of one that occurred before."""
    seen: set[bytes] = set()
    for row in read_judged(source.path, format=source.format, kind=source.kind, wanted="example", found={}):
        if row is None:
            yield OF_ANOTHER_KIND
            continue
        identity = row.identity()
        yield None if source.deduplicate and identity in seen else row
        seen.add(identity)


def in_chunks(rows: Iterable[AnyRow | None], writer: "PartWriter") -> Iterator[list[AnyRow]]:
    """Rows of about CHARACTERS_AT_ONCE together; what stands for a duplicate is counted."""
    chunk: list[AnyRow] = []
    characters = 0
    for row in rows:
        if row is None:
            writer.duplicates += 1
            continue
        if row is OF_ANOTHER_KIND:
            continue
        chunk.append(row)
        characters += row.characters
        if characters > CHARACTERS_AT_ONCE or len(chunk) == ROWS_AT_ONCE:
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk


Marked = tuple[np.ndarray, np.ndarray]  # the tokens of a row, and 1 where the loss counts them


class Encoder:
    """Turns rows of one source into tokens."""

    def __init__(self, source: RowSource, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._all = source.loss_on_all
        self._begin = np.array(tokenizer.beginning, np.uint32)
        self._end = np.array([tokenizer.end_of_text], np.uint32)
        template = source.template(tokenizer)
        self._default_template = template is None
        self._template: ChatTemplate = ChatML()
        if template is not None and source.kind == datasets_pb2.ROW_KIND_MESSAGES:
            words = {"bos_token": tokenizer.beginning_words, "eos_token": tokenizer.end_of_text_words}
            self._template = JinjaTemplate(template, **words)
        self._hiding = Hiding(tokenizer.special_tokens)
        self._answers = AnswerEncoder(tokenizer, template)

    def close(self) -> None:
        self._template.close()
        self._answers.close()

    def opening(self, row: AnyRow) -> str:
        """What the model could be asked to go on from: the beginning of a text, a prompt, or what is asked first."""
        if isinstance(row, Judged):
            return row.opening[:OPENING_CHARACTERS_MAX]
        places = [place for place, message in enumerate(row.messages) if message["role"] == "user"]
        if not row.messages:
            return row.texts[0][:OPENING_CHARACTERS_MAX] if len(row.texts) == 2 else first_words(row.texts[0])
        if not places:
            return ""
        try:
            asked = self._template.ask(row.messages[: places[0] + 1])
        except UnusableData:
            asked = ""
        return asked if 0 < len(asked) <= OPENING_CHARACTERS_MAX else first_words(row.messages[places[0]]["content"])

    def encode(self, rows: Sequence[AnyRow]) -> list[Marked]:
        """The rows, which are all of one kind."""
        if judged := [row for row in rows if isinstance(row, Judged)]:
            counted = [int(self._all), 1]
            return [self._marked(segments, counted) for segments in self._answers.encode(judged)]
        return self._plain([row for row in rows if isinstance(row, Row)])

    def _plain(self, rows: Sequence[Row]) -> list[Marked]:
        if rows[0].messages:
            return self._conversations(rows)
        if len(rows[0].texts) == 2:
            return self._pairs(rows)
        texts = self._tokenizer.encode_rows([row.texts[0] for row in rows])
        return [self._marked([self._begin, tokens, self._end], [1, 1, 1]) for tokens in texts]

    def _pairs(self, rows: Sequence[Row]) -> list[Marked]:
        """The prompt is made into tokens by itself, as it is when the model is asked to go on from it."""
        prompts = self._tokenizer.encode_rows([row.texts[0] for row in rows])
        completions = self._tokenizer.encode_rows([row.texts[1] for row in rows], continuing=True)
        counted = [int(self._all), int(self._all), 1, 1]
        pairs = zip(prompts, completions, strict=True)
        return [self._marked([self._begin, prompt, completion, self._end], counted) for prompt, completion in pairs]

    def _marked(self, parts: list[np.ndarray], counted: list[int]) -> Marked:
        return np.concatenate(parts), np.repeat(np.array(counted, np.uint8), [len(part) for part in parts])

    def _conversations(self, rows: Sequence[Row]) -> list[Marked]:
        kept = [self._hiding.hide(row.messages) for row in rows]
        rendered = [self._rendered(row, messages) for row, (messages, _) in zip(rows, kept, strict=True)]
        encoded = self._tokenizer.encode_rendered([one.text for one in rendered], [hidden for _, hidden in kept])
        return [self._conversation(one, each.tokens, each.begins) for one, each in zip(rendered, encoded, strict=True)]

    def _rendered(self, row: Row, messages: list[dict[str, object]]) -> Rendered:
        try:
            return self._template.render(messages, spans=not self._all)
        except UnusableData as error:
            raise UnusableData(f"row {row.number}: {error}", help=error.help) from error

    def _conversation(self, rendered: Rendered, tokens: np.ndarray, begins: np.ndarray) -> Marked:
        """A template that ends with the end of a text of its own gets no second one."""
        said = np.searchsorted(np.array(rendered.spans).ravel(), begins, side="right") % 2
        counted = np.ones(len(tokens), np.uint8) if self._all else said.astype(np.uint8)
        written = len(rendered.text.rstrip())
        ordinary = tokens[begins < written]
        first = self._begin if self._default_template else self._begin[:0]
        last = self._end[:0] if len(ordinary) and ordinary[-1] == self._end[0] else self._end
        to_the_end = self._all or bool(rendered.spans and rendered.spans[-1][1] >= written)
        return (
            np.concatenate([first, tokens, last]),
            np.concatenate([np.zeros(len(first), np.uint8), counted, np.full(len(last), to_the_end, np.uint8)]),
        )


class PartWriter:
    """Writes one part of a dataset into a folder, as raw little-endian arrays."""

    def __init__(self, folder: pathlib.Path) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._tokens: BinaryIO = (folder / "tokens.u32").open("wb")
        self._supervised: BinaryIO = (folder / "supervised.u8").open("wb")
        self._lengths: list[int] = []
        self._numbers: list[int] = []
        self._opening = ""
        self.duplicates = 0

    def add(self, rows: Sequence[AnyRow], encoded: Sequence[Marked], *, opening: Callable[[AnyRow], str]) -> None:
        self._opening = self._opening or next(filter(None, map(opening, rows)), "")
        self._numbers += [row.number for row in rows]
        self._lengths += [len(tokens) for tokens, _ in encoded]
        self._tokens.write(np.concatenate([tokens for tokens, _ in encoded]).astype("<u4").tobytes())
        self._supervised.write(np.concatenate([counted for _, counted in encoded]).tobytes())

    def close(self) -> None:
        self._tokens.close()
        self._supervised.close()
        begins = np.concatenate(([0], np.cumsum(self._lengths, dtype="<i8")))
        (self._folder / "begins.i64").write_bytes(begins.astype("<i8").tobytes())
        (self._folder / "numbers.i64").write_bytes(np.array(self._numbers, "<i8").tobytes())
        words = {"duplicates": self.duplicates, "opening": self._opening}
        (self._folder / "part.json").write_text(json.dumps(words))


def read_part(folder: pathlib.Path) -> PartOfRows:
    words = json.loads((folder / "part.json").read_text())
    rows = RowTokens(
        tokens=mapped(folder / "tokens.u32", "<u4"),
        supervised=mapped(folder / "supervised.u8", "u1"),
        begins=np.fromfile(folder / "begins.i64", "<i8"),
        numbers=np.fromfile(folder / "numbers.i64", "<i8"),
    )
    return PartOfRows(rows, duplicates=words["duplicates"], opening=words["opening"])


def mapped(path: pathlib.Path, dtype: str) -> np.ndarray:
    return np.memmap(path, dtype, mode="r") if path.stat().st_size else np.zeros(0, dtype)

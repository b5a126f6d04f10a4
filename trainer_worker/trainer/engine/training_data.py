"""From the datasets of an assignment to sequences that are ready to be trained on."""

import concurrent.futures
import contextlib
import dataclasses
import pathlib
import uuid
from collections.abc import Generator, Iterator, Mapping, Sequence

import numpy as np

from artifacts import Store
from trainer_worker.trainer.engine.chat import CHATML, CHATML_TOKENS
from trainer_worker.trainer.engine.errors import UnusableData
from trainer_worker.trainer.engine.mixture import Mixture
from trainer_worker.trainer.engine.preference_rows import Judged
from trainer_worker.trainer.engine.row_samples import PackedRows, PaddedRows
from trainer_worker.trainer.engine.row_tokens import PartOfRows, RowSource, examples_of, tokenized_rows
from trainer_worker.trainer.engine.rows import RowKind, read_rows
from trainer_worker.trainer.engine.samples import Samples, Windows, require_one_batch, validation_windows
from trainer_worker.trainer.engine.text import Bytes, fetch_file, fetch_text, first_words_of
from trainer_worker.trainer.engine.text_tokens import tokenized
from trainer_worker.trainer.engine.tokenizers import (
    BytePairTokenizer,
    ByteTokenizer,
    Tokenizer,
    load_tokenizer_file,
)
from tutelage.v1 import datasets_pb2, training_pb2
from tutelage_internal.v1 import workers_pb2

CORPUS_BYTES_MAX = 1 << 30  # of rows that a tokenizer is trained on, before 64 MiB of them are chosen
TURNS_VOCABULARY_MIN = 512  # from which on a trained vocabulary has tokens for turns
SIGN_SECONDS = 5.0

TEXTS = (datasets_pb2.DATASET_FORMAT_UNSPECIFIED, datasets_pb2.DATASET_FORMAT_TEXT)
ROWS = (datasets_pb2.DATASET_FORMAT_JSONL, datasets_pb2.DATASET_FORMAT_PARQUET)


@dataclasses.dataclass(frozen=True)
class Remark:
    """Something about the data that people should know; `kind` as in a job's note."""

    kind: str
    message: str
    details: Mapping[str, object]


@dataclasses.dataclass(frozen=True)
class Prepared:
    """One dataset as sequences. `opening` is something that a model could be asked to go on from."""

    training: Samples
    validation: Samples
    opening: str
    talks: bool = False  # of conversations


Signs = Generator[Remark | None, None, Prepared]


def training_spec(assignment: workers_pb2.Assignment) -> training_pb2.TrainSpec | training_pb2.FineTuneSpec:
    """What is trained, also if it is only to be verified. Raises: ValueError if the assignment is of another kind."""
    holder = assignment.verification if assignment.HasField("verification") else assignment
    if holder.HasField("train"):
        return holder.train
    if holder.HasField("fine_tune"):
        return holder.fine_tune
    raise ValueError(f"{assignment.WhichOneof('spec')} trains on no data")


def prepare_data(
    assignment: workers_pb2.Assignment,
    *,
    tokenizer: Tokenizer,
    context_length: int,
    store: Store,
    scratch: pathlib.Path,
) -> Generator[Remark | None, None, tuple[Samples, Samples, str]]:
    """Fetches, checks and tokenises the datasets of an assignment, or finds in the scratch folder what was made before.

    Yields None as a sign of life, and remarks to be told. Returns the training sequences, those to evaluate on, and an
    opening for samples. The template of conversations becomes that of the tokenizer, and so of the model that is tuned.
    Raises: UnusableData if a dataset is damaged, too short for one batch, or has nothing that the loss counts.
    """
    spec = training_spec(assignment)
    prepared: list[Prepared] = []
    weights: list[float] = []
    for part in (assignment.dataset, *assignment.mixture):
        yield None
        with naming(part.name if assignment.mixture else ""):
            one = yield from prepare_part(
                part, spec.rows, tokenizer=tokenizer, context_length=context_length, store=store, scratch=scratch
            )
        prepared.append(one)
        weights.append(part.weight or 1.0)
    weights[0] = 1.0
    training = blended([one.training for one in prepared], weights)
    validation = blended([one.validation for one in prepared], weights)
    require_one_batch(training, batch_size=spec.optimization.batch_size)
    if any(one.talks for one in prepared):
        tokenizer.chat_template = spec.rows.chat_template or tokenizer.chat_template or CHATML
    return training, validation, prepared[0].opening


@contextlib.contextmanager
def naming(dataset: str) -> Iterator[None]:
    """Says of which dataset of a mixture something is wrong. Raises: UnusableData."""
    try:
        yield
    except UnusableData as error:
        if not dataset or dataset in str(error):
            raise
        raise UnusableData(f"{dataset}: {error}", help=error.help) from error


def blended(parts: Sequence[Samples], weights: Sequence[float]) -> Samples:
    """One dataset as it is, several by their weights; of those without a sequence nothing is drawn."""
    there = [(part, weight) for part, weight in zip(parts, weights, strict=True) if part.count]
    if len(there) < 2:
        return there[0][0] if there else parts[0]
    return Mixture([part for part, _ in there], [weight for _, weight in there])


def prepare_part(
    part: workers_pb2.DatasetArtifact,
    spec: training_pb2.RowsSpec,
    *,
    tokenizer: Tokenizer,
    context_length: int,
    store: Store,
    scratch: pathlib.Path,
) -> Signs:
    if part.format in TEXTS:
        return (yield from prepare_text(part, tokenizer, context_length=context_length, store=store, scratch=scratch))
    require_rows(part)
    path = fetch_file(store, key=part.key, sha256=part.sha256, size_bytes=part.size_bytes, scratch=scratch)
    yield None
    source = RowSource(
        path=path,
        sha256=part.sha256,
        format=part.format,
        kind=kind_of_rows(part, path),
        train_rows=part.train_rows,
        deduplicate=spec.deduplicate if spec.HasField("deduplicate") else True,
        loss_on_all=spec.loss_on == training_pb2.LOSS_ON_ALL,
        chat_template=spec.chat_template or None,
    )
    training, validation = yield from tokenized_rows(source, tokenizer, scratch=scratch)
    layout = PackedRows if not spec.HasField("packing") or spec.packing else PaddedRows
    samples, held_out = (
        layout(
            one.rows,
            context_length=context_length,
            split=source.kind == datasets_pb2.ROW_KIND_TEXT,
            padding=tokenizer.end_of_text,
            dataset=part.name,
            decode=tokenizer.decode,
        )
        for one in (training, validation)
    )
    yield from remarks(part, training, samples)
    if not samples.count:
        raise UnusableData(
            f"no row of the training part of {part.name or 'the dataset'} has a token that the loss counts",
            help="Completions must not be empty, conversations need something that the assistant says, and feedback "
            "sets need examples: ratings or edits.",
        )
    talks = source.kind == datasets_pb2.ROW_KIND_MESSAGES or answers_turns(source)
    return Prepared(samples, held_out, validation.opening or training.opening, talks)


def answers_turns(source: RowSource) -> bool:
    """Whether the first example of a feedback set answers a conversation, rather than a text."""
    if source.kind != datasets_pb2.ROW_KIND_FEEDBACK:
        return False
    first = next((row for row in examples_of(source) if isinstance(row, Judged)), None)
    return first is not None and not isinstance(first.prompt, str)


def require_rows(part: workers_pb2.DatasetArtifact) -> None:
    """Raises: UnusableData for a dataset that is neither text nor rows."""
    if part.format not in ROWS:
        name = datasets_pb2.DatasetFormat.Name(part.format).removeprefix("DATASET_FORMAT_").lower()
        raise UnusableData(f"{part.name or 'the dataset'} holds {name}, which cannot be trained on")


def kind_of_rows(part: workers_pb2.DatasetArtifact, path: pathlib.Path) -> RowKind:
    if part.row_kind != datasets_pb2.ROW_KIND_UNSPECIFIED:
        return part.row_kind
    first = next(read_rows(path, format=part.format, kind=part.row_kind), None)
    if first is None:
        raise UnusableData(f"{part.name or 'the dataset'} has no rows")
    if first.messages:
        return datasets_pb2.ROW_KIND_MESSAGES
    return datasets_pb2.ROW_KIND_TEXT if len(first.texts) == 1 else datasets_pb2.ROW_KIND_PROMPT_COMPLETION


def prepare_text(
    part: workers_pb2.DatasetArtifact, tokenizer: Tokenizer, *, context_length: int, store: Store, scratch: pathlib.Path
) -> Signs:
    text = fetch_text(store, key=part.key, sha256=part.sha256, size_bytes=part.size_bytes, scratch=scratch)
    training, validation = text[: part.train_bytes], text[part.train_bytes :]
    name = f"{part.sha256}-{part.train_bytes}"
    tokens = yield from tokens_of(training, tokenizer, name=f"{name}-training", scratch=scratch)
    held_out = yield from tokens_of(validation, tokenizer, name=f"{name}-validation", scratch=scratch)
    begin = tokenizer.beginning[-1] if tokenizer.beginning else None
    decode = tokenizer.continuation
    return Prepared(
        Windows(tokens, context_length=context_length, beginning=begin, dataset=part.name, decode=decode),
        validation_windows(held_out, context_length=context_length, beginning=begin, dataset=part.name, decode=decode),
        first_words_of(validation, training),
    )


def tokens_of(
    text: Bytes, tokenizer: Tokenizer, *, name: str, scratch: pathlib.Path
) -> Generator[None, None, np.ndarray]:
    found = np.zeros(0, np.uint32)
    for tokens in tokenized(text, tokenizer=tokenizer, name=name, scratch=scratch):
        yield None
        found = tokens
    return found


def remarks(part: workers_pb2.DatasetArtifact, training: PartOfRows, samples: PackedRows) -> Iterator[Remark]:
    """What became of the rows of the training part."""
    rows, pieces = len(training.rows.numbers), samples.pieces
    filled = samples.tokens / max(1, samples.count * samples.context_length)
    details = {
        "dataset": part.name,
        "rows": rows,
        "duplicates": training.duplicates,
        "truncated": pieces.truncated,
        "nothing_counted": pieces.unsupervised,
        "sequences": samples.count,
        "tokens": samples.tokens,
        "tokens_counted": int(np.sum(training.rows.supervised, dtype=np.int64)),
    }
    if not isinstance(samples, PaddedRows):
        details["filled"] = f"{filled:.1%}"
    yield Remark("rows", f"{rows:,} rows fill {samples.count:,} sequences of {samples.context_length:,}.", details)
    if pieces.truncated:
        message = f"{pieces.truncated:,} of {rows:,} rows are longer than {samples.context_length:,} tokens: "
        yield Remark("rows_truncated", message + "their ends are cut off.", details)
    if pieces.unsupervised:
        message = f"{pieces.unsupervised:,} of {rows:,} rows are left out: they have no token that the loss counts."
        yield Remark("rows_without_loss", message, details)


def make_tokenizer(
    spec: training_pb2.TokenizerSpec,
    assignment: workers_pb2.Assignment,
    *,
    store: Store,
    scratch: pathlib.Path,
) -> Generator[None, None, Tokenizer]:
    """The tokenizer of a new run: bytes, pairs trained on the training part of the first dataset, or the file given.

    Yields nothing from time to time, a sign of life. Raises: UnusableData, BadCheckpoint if the file is no tokenizer.
    """
    if spec.kind == training_pb2.TOKENIZER_KIND_FILE:
        given = assignment.tokenizer
        yield None
        return load_tokenizer_file(
            fetch_file(store, key=given.key, sha256=given.sha256, size_bytes=given.size_bytes, scratch=scratch)
        )
    if spec.kind != training_pb2.TOKENIZER_KIND_BPE:
        return ByteTokenizer()
    part = assignment.dataset
    if part.format in TEXTS:
        text = fetch_text(store, key=part.key, sha256=part.sha256, size_bytes=part.size_bytes, scratch=scratch)
        return (yield from train_pairs(text[: part.train_bytes], spec.vocabulary_size, special_tokens=()))
    require_rows(part)
    path = fetch_file(store, key=part.key, sha256=part.sha256, size_bytes=part.size_bytes, scratch=scratch)
    conversations = kind_of_rows(part, path) == datasets_pb2.ROW_KIND_MESSAGES
    turns = CHATML_TOKENS if conversations and spec.vocabulary_size >= TURNS_VOCABULARY_MIN else ()
    corpus = scratch / "corpora" / uuid.uuid4().hex
    try:
        yield from write_corpus(part, path, corpus)
        text = np.memmap(corpus, np.uint8, mode="r") if corpus.stat().st_size else np.zeros(0, np.uint8)
        return (yield from train_pairs(text, spec.vocabulary_size, special_tokens=turns))
    finally:
        corpus.unlink(missing_ok=True)


def write_corpus(part: workers_pb2.DatasetArtifact, path: pathlib.Path, corpus: pathlib.Path) -> Iterator[None]:
    """The texts of the training rows, a line after each."""
    corpus.parent.mkdir(parents=True, exist_ok=True)
    with corpus.open("wb") as file:
        for row in read_rows(path, format=part.format, kind=part.row_kind):
            if row.number > part.train_rows or file.tell() > CORPUS_BYTES_MAX:
                return
            for text in (*row.texts, *(message["content"] for message in row.messages)):
                file.write(text.encode() + b"\n")
            if row.number % 10_000 == 0:
                yield None


def train_pairs(
    text: Bytes, vocabulary_size: int, *, special_tokens: Sequence[str]
) -> Generator[None, None, Tokenizer]:
    """Trains beside this thread: the library counts pairs for a minute without coming back."""
    with concurrent.futures.ThreadPoolExecutor(max_workers=1) as pool:
        training = pool.submit(
            BytePairTokenizer.train, text, vocabulary_size=vocabulary_size, special_tokens=special_tokens
        )
        while True:
            try:
                return training.result(timeout=SIGN_SECONDS)
            except TimeoutError:
                yield None

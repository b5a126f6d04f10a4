"""Datasets."""

import dataclasses
import datetime

from tutelage._values.value import Value, WireEnum


class DatasetFormat(WireEnum):
    """What the bytes of a dataset are."""

    UNSPECIFIED = "UNSPECIFIED"
    """The service takes it as text."""
    TEXT = "TEXT"
    """Plain UTF-8 text; a row is a line."""
    JSONL = "JSONL"
    """One JSON object a line: `text`, or `prompt` and `completion`, or `messages`; the same in every row."""
    PARQUET = "PARQUET"
    """A Parquet file with these columns."""
    MODEL_FILES = "MODEL_FILES"
    """The files of a model in one uncompressed tar archive; it can be imported, not trained on."""
    TOKENIZER = "TOKENIZER"
    """A `tokenizer.json` of Hugging Face; it can serve as a tokenizer, not be trained on."""


class RowKind(WireEnum):
    """What the rows of a dataset are."""

    UNSPECIFIED = "UNSPECIFIED"
    """Not a dataset of rows."""
    TEXT = "TEXT"
    """Texts."""
    PROMPT_COMPLETION = "PROMPT_COMPLETION"
    """Prompts and their completions."""
    MESSAGES = "MESSAGES"
    """Conversations: lists of messages, each with `role` and `content`."""
    PROMPT = "PROMPT"
    """Prompts alone: texts, or conversations whose last turn is the user's."""
    PREFERENCE = "PREFERENCE"
    """Prompts, each with a chosen and a rejected answer."""
    LABELLED = "LABELLED"
    """Prompts with an answer that is labelled good or bad."""
    FEEDBACK = "FEEDBACK"
    """What a feedback set holds: preferences, labelled answers and examples, each row saying which by `kind`."""
    CHECKS = "CHECKS"
    """Prompts with checks that an answer must pass."""


class DatasetState(WireEnum):
    """Whether a dataset can be used."""

    UNSPECIFIED = "UNSPECIFIED"
    """Never sent."""
    READY = "READY"
    """Checked and usable."""
    DELETED = "DELETED"
    """Deleted."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DatasetSplit(Value):
    """How a dataset is divided. The validation part is the end of the text and starts at the row nearest to the share
    asked for; in a text that is one long row, at a character. A row belongs to the part in which it starts.
    """

    train_bytes: int
    """Bytes of the training part."""
    validation_bytes: int
    """Bytes of the validation part."""
    train_rows: int
    """Rows of the training part."""
    validation_rows: int
    """Rows of the validation part."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RowStatistics(Value):
    """What the rows of a dataset look like."""

    kind: RowKind
    """What they are."""
    duplicate_rows: int
    """Rows that occur before; training leaves them out unless told otherwise."""
    duplicate_examples: tuple[int, ...]
    """The numbers of some of them, from 1; at most 20."""
    bytes_min: int
    """Length of the shortest row, in bytes of text."""
    bytes_median: int
    """Length that half of the rows do not exceed."""
    bytes_p95: int
    """Length that 95 % of the rows do not exceed."""
    bytes_max: int
    """Length of the longest row."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dataset(Value):
    """Text to train on. Its content never changes."""

    name: str
    """`projects/{project}/datasets/{dataset}`."""
    uid: str
    """A UUID that is never used again."""
    state: DatasetState
    """Whether it can be used."""
    format: DatasetFormat
    """What its bytes are."""
    size_bytes: int
    """Its size in bytes, which is also its length in byte tokens."""
    sha256: str
    """SHA-256 of its bytes, hexadecimal."""
    rows: int
    """Rows (lines)."""
    characters: int
    """Unicode characters."""
    split: DatasetSplit | None
    """How it is divided into training and validation."""
    create_time: datetime.datetime | None
    """When it was made."""
    creator: str
    """The key that uploaded it, `projects/{project}/apiKeys/{key}`."""
    filename: str
    """The name of the file that was uploaded, for people; at most 200 characters."""
    row_statistics: RowStatistics | None
    """For JSONL and Parquet: what the rows look like."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Upload(Value):
    """An upload on its way."""

    name: str
    """`projects/{project}/uploads/{upload}`."""
    dataset: str
    """The dataset that it will become, `projects/{project}/datasets/{dataset}`."""
    size_bytes: int
    """Bytes declared."""
    received_bytes: int
    """Bytes received and kept: where to continue."""
    expire_time: datetime.datetime | None
    """When it is removed unless it is finished."""

"""Datasets: text to train on, and the uploads it arrives by."""

import dataclasses
import datetime
import enum


class DatasetFormat(enum.Enum):
    """What the bytes of a dataset are."""

    TEXT = "TEXT"
    JSONL = "JSONL"
    PARQUET = "PARQUET"
    MODEL_FILES = "MODEL_FILES"
    TOKENIZER = "TOKENIZER"


TRAINABLE = frozenset({DatasetFormat.TEXT, DatasetFormat.JSONL, DatasetFormat.PARQUET})
"""Formats that hold something to train on."""


class RowKind(enum.Enum):
    """What the rows of a dataset are."""

    TEXT = "TEXT"
    PROMPT_COMPLETION = "PROMPT_COMPLETION"
    MESSAGES = "MESSAGES"
    PROMPT = "PROMPT"
    PREFERENCE = "PREFERENCE"
    LABELLED = "LABELLED"
    FEEDBACK = "FEEDBACK"
    CHECKS = "CHECKS"


@dataclasses.dataclass(frozen=True, kw_only=True)
class SignalCounts:
    """How many rows of each kind a part of a feedback set has."""

    pairs: int = 0
    labels: int = 0
    examples: int = 0

    @property
    def rows(self) -> int:
        """All of them."""
        return self.pairs + self.labels + self.examples

    def __add__(self, other: "SignalCounts") -> "SignalCounts":
        """Return how many rows both have together."""
        return SignalCounts(
            pairs=self.pairs + other.pairs, labels=self.labels + other.labels, examples=self.examples + other.examples
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class RowStatistics:
    """What the rows of a dataset look like; lengths are in bytes of text, numbers of rows count from 1.

    A feedback set knows how many rows of each kind either part has.
    """

    kind: RowKind
    duplicate_rows: int
    duplicate_examples: tuple[int, ...]
    bytes_min: int
    bytes_median: int
    bytes_p95: int
    bytes_max: int
    train_signals: SignalCounts | None = None
    validation_signals: SignalCounts | None = None


class DatasetState(enum.Enum):
    """Whether a dataset can be used."""

    READY = "READY"
    DELETED = "DELETED"


@dataclasses.dataclass(frozen=True, kw_only=True)
class DatasetSplit:
    """How a dataset is divided; a row belongs to the part in which it starts."""

    train_bytes: int
    validation_bytes: int
    train_rows: int
    validation_rows: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dataset:
    """Text to train on. Its content never changes."""

    project_id: str
    id: str
    uid: str
    state: DatasetState
    format: DatasetFormat
    size_bytes: int
    sha256: str
    rows: int
    characters: int
    split: DatasetSplit
    create_time: datetime.datetime
    creator: str
    filename: str
    row_statistics: RowStatistics | None = None

    @property
    def row_kind(self) -> RowKind | None:
        """What its rows are, for a dataset of rows."""
        return self.row_statistics.kind if self.row_statistics else None

    @property
    def name(self) -> str:
        """Its resource name."""
        return f"projects/{self.project_id}/datasets/{self.id}"

    @property
    def artifact_key(self) -> str:
        """Where its bytes are in the artifact store."""
        return dataset_key(self.uid)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Upload:
    """An upload on its way. `dataset_uid` is chosen at the start, so that finishing it twice makes one dataset."""

    project_id: str
    uid: str
    dataset_id: str
    dataset_uid: str
    size_bytes: int
    received_bytes: int
    parts: int
    sha256: str
    format: DatasetFormat
    filename: str
    validation_fraction: float
    create_time: datetime.datetime
    expire_time: datetime.datetime
    creator: str
    finished: bool = False

    @property
    def name(self) -> str:
        """Its resource name."""
        return f"projects/{self.project_id}/uploads/{self.uid}"

    @property
    def dataset(self) -> str:
        """Resource name of the dataset that it will become."""
        return f"projects/{self.project_id}/datasets/{self.dataset_id}"

    @property
    def artifact_prefix(self) -> str:
        """Under which its parts are in the artifact store."""
        return upload_prefix(self.uid)


@dataclasses.dataclass(frozen=True, kw_only=True)
class UploadPart:
    """A piece of an upload that has arrived."""

    number: int
    key: str
    offset_bytes: int
    size_bytes: int


def dataset_key(dataset_uid: str) -> str:
    """Return the key of a dataset's bytes."""
    return f"datasets/{dataset_uid}/text"


def upload_prefix(upload_uid: str) -> str:
    """Return the prefix of an upload's parts."""
    return f"uploads/{upload_uid}/"


def part_key(upload_uid: str, *, number: int, mark: str) -> str:
    """Return the key of a part; `mark` is new for each try, so that two writers never share a key."""
    return f"{upload_prefix(upload_uid)}part-{number:06d}-{mark}"

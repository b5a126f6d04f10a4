"""What happens to a job, as a watcher sees it, and what a trainer tells."""

import dataclasses
import datetime
import enum
from collections.abc import Mapping

from services.domain.answers import AnswersDrawn
from services.domain.job_states import JobState
from services.domain.jobs import JobFailure, Usage


@dataclasses.dataclass(frozen=True, kw_only=True)
class StateChanged:
    """The job changed its state; `before` is None for a new job."""

    before: JobState | None
    after: JobState
    message: str = ""
    failure: JobFailure | None = None
    model_version: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class MetricLogged:
    """The measurements of one optimizer step; a value that is not finite is NaN.

    The chains are hashes over what the steps up to this one trained on, and over what came out; hexadecimal.
    """

    step: int
    values: Mapping[str, float]
    data_chain: str = ""
    loss_chain: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SampleDrawn:
    """Text drawn from the model while it trains."""

    step: int
    prompt: str
    text: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckpointCommitted:
    """A checkpoint that can be resumed from."""

    step: int
    size_bytes: int
    manifest_sha256: str


class NoteLevel(enum.Enum):
    """How much a note matters."""

    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Note:
    """Something worth knowing, in words."""

    level: NoteLevel
    kind: str
    message: str
    details: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class BlamedRow:
    """A row, or a window of a plain text, with a large loss; rows count from 1, and 0 is plain text."""

    step: int
    dataset: str
    row: int
    token: int
    loss: float
    excerpt: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class RowsBlamed:
    """The rows that the model finds hardest, the hardest first."""

    step: int
    rows: tuple[BlamedRow, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class RolledBack:
    """Training went back to a checkpoint; what follows belongs to the line of steps with the number `lineage`."""

    from_step: int
    to_step: int
    message: str
    lineage: int


Happening = StateChanged | MetricLogged | SampleDrawn | CheckpointCommitted | Note | RowsBlamed | RolledBack
Told = MetricLogged | SampleDrawn | Note | RowsBlamed | RolledBack
"""What a trainer tells that becomes part of the history."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class JobEvent:
    """One thing that happened to a job; `seq` is its place in the job's history and the cursor of a watcher."""

    job_uid: str
    seq: int
    time: datetime.datetime
    epoch: int
    happening: Happening


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckpointWritten:
    """A checkpoint that lies complete in the store, and counts only once it is committed."""

    step: int
    artifact_prefix: str
    manifest_sha256: str
    size_bytes: int
    complete: bool = False
    parameters: int = 0
    validation_loss: float | None = None
    validation_bits_per_byte: float | None = None
    lineage: int = 0
    """Which line of steps it belongs to; 0 if the trainer did not say."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fact:
    """One thing that a trainer did; `seq` is its place among the facts of the attempt."""

    seq: int
    told: Told | CheckpointWritten | Usage | AnswersDrawn

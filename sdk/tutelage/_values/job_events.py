"""What happens to jobs, and the curves it leaves."""

import dataclasses
import datetime
from collections.abc import Mapping

from tutelage._values.jobs import JobFailure, JobState
from tutelage._values.value import Value, WireEnum

EVENT_KINDS = (
    "state_changed",
    "metric_logged",
    "sample_drawn",
    "checkpoint_committed",
    "note",
    "rows_blamed",
    "rolled_back",
)


class NoteLevel(WireEnum):
    """How much a note matters."""

    UNSPECIFIED = "UNSPECIFIED"
    """Never sent."""
    INFO = "INFO"
    """Good to know."""
    WARNING = "WARNING"
    """Something may be wrong."""
    ERROR = "ERROR"
    """Something went wrong."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class StateChanged(Value):
    """A change of state."""

    from_: JobState
    """The state before; unspecified for a new job."""
    to: JobState
    """The state now."""
    message: str
    """Why, in words."""
    failure: JobFailure | None
    """Set when the new state is FAILED."""
    model_version: str
    """Set when the new state is SUCCEEDED."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class MetricLogged(Value):
    """The measurements of one optimizer step."""

    step: int
    """The step, from 1."""
    values: Mapping[str, float]
    """Values by key: `train/loss` and `eval/loss` in nats per token, `train/lr`, `train/grad_norm`, `train/tokens` (so
    far), `perf/tokens_per_second`, `perf/step_seconds`.
    """
    data_chain: str
    """Chain of hashes over which samples the steps up to this one trained on; 32 hexadecimal digits."""
    loss_chain: str
    """Chain of hashes over loss and gradient norm of the steps up to this one; 32 hexadecimal digits."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SampleDrawn(Value):
    """Text drawn from the model while it trains."""

    step: int
    """After which step."""
    prompt: str
    """What the model continued."""
    text: str
    """What it said."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckpointCommitted(Value):
    """A checkpoint that can be resumed from."""

    step: int
    """After which step."""
    size_bytes: int
    """All files together, in bytes."""
    manifest_sha256: str
    """SHA-256 of the manifest, which holds the hash of every file; hexadecimal."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Note(Value):
    """Something worth knowing, in words."""

    level: NoteLevel
    """How much it matters."""
    kind: str
    """A stable name for the kind of note, such as `resumed`, `environment` or `attempt_lost`."""
    message: str
    """The words."""
    details: Mapping[str, str]
    """Names and numbers behind the words."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class BlamedRow(Value):
    """A row, or a window of a plain text, with a large loss."""

    step: int
    """The step that trained on it."""
    dataset: str
    """The dataset, `projects/{project}/datasets/{dataset}`."""
    row: int
    """Its number in the training part, from 1; 0 for plain text."""
    token: int
    """For plain text: the token at which the window begins, from 0."""
    loss: float
    """Mean loss, in nats per token. Of methods that compare answers: the loss of the row by that method."""
    excerpt: str
    """Its beginning; at most 200 characters."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RowsBlamed(Value):
    """The rows that the model finds hardest: often damaged, foreign or wrong."""

    step: int
    """After which step."""
    rows: tuple[BlamedRow, ...]
    """At most 20, the hardest first."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RolledBack(Value):
    """Training went back."""

    from_step: int
    """The last step that is thrown away."""
    to_step: int
    """The step of the checkpoint that training goes on from."""
    message: str
    """Why, in words."""
    lineage: int
    """Number of the new line of steps."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class JobEvent(Value):
    """One thing that happened to a job."""

    cursor: int
    """Its place in the job's history: 1, 2, 3 and so on without a gap. 0 for a sign of life."""
    time: datetime.datetime | None
    """When it was recorded."""
    epoch: int
    """Which attempt it belongs to; 0 before the first."""
    state_changed: StateChanged | None
    """The job changed its state."""
    metric_logged: MetricLogged | None
    """A step was done."""
    sample_drawn: SampleDrawn | None
    """Text was drawn from the model."""
    checkpoint_committed: CheckpointCommitted | None
    """A checkpoint was committed."""
    note: Note | None
    """Something worth knowing, in words."""
    rows_blamed: RowsBlamed | None
    """The rows with the largest loss since the last such event."""
    rolled_back: RolledBack | None
    """Training went back to an earlier step: later metrics of these steps replace the earlier ones."""

    @property
    def kind(self) -> str:
        """The name of the field that is set, such as `metric_logged`; empty for what only a newer service knows."""
        return next((kind for kind in EVENT_KINDS if getattr(self, kind) is not None), "")

    def __str__(self) -> str:
        content = getattr(self, self.kind, None)
        fields = vars(content).items() if content else ()
        given = {name: value for name, value in fields if value and not name.startswith("_")}
        words = (f"{name}={dict(v) if isinstance(v, Mapping) else v!r}" for name, v in given.items())
        return " ".join([str(self.cursor), self.kind, *words])


@dataclasses.dataclass(frozen=True, kw_only=True)
class MetricSeries(Value):
    """One curve; the lists have the same length."""

    key: str
    """Its key."""
    steps: tuple[int, ...]
    """Last step of each point."""
    means: tuple[float, ...]
    """Mean over the steps that the point covers."""
    minima: tuple[float, ...]
    """Lowest value of those steps."""
    maxima: tuple[float, ...]
    """Highest value of those steps."""

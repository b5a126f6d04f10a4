"""Jobs, and what happens to them."""

import dataclasses
import datetime
from collections.abc import Mapping

from tutelage._values.training import Forecast, TrainSpec
from tutelage._values.value import Value, WireEnum


class JobState(WireEnum):
    """Where a job is in its life. Changed by the service only."""

    UNSPECIFIED = "UNSPECIFIED"
    """Never sent."""
    QUEUED = "QUEUED"
    """Accepted; waits for a worker."""
    STARTING = "STARTING"
    """A worker has claimed it and is starting the trainer."""
    RUNNING = "RUNNING"
    """Trains."""
    FINALIZING = "FINALIZING"
    """Training is complete; the model is being published."""
    SUCCEEDED = "SUCCEEDED"
    """The model is published. Final."""
    BACKOFF = "BACKOFF"
    """An attempt was lost; the next one starts after a short wait, from the last checkpoint."""
    PAUSED = "PAUSED"
    """Stopped by PauseJob; holds no worker."""
    CANCELLING = "CANCELLING"
    """CancelJob was accepted; its processes are being stopped."""
    CANCELLED = "CANCELLED"
    """Ended by CancelJob. Final."""
    FAILED = "FAILED"
    """Ended by an error; see `Job.failure`. Final."""

    @property
    def is_final(self) -> bool:
        """Whether the job is over."""
        return self in (JobState.SUCCEEDED, JobState.CANCELLED, JobState.FAILED)

    @property
    def is_waiting(self) -> bool:
        """Whether the job waits for a worker."""
        return self in (JobState.QUEUED, JobState.BACKOFF)


class FailureReason(WireEnum):
    """Why a job failed for good."""

    UNSPECIFIED = "UNSPECIFIED"
    """Never sent."""
    BAD_INPUT = "BAD_INPUT"
    """The data or the configuration turned out to be unusable when training began."""
    NO_PROGRESS = "NO_PROGRESS"
    """Three attempts in a row made no newer checkpoint."""
    INTERRUPTED_TOO_OFTEN = "INTERRUPTED_TOO_OFTEN"
    """The trainer was interrupted more often than the budget of interruptions allows."""
    DIVERGED = "DIVERGED"
    """The loss became infinite or not a number, and going back did not help."""
    OUT_OF_MEMORY = "OUT_OF_MEMORY"
    """The model does not fit into the memory of the device."""
    HOST_OUT_OF_MEMORY = "HOST_OUT_OF_MEMORY"
    """The host ran out of memory and ended the trainer, twice."""
    NO_CHECKPOINT = "NO_CHECKPOINT"
    """No intact checkpoint is left to go on from."""
    NO_SPACE = "NO_SPACE"
    """There was no room for checkpoints for too long."""
    TRAINER_ERROR = "TRAINER_ERROR"
    """The trainer ended with an error of its own; see the message."""
    INPUT_GONE = "INPUT_GONE"
    """The dataset was deleted before the job could use it."""


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


class CheckpointState(WireEnum):
    """Whether a checkpoint can be trusted."""

    UNSPECIFIED = "UNSPECIFIED"
    """Never sent."""
    COMMITTED = "COMMITTED"
    """Written completely and recorded."""
    VERIFIED = "VERIFIED"
    """Read back since, and every hash was right."""
    CORRUPT = "CORRUPT"
    """Read back since, and something was wrong: it is not used any more."""
    COLLECTED = "COLLECTED"
    """Its files were removed to save space."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class JobFailure(Value):
    """Why a job failed."""

    reason: FailureReason
    """The reason."""
    message: str
    """One sentence with the numbers and names."""
    help: str
    """What would help."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class JobProgress(Value):
    """How far a job has come."""

    step: int
    """Optimizer steps done and recorded."""
    steps_total: int
    """Steps that the job will do."""
    loss: float | None
    """Loss of the last recorded step, in nats per token."""
    validation_loss: float | None
    """Loss on held-out text at the last evaluation, in nats per token."""
    tokens_per_second: float | None
    """Tokens trained on per second, averaged over the last steps."""
    remaining_seconds: float | None
    """Seconds until training is complete, at this speed."""
    checkpoint_step: int | None
    """Step of the last committed checkpoint."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class JobInfo(Value):
    """One piece of work."""

    name: str
    """`projects/{project}/jobs/{job}`."""
    uid: str
    """A UUID that is never used again."""
    state: JobState
    """Where it is in its life."""
    train: TrainSpec | None
    """Pretraining."""
    create_time: datetime.datetime | None
    """When it was accepted."""
    update_time: datetime.datetime | None
    """When it last changed."""
    start_time: datetime.datetime | None
    """When a worker first claimed it."""
    end_time: datetime.datetime | None
    """When it was over."""
    progress: JobProgress | None
    """How far it has come."""
    failure: JobFailure | None
    """Set when it is FAILED."""
    attempts: int
    """Attempts so far: how often a worker has claimed it."""
    worker: str
    """The worker that holds it now, `workers/{worker}`."""
    model_version: str
    """The version that it published, `projects/{project}/models/{model}/versions/{version}`."""
    forecast: Forecast | None
    """The forecast made when it was accepted."""
    labels: Mapping[str, str]
    """The caller's own labels; at most 16, keys of at most 63 and values of at most 256 characters."""
    retry_time: datetime.datetime | None
    """When a waiting job may next be claimed, in BACKOFF."""
    pausing: bool
    """Whether a pause was asked for and has not taken effect yet."""
    creator: str
    """The key that submitted it, `projects/{project}/apiKeys/{key}`."""


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
    """Values by key: `train/loss` and `eval/loss` in nats per token, `train/lr`, `train/grad_norm`, `train/tokens`
    (so far), `perf/tokens_per_second`, `perf/step_seconds`.
    """


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

    @property
    def kind(self) -> str:
        """The name of the field that is set, such as `metric_logged`; empty for what only a newer service knows."""
        kinds = ("state_changed", "metric_logged", "sample_drawn", "checkpoint_committed", "note")
        return next((kind for kind in kinds if getattr(self, kind) is not None), "")

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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checkpoint(Value):
    """The full state of a run after a step."""

    name: str
    """`projects/{project}/jobs/{job}/checkpoints/{step}`."""
    step: int
    """After which step."""
    state: CheckpointState
    """Whether it can be trusted."""
    size_bytes: int
    """All files together, in bytes."""
    manifest_sha256: str
    """SHA-256 of the manifest, hexadecimal."""
    create_time: datetime.datetime | None
    """When it was committed."""
    epoch: int
    """The attempt that wrote it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finding(Value):
    """One thing that explains a job."""

    fact: str
    """What is the case."""
    help: str
    """What would help; empty if nothing needs to be done."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExplainJobResponse(Value):
    """An explanation."""

    summary: str
    """One sentence: what the job is doing and why."""
    findings: tuple[Finding, ...]
    """What was found, most important first."""
    queue_position: int
    """Jobs of this project that will be claimed before it; 0 when it does not wait."""
    start_seconds: float | None
    """Expected seconds until it starts, if that can be said."""

"""Jobs: what they are, how far they have come, and what they leave."""

import dataclasses
import datetime
from collections.abc import Mapping

from tutelage._values.drawing import DrawSpec, EvaluateSpec
from tutelage._values.training import (
    ExportModelSpec,
    FineTuneSpec,
    Forecast,
    ImportModelSpec,
    TrainSpec,
    VerifySpec,
)
from tutelage._values.value import Value, WireEnum

JOB_KINDS = ("train", "fine_tune", "import_model", "export_model", "verify", "draw", "evaluate")


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
    """The loss or its gradient stayed infinite or not a number, and neither leaving out steps nor going back to an
    earlier checkpoint helped; or the model of the last step predicts nothing any more.
    """
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
    """Steps done and recorded; of a verification those that were compared, of an import or export 1 at its end."""
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
class Usage(Value):
    """What a job has taken."""

    training_seconds: float | None
    """Seconds in steps, over all attempts; evaluations, checkpoints and start are not counted."""
    peak_memory_bytes: int | None
    """Most memory that its trainer held at once, in bytes: of the device if that has its own, else of the process."""


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
    fine_tune: FineTuneSpec | None
    """Training that goes on from a model."""
    import_model: ImportModelSpec | None
    """Bringing a model from elsewhere."""
    export_model: ExportModelSpec | None
    """Writing a model in a form that others read."""
    verify: VerifySpec | None
    """Computing steps again."""
    draw: DrawSpec | None
    """Drawing of answers."""
    evaluate: EvaluateSpec | None
    """Measuring of a model."""
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
    usage: Usage | None
    """What it has taken so far, to be held against the forecast."""

    @property
    def kind(self) -> str:
        """The name of the specification that is set, such as `fine_tune`; empty for what only a newer service knows."""
        return next((kind for kind in JOB_KINDS if getattr(self, kind) is not None), "")

    @property
    def model(self) -> str:
        """The version that it published, else the id of the model that it works for; empty if there is none."""
        spec = self.train or self.fine_tune or self.import_model or self.export_model
        return self.model_version or (spec.model if spec else "")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Receipt(Value):
    """What a run can be held to.

    Two runs with the same seed, data, versions, precision and threads have the same chains.
    """

    job: str
    """The job."""
    seed: int
    """Seed of weights and data order."""
    dataset_sha256s: tuple[str, ...]
    """SHA-256 of each dataset, in the order of the specification; hexadecimal."""
    environment: Mapping[str, str]
    """What computed it: versions, device, precision, threads, by name."""
    step: int
    """Last recorded step."""
    lineage: int
    """Number of the line of steps; above 1 after a rollback."""
    data_chain: str
    """Chain of hashes over which samples each step trained on, up to `step`; hexadecimal."""
    loss_chain: str
    """Chain of hashes over the loss and gradient norm of each step, up to `step`; hexadecimal."""
    manifest_sha256: str
    """SHA-256 of the manifest of the published weights, once there are any; hexadecimal."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class JobFile(Value):
    """A file that a job has made."""

    filename: str
    """Its name, such as `model.safetensors`."""
    size_bytes: int
    """Its size in bytes."""
    sha256: str
    """SHA-256 of its bytes, hexadecimal."""


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

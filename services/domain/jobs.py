"""Jobs, their attempts and checkpoints: what the house knows of a piece of work."""

import dataclasses
import datetime
import enum
import re

from services.domain.datasets import Dataset
from services.domain.forecast import Forecast
from services.domain.job_states import HELD, Desire, JobState, Trigger, next_state
from services.domain.models import ModelFiles
from services.domain.work import TRAINED, DrawSpec, TrainedWork, VerifySpec, Work

CHECKPOINTS = "checkpoints"
_FILE_SET = re.compile(rf"{CHECKPOINTS}/([0-9a-f-]{{36}})/e([0-9]{{1,18}})/step-[0-9]+(?:-l([0-9]{{1,18}}))?")


class FailureReason(enum.Enum):
    """Why a job failed for good."""

    BAD_INPUT = "BAD_INPUT"
    NO_PROGRESS = "NO_PROGRESS"
    INTERRUPTED_TOO_OFTEN = "INTERRUPTED_TOO_OFTEN"
    DIVERGED = "DIVERGED"
    OUT_OF_MEMORY = "OUT_OF_MEMORY"
    HOST_OUT_OF_MEMORY = "HOST_OUT_OF_MEMORY"
    NO_CHECKPOINT = "NO_CHECKPOINT"
    NO_SPACE = "NO_SPACE"
    TRAINER_ERROR = "TRAINER_ERROR"
    INPUT_GONE = "INPUT_GONE"


@dataclasses.dataclass(frozen=True, kw_only=True)
class JobFailure:
    """Why a job failed, and what would help."""

    reason: FailureReason
    message: str
    help: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """One piece of work. Verbs change it by `dataclasses.replace` and `moved`, and keep it with its keeper."""

    project_id: str
    id: str
    uid: str
    state: JobState
    desire: Desire
    spec: Work
    forecast: Forecast
    dataset_uid: str
    """Its first dataset; empty for work that reads none."""
    creator: str
    create_time: datetime.datetime
    update_time: datetime.datetime
    labels: dict[str, str] = dataclasses.field(default_factory=dict)
    mixture_uids: tuple[str, ...] = ()
    """The datasets of the mixture, in the order of the specification."""
    tokenizer_uid: str = ""
    """The dataset that holds the tokenizer, if one does."""
    base: ModelFiles | None = None
    """What it begins with, if not with nothing."""
    start_time: datetime.datetime | None = None
    end_time: datetime.datetime | None = None
    failure: JobFailure | None = None
    model_version: str = ""
    # the lease
    epoch: int = 0
    worker_id: str = ""
    lease_until: datetime.datetime | None = None
    not_before: datetime.datetime | None = None
    # the record
    last_seq: int = 0
    lineage: int = 1
    """Number of the line of steps; going back to an earlier step begins the next one."""
    line_start: int = 0
    """The step at which the present line left the one before."""
    recorded_step: int = 0
    sampled_step: int = 0
    checkpoint_step: int | None = None
    loss: float | None = None
    validation_loss: float | None = None
    tokens_per_second: float | None = None
    training_s: float = 0.0
    peak_memory_bytes: int | None = None
    # the budgets
    interruptions: int = 0
    attempts_without_progress: int = 0
    host_out_of_memory: int = 0

    @property
    def name(self) -> str:
        """Its resource name; empty for one that was only validated."""
        return f"projects/{self.project_id}/jobs/{self.id}" if self.id else ""

    @property
    def kind(self) -> str:
        """What kind of work it is."""
        return self.spec.kind

    @property
    def input_uids(self) -> tuple[str, ...]:
        """Every dataset that it reads."""
        return tuple(uid for uid in (self.dataset_uid, *self.mixture_uids, self.tokenizer_uid) if uid)

    @property
    def usage(self) -> "Usage | None":
        """What it has taken so far; None before anything was measured."""
        if not self.training_s and self.peak_memory_bytes is None:
            return None
        return Usage(training_s=self.training_s or None, peak_memory_bytes=self.peak_memory_bytes)

    @property
    def held(self) -> bool:
        """Whether a worker holds it."""
        return self.state in HELD and self.lease_until is not None

    @property
    def pausing(self) -> bool:
        """Whether a pause was asked for and has not taken effect yet."""
        return self.desire is Desire.PAUSE and self.state in (JobState.STARTING, JobState.RUNNING)

    @property
    def done_steps(self) -> int:
        """Steps of its specification that are done: those that only lead to what is compared do not count."""
        if isinstance(self.spec, VerifySpec):
            return min(max(self.recorded_step - self.spec.first_step + 1, 0), self.spec.steps)
        if self.kind in TRAINED or isinstance(self.spec, DrawSpec):
            return self.recorded_step
        return self.spec.steps if self.state is JobState.SUCCEEDED else 0

    @property
    def remaining_s(self) -> float | None:
        """Seconds until training is complete at the present speed, if that can be said."""
        if not self.tokens_per_second or not self.spec.tokens_per_step:
            return None
        return (self.spec.steps - self.recorded_step) * self.spec.tokens_per_step / self.tokens_per_second

    def moved(self, trigger: Trigger) -> "Job":
        """Return the job after a trigger. Raises: WrongState."""
        return dataclasses.replace(self, state=next_state(self.state, trigger))

    def released(self) -> "Job":
        """Return the job without its lease."""
        return dataclasses.replace(self, worker_id="", lease_until=None)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Usage:
    """What a job has taken: seconds in steps over all attempts, and the most memory that it held at once."""

    training_s: float | None = None
    peak_memory_bytes: int | None = None


class AttemptEnd(enum.Enum):
    """How an attempt ended."""

    COMPLETE = "COMPLETE"
    PAUSED = "PAUSED"
    CANCELLED = "CANCELLED"
    DRAINED = "DRAINED"
    INTERRUPTED = "INTERRUPTED"
    FAILED = "FAILED"
    LEASE_LOST = "LEASE_LOST"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Attempt:
    """One try of one worker at a job; `epoch` counts them."""

    job_uid: str
    epoch: int
    worker_id: str
    claim_id: str
    start_time: datetime.datetime
    first_recorded_step: int
    """What was recorded when it began; what it tells up to here, it tells again."""
    end_time: datetime.datetime | None = None
    end: AttemptEnd | None = None
    message: str = ""
    last_fact_seq: int = 0
    steps: int = 0
    """Steps whose time was measured."""
    seconds: float = 0.0
    """Time of those steps together."""


class CheckpointState(enum.Enum):
    """Whether a checkpoint can be trusted."""

    COMMITTED = "COMMITTED"
    VERIFIED = "VERIFIED"
    CORRUPT = "CORRUPT"
    COLLECTED = "COLLECTED"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The full state of a run after a step, complete in the artifact store."""

    uid: str
    job_uid: str
    lineage: int
    step: int
    epoch: int
    state: CheckpointState
    artifact_prefix: str
    manifest_sha256: str
    size_bytes: int
    create_time: datetime.datetime
    complete: bool = False
    abandoned: bool = False
    """Whether the run went back to an earlier step since: it is not resumed from any more."""
    parameters: int = 0
    validation_loss: float | None = None
    validation_bits_per_byte: float | None = None

    @property
    def usable(self) -> bool:
        """Whether its files are there and right, as far as anybody knows."""
        return self.state in (CheckpointState.COMMITTED, CheckpointState.VERIFIED)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecordedStep:
    """What was recorded of a step; `loss` is None if it was not finite."""

    step: int
    data_chain: str
    loss_chain: str
    loss: float | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verification:
    """Steps of another job that are to be computed again: what it does, and what was recorded of it."""

    spec: TrainedWork
    lineage: int
    first_step: int
    recorded: tuple[RecordedStep, ...]

    @property
    def kind(self) -> str:
        """What kind of work the other job is."""
        return self.spec.kind


@dataclasses.dataclass(frozen=True, kw_only=True)
class Assignment:
    """All that a trainer needs to know. `resume` is a checkpoint of the job, or of the one that is verified."""

    job: Job
    token: bytes = dataclasses.field(repr=False)
    dataset: Dataset | None
    resume: Checkpoint | None
    mixture: tuple[Dataset, ...] = ()
    tokenizer: Dataset | None = None
    base: ModelFiles | None = None
    verification: Verification | None = None
    models: tuple[ModelFiles, ...] = ()
    """What answers are drawn from, in the order of the specification."""
    reward_model: ModelFiles | None = None
    """What scores answers, if a model does."""

    @property
    def checkpoint_prefix(self) -> str:
        """Where this attempt writes its checkpoints."""
        return checkpoint_prefix(self.job.uid, epoch=self.job.epoch)


def checkpoint_prefix(job_uid: str, *, epoch: int) -> str:
    """Return where an attempt writes its checkpoints; the epoch keeps a stale writer off its successor's files."""
    return f"{CHECKPOINTS}/{job_uid}/e{epoch}"


def line_of_checkpoint(artifact_prefix: str) -> int:
    """Return the line of steps in the name of a file set; 0 for a name without one.

    After a rollback the same attempt computes the same steps anew: `step-50-l2` and `step-50` lie side by side.
    """
    found = _FILE_SET.fullmatch(artifact_prefix)
    return int(found[3] or 0) if found else 0


def attempt_of_checkpoint(artifact_prefix: str) -> tuple[str, int] | None:
    """Return the job's uid and the epoch in the name of a file set, None for a name that is not one of ours."""
    found = _FILE_SET.fullmatch(artifact_prefix)
    return (found[1], int(found[2])) if found else None

"""What verbs may ask of the keepers of jobs, and of the machines that run them."""

import datetime
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from services.domain.filters import Filter
from services.domain.job_events import Happening, JobEvent, MetricLogged, Note
from services.domain.job_states import Desire, JobState
from services.domain.jobs import Attempt, Checkpoint, CheckpointState, Job
from services.domain.metrics import MetricSeries
from services.domain.pages import Page
from services.domain.projects import Caller
from services.domain.requests import RequestKey
from services.domain.speeds import MeasuredSpeed
from services.domain.workers import Queue, Worker, WorkerInfo


class Jobs(Protocol):
    """Keeps jobs. `lock` holds the row until the unit of work ends; `save` writes what a verb decided."""

    def add(self, job: Job) -> None:
        """Keep a new job. Raises: AlreadyExists."""
        ...

    def find(self, project_id: str, job_id: str) -> Job | None: ...

    def find_by_uid(self, uid: str) -> Job | None: ...

    def lock(self, project_id: str, job_id: str) -> Job | None: ...

    def lock_by_uid(self, uid: str) -> Job | None: ...

    def save(self, job: Job) -> None:
        """Write what may change of a job; its `update_time` is told by the verb."""
        ...

    def prolong(self, uid: str, *, epoch: int, lease_until: datetime.datetime) -> Desire | None:
        """Move the end of a lease, and return what is wanted of the job; None if this epoch does not hold it."""
        ...

    def page(self, project_id: str, *, matching: Filter, page: Page) -> Sequence[Job]:
        """Return at most `page.size` + 1 jobs in the order of the page, after its last key."""
        ...

    def lock_claimable(self, *, now: datetime.datetime, wished_uid: str, without_projects: Iterable[str]) -> Job | None:
        """Return and lock the job that may be claimed next: the one wished for if it may be, else the oldest."""
        ...

    def lock_expired(self, *, now: datetime.datetime) -> Job | None:
        """Return and lock a job that is held under a lease that is over."""
        ...

    def claimable_before(self, *, now: datetime.datetime, waiting_since: datetime.datetime) -> Sequence[str]:
        """Return the uids of jobs that could be claimed now and have not changed since then."""
        ...

    def count(self, project_id: str, *, states: Iterable[JobState]) -> int: ...

    def count_ahead(self, job: Job) -> int:
        """Return how many waiting jobs of its project will be claimed before it."""
        ...

    def waiting_s(self, *, before: Job | None) -> Sequence[float | None]:
        """Return the forecast durations of the jobs of all projects that wait, or of those before a job, in order."""
        ...

    def of_workers(self, project_id: str, worker_ids: Iterable[str]) -> Mapping[str, Sequence[str]]:
        """Return the names of a project's jobs that these workers hold, by worker."""
        ...

    def held(self) -> Sequence[Job]:
        """Return the jobs of all projects that a worker holds."""
        ...

    def open_job_using(self, dataset_uid: str) -> str | None:
        """Return the name of a job that is not over and uses the dataset."""
        ...

    def queue(self, *, now: datetime.datetime) -> Queue:
        """Return the one queue with its counts over all projects."""
        ...


class Attempts(Protocol):
    """Keeps attempts."""

    def add(self, attempt: Attempt) -> None: ...

    def find(self, job_uid: str, *, epoch: int) -> Attempt | None: ...

    def find_by_claim(self, claim_id: str) -> Attempt | None: ...

    def save(self, attempt: Attempt) -> None: ...

    def latest(self, job_uid: str, *, ended: bool) -> Attempt | None:
        """Return the newest attempt that has, or has not, ended."""
        ...

    def speeds(self) -> Sequence[MeasuredSpeed]:
        """Return what the newest attempts of this cluster measured."""
        ...


class Events(Protocol):
    """Keeps the history of jobs: events and metrics under one gapless sequence."""

    def append(self, job: Job, happenings: Sequence[Happening], *, time: datetime.datetime) -> Job:
        """Append in order, and return the job with its sequence moved on; the verb saves it."""
        ...

    def read(self, job_uid: str, *, after: int, count_max: int) -> Sequence[JobEvent]:
        """Return what happened after a cursor, metrics included, oldest first."""
        ...

    def read_without_metrics(self, job_uid: str, *, after: int, count_max: int) -> Sequence[JobEvent]: ...

    def latest_note(self, job_uid: str, *, kind: str) -> Note | None:
        """Return the newest note of a kind."""
        ...

    def last_seqs(self, job_uids: Iterable[str]) -> Mapping[str, int]:
        """Return the last cursor of each job: what the tailer asks."""
        ...


class Metrics(Protocol):
    """Reads curves; their points are appended through `Events`."""

    def series(
        self, job_uid: str, *, keys: Sequence[str], step_min: int, step_max: int | None, points_max: int
    ) -> Sequence[MetricSeries]:
        """Return curves of at most `points_max` points each, thinned in SQL."""
        ...

    def at(self, job_uid: str, *, step: int) -> MetricLogged | None:
        """Return the metrics of a step, those of its latest line."""
        ...

    def lineage_at(self, job_uid: str, *, step: int) -> int | None:
        """Return the line of steps to which a step belongs, None for a step that is not recorded."""
        ...

    def count_recorded(self, job_uid: str, *, lineage: int, after: int, last: int) -> int:
        """Return how many of these steps are recorded in a line of steps."""
        ...

    def recorded(self, job_uid: str, *, lineage: int, after: int, last: int) -> Sequence[MetricLogged]:
        """Return the metrics of the steps after one up to the last that were recorded in a line of steps, in order."""
        ...


class Checkpoints(Protocol):
    """Keeps checkpoints."""

    def add(self, checkpoint: Checkpoint) -> None: ...

    def find(self, job_uid: str, *, step: int) -> Checkpoint | None:
        """Return the checkpoint of a step that a run may go on from."""
        ...

    def find_at(self, artifact_prefix: str) -> Checkpoint | None:
        """Return the checkpoint with these files, in whatever state."""
        ...

    def newest_usable(self, job_uid: str) -> Checkpoint | None: ...

    def usable(self, job_uid: str) -> Sequence[Checkpoint]:
        """Return all checkpoints that a run may go on from, newest first."""
        ...

    def lock(self, uids: Sequence[str]) -> Sequence[Checkpoint]: ...

    def abandon(self, job_uid: str, *, after: int) -> None:
        """Go on from no checkpoint after this step any more: the run went back."""
        ...

    def set_state(self, uid: str, state: CheckpointState) -> None: ...

    def states(self, artifact_prefixes: Sequence[str]) -> Mapping[str, CheckpointState]:
        """Return the states of those checkpoints that have a row, by their place in the store."""
        ...

    def page(self, job_uid: str, *, before: tuple[int, int, int] | None, count_max: int) -> Sequence[Checkpoint]:
        """Return checkpoints before a step, line and epoch, newest first."""
        ...

    def crowded(self, *, kept: int, since: datetime.datetime) -> Sequence[str]:
        """Return the uids of jobs with more usable checkpoints than are kept, and a new one since then."""
        ...

    def collectable(self, job_uids: Sequence[str], *, kept: int, count_max: int) -> Sequence[Checkpoint]:
        """Return usable checkpoints of these jobs that nobody needs any more."""
        ...


class Outbox(Protocol):
    """Keeps the bells that are still to be rung."""

    def add(self, job_uid: str, *, due_time: datetime.datetime) -> None: ...

    def due(self, *, now: datetime.datetime, count_max: int) -> Sequence[tuple[int, str]]:
        """Return ids and job uids of bells that are due, oldest first."""
        ...

    def remove(self, ids: Sequence[int]) -> None: ...

    def count(self) -> int: ...


class Workers(Protocol):
    """Keeps who was heard from."""

    def hear(self, info: WorkerInfo, *, now: datetime.datetime) -> None: ...

    def page(
        self, *, after: tuple[datetime.datetime, str] | None, count_max: int, now: datetime.datetime, lease_s: float
    ) -> Sequence[Worker]:
        """Return workers, most recently heard from first, without their jobs."""
        ...

    def alive(self, *, now: datetime.datetime, lease_s: float) -> Sequence[WorkerInfo]: ...

    def forget(self, *, unheard_since: datetime.datetime) -> int: ...


class Requests(Protocol):
    """Remembers repeatable mutations: UNIQUE(project, method, request_id)."""

    def find(self, caller: Caller, key: RequestKey) -> str | None:
        """Return the resource that an earlier call with this key made. Raises: RequestIdReused for another body."""
        ...

    def remember(self, caller: Caller, key: RequestKey, *, resource: str, time: datetime.datetime) -> str | None:
        """Remember, and return None; or return the resource of an earlier call, as `find`.

        Waits for a call with the same key that is just being committed. An empty request_id is not remembered.
        """
        ...

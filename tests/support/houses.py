"""Houses for tests: real storage on either database, real files, and the clock and the dice in our hands."""

import dataclasses
import datetime
import hashlib
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

import artifacts
from services.domain.datasets import Dataset, DatasetFormat, DatasetSplit, DatasetState
from services.domain.errors import Unavailable
from services.domain.job_events import CheckpointWritten, Fact, MetricLogged, Note, NoteLevel, SampleDrawn
from services.domain.job_states import JobState
from services.domain.jobs import Assignment, AttemptEnd, Job, JobFailure, checkpoint_prefix
from services.domain.projects import ApiKey, Caller, Project, Role
from services.domain.requests import NO_REQUEST_KEY, RequestKey
from services.domain.seals import Keys
from services.domain.training import ArchitectureDraft, OptimizationDraft, TrainDraft
from services.domain.workers import WorkerInfo
from services.jobs.claim_job import claim_job
from services.jobs.commit_checkpoint import commit_checkpoint
from services.jobs.finish_attempt import finish_attempt
from services.jobs.report_facts import report_facts
from services.jobs.train import train
from services.ports import House, Leases
from services.storage.tables.jobs import job as job_table
from services.storage.unit_of_work import SqlStorage

TEXT = b"To be, or not to be, that is the question.\n" * 100
A_TIME = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


class HandClock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime.datetime:
        """Return the time."""
        return A_TIME + datetime.timedelta(seconds=self.seconds)

    def monotonic_s(self) -> float:
        """Return the seconds that have gone by."""
        return self.seconds


class CountingChance:
    """Uids that count up, and dice that always show the middle."""

    def __init__(self, *, start: int = 0) -> None:
        self._count = start

    def uid(self) -> str:
        """Return the next UUID."""
        self._count += 1
        return f"{self._count:08x}-0000-4000-8000-000000000000"

    def seed(self) -> int:
        """Return a seed."""
        return 1234

    def jitter(self) -> float:
        """Return the middle."""
        return 0.0


class RingRecorder:
    """Remembers for whom the bell was rung; `broken` is a broker that does not answer."""

    def __init__(self) -> None:
        self.rung: list[str] = []
        self.broken = False

    def ring(self, job_uid: str) -> None:
        """Ring. Raises: Unavailable."""
        if self.broken:
            raise Unavailable("the broker does not answer")
        self.rung.append(job_uid)


@dataclasses.dataclass(frozen=True)
class Bench:
    """A house with a project, a key and a dataset in it, and short words for what happens to jobs."""

    house: House
    caller: Caller
    dataset: Dataset
    clock: HandClock
    bells: RingRecorder

    @property
    def storage(self) -> SqlStorage:
        """The storage, with its engine."""
        assert isinstance(self.house.storage, SqlStorage)
        return self.house.storage

    def calling(self, method: str) -> Caller:
        """Return the caller in another method."""
        return dataclasses.replace(self.caller, method=f"tutelage.v1.Jobs/{method}")

    def submit(
        self, *, job_id: str = "", request: RequestKey = NO_REQUEST_KEY, caller: Caller | None = None, **draft: Any
    ) -> Job:
        """Submit a small job."""
        caller = caller or self.calling("Train")
        asked = small_draft(f"projects/{caller.project_id}/datasets/plays", **draft)
        return train(self.house, caller=caller, parent="projects/-", draft=asked, job_id=job_id, request=request)

    def claim(self, *, worker: str = "w1", claim_id: str = "", wished: str = "") -> Assignment | None:
        """Let a worker claim."""
        claim_id = claim_id or self.house.chance.uid()
        return claim_job(self.house, worker=worker_info(worker), claim_id=claim_id, wished_job_uid=wished)

    def started(self, **submit: Any) -> Assignment:
        """Return the assignment of a job that was just submitted and claimed."""
        submitted = self.submit(**submit)
        assignment = self.claim(wished=submitted.uid)
        assert assignment is not None
        return assignment

    def report(self, at: Assignment, *facts: Fact) -> int:
        """Report facts."""
        return report_facts(self.house, job_uid=at.job.uid, epoch=at.job.epoch, facts=facts)

    def written(
        self, at: Assignment, *, step: int, content: bytes = b"weights", complete: bool = False, lineage: int = 0
    ) -> CheckpointWritten:
        """Write a checkpoint into the store; on a line of steps other than the first, its name says which."""
        line = f"-l{lineage}" if lineage else ""
        prefix = f"{checkpoint_prefix(at.job.uid, epoch=at.job.epoch)}/step-{step}{line}"
        stored = self.house.store.write_file_set(prefix, lambda folder: _fill(folder, content))
        return CheckpointWritten(
            step=step,
            artifact_prefix=prefix,
            manifest_sha256=stored.manifest_sha256,
            size_bytes=stored.size_bytes,
            complete=complete,
            parameters=at.job.spec.parameters,
            validation_loss=1.5 if complete else None,
            lineage=lineage,
        )

    def commit(self, at: Assignment, written: CheckpointWritten, *, through_seq: int = 0) -> None:
        """Commit a checkpoint."""
        commit_checkpoint(self.house, job_uid=at.job.uid, epoch=at.job.epoch, written=written, through_seq=through_seq)

    def finish(
        self, at: Assignment, end: AttemptEnd, *, through_seq: int = 0, failure: JobFailure | None = None
    ) -> JobState:
        """Finish an attempt."""
        return finish_attempt(
            self.house, job_uid=at.job.uid, epoch=at.job.epoch, end=end, through_seq=through_seq, failure=failure
        )

    def complete(self, at: Assignment) -> JobState:
        """Write, commit and publish the last checkpoint."""
        self.commit(at, self.written(at, step=at.job.spec.steps, complete=True))
        return self.finish(at, AttemptEnd.COMPLETE)

    def job(self, uid: str) -> Job:
        """Return a job as it is."""
        with self.house.storage.read() as uow:
            found = uow.jobs.find_by_uid(uid)
        assert found is not None
        return found

    def history(self, uid: str) -> list[Any]:
        """Return everything that happened to a job."""
        with self.house.storage.read() as uow:
            return list(uow.events.read(uid, after=0, count_max=1000))

    def expire_lease(self, uid: str) -> None:
        """Let a lease be over, as if its time had gone by."""
        self._set(uid, lease_until=A_TIME)

    def make_due(self, uid: str) -> None:
        """Let a backoff be over."""
        self._set(uid, not_before=A_TIME)

    def _set(self, uid: str, **values: Any) -> None:
        with self.storage.engine.begin() as connection:
            connection.execute(sa.update(job_table).where(job_table.c.uid == uid).values(**values))


def make_bench(storage: SqlStorage, *, artifacts_dir: pathlib.Path, project_id: str = "own") -> Bench:
    """Return a bench on a database that has the tables and nothing else of this project."""
    clock, bells = HandClock(), RingRecorder()
    house = House(
        storage=storage,
        dispatcher=bells,
        store=artifacts.open_store(artifacts_dir.as_uri()),
        clock=clock,
        chance=CountingChance(start=int(hashlib.sha256(project_id.encode()).hexdigest()[:6], 16)),
        keys=Keys(b"k" * 32),
        leases=Leases(),
        version="0.0.0",
    )
    caller = add_project(house, project_id)
    return Bench(house=house, caller=caller, dataset=add_dataset(house, project_id), clock=clock, bells=bells)


def add_project(house: House, project_id: str, **limits: int) -> Caller:
    """Add a project with an admin key, and return its caller."""
    key = ApiKey(id=f"key{project_id}".ljust(12, "0")[:12], project_id=project_id, role=Role.ADMIN, create_time=A_TIME)
    project = Project(
        id=project_id,
        uid=house.chance.uid(),
        create_time=A_TIME,
        requests_per_second=50.0,
        streams_max=100,
        open_jobs_max=limits.get("open_jobs_max", 100),
        running_jobs_max=limits.get("running_jobs_max", 10),
    )
    with house.storage.write() as uow:
        uow.projects.add(project)
        uow.api_keys.add(key, secret_hash=b"x" * 32)
        uow.commit()
    return Caller(key=key, method="tutelage.v1.Jobs/Train", request_id="call")


def add_dataset(house: House, project_id: str, *, id: str = "plays", text: bytes = TEXT) -> Dataset:
    """Add a dataset with its bytes; a tenth is held out."""
    train_bytes = len(text) * 9 // 10
    split = DatasetSplit(
        train_bytes=train_bytes, validation_bytes=len(text) - train_bytes, train_rows=90, validation_rows=10
    )
    dataset = Dataset(
        project_id=project_id,
        id=id,
        uid=house.chance.uid(),
        state=DatasetState.READY,
        format=DatasetFormat.TEXT,
        size_bytes=len(text),
        sha256=hashlib.sha256(text).hexdigest(),
        rows=100,
        characters=len(text),
        split=split,
        create_time=A_TIME,
        creator=f"projects/{project_id}/apiKeys/someone",
        filename="plays.txt",
    )
    house.store.put(dataset.artifact_key, text)
    with house.storage.write() as uow:
        uow.datasets.add(dataset)
        uow.commit()
    return dataset


def small_draft(dataset: str, **values: Any) -> TrainDraft:
    """Return a draft whose shape fits the text of the tests."""
    given: Mapping[str, Any] = {
        "architecture": ArchitectureDraft(layers=1, width=16, heads=2, context_length=16),
        "optimization": OptimizationDraft(batch_size=4),
        "steps": 10,
        **values,
    }
    return TrainDraft(dataset=dataset, **given)


def worker_info(name: str, *, slots: int = 1, draining: bool = False) -> WorkerInfo:
    """Return a worker as it describes itself."""
    return WorkerInfo(id=name, slots=slots, slots_used=0, device="cpu", version="0.0.0", draining=draining)


def step_fact(seq: int, *, step: int, **values: float) -> Fact:
    """Return the fact of a step."""
    told = {"train/loss": 5.0 - step / 10, "perf/step_seconds": 0.5, "perf/tokens_per_second": 128.0, **values}
    return Fact(seq=seq, told=MetricLogged(step=step, values=told))


def steps(first: int, last: int, *, first_seq: int = 1) -> Sequence[Fact]:
    """Return the facts of some steps."""
    return [step_fact(seq, step=step) for seq, step in enumerate(range(first, last + 1), start=first_seq)]


def sample_fact(seq: int, *, step: int, text: str = "or not") -> Fact:
    """Return the fact of a sample."""
    return Fact(seq=seq, told=SampleDrawn(step=step, prompt="To be", text=text))


def note_fact(seq: int, message: str = "hello") -> Fact:
    """Return the fact of a note."""
    return Fact(seq=seq, told=Note(level=NoteLevel.INFO, kind="environment", message=message))


def _fill(folder: pathlib.Path, content: bytes) -> None:
    (folder / "model.safetensors").write_bytes(content)

"""Keeper of jobs."""

import dataclasses
import datetime
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from services.domain import names
from services.domain.errors import AlreadyExists
from services.domain.filters import Filter, Restriction
from services.domain.forecast import Forecast
from services.domain.job_states import Desire, JobState
from services.domain.jobs import Job
from services.domain.lineage import sources_of
from services.domain.models import ModelFiles
from services.domain.pages import Page
from services.domain.work import model_id_of, work_from_json
from services.domain.workers import Queue
from services.storage.filtering import Condition, Meaning, column_meaning, condition_of
from services.storage.happenings import failure_from_json, failure_to_json
from services.storage.paging import page_of
from services.storage.tables.jobs import HELD_SQL, OPEN_SQL, WAITING_SQL, job, job_label
from services.storage.tables.lineage import job_source

QUEUE_READ_MAX = 1000
_BEGINNING = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)

# As text, so that the planner sees that the partial indexes hold all there is to look at.
_WAITING, _HELD, _OPEN = sa.text(WAITING_SQL), sa.text(HELD_SQL), sa.text(OPEN_SQL)


class Jobs:
    """A row a job."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def add(self, new: Job) -> None:
        """Keep a new job. Raises: AlreadyExists."""
        try:
            self._connection.execute(sa.insert(job).values(_values(new)))
        except sa.exc.IntegrityError as error:
            raise AlreadyExists.of(new.name) from error
        sources = [
            {"job_uid": new.uid, "source": each.source, "relation": each.relation.value} for each in sources_of(new)
        ]
        if sources:
            self._connection.execute(sa.insert(job_source), sources)
        labels = [
            {"job_uid": new.uid, "key": key, "value": value, "project_id": new.project_id}
            for key, value in new.labels.items()
        ]
        if labels:
            self._connection.execute(sa.insert(job_label), labels)

    def find(self, project_id: str, job_id: str) -> Job | None:
        """Return a job by its id."""
        return self._one(_named(project_id, job_id))

    def find_by_uid(self, uid: str) -> Job | None:
        """Return a job by its uid."""
        return self._one(sa.select(job).where(job.c.uid == uid))

    def lock(self, project_id: str, job_id: str) -> Job | None:
        """Return a job by its id, and hold its row."""
        return self._one(_named(project_id, job_id).with_for_update())

    def lock_by_uid(self, uid: str) -> Job | None:
        """Return a job by its uid, and hold its row."""
        return self._one(sa.select(job).where(job.c.uid == uid).with_for_update())

    def save(self, changed: Job) -> None:
        """Write a job."""
        values = {name: value for name, value in _values(changed).items() if name not in _UNCHANGING}
        self._connection.execute(sa.update(job).where(job.c.uid == changed.uid).values(values))

    def prolong(self, uid: str, *, epoch: int, lease_until: datetime.datetime) -> Desire | None:
        """Move the end of a lease, and return what is wanted of the job; None if this epoch does not hold it."""
        update = sa.update(job).where(job.c.uid == uid, job.c.epoch == epoch, _HELD)
        update = update.values(lease_until=lease_until).returning(job.c.desire)
        desire = self._connection.execute(update).scalar_one_or_none()
        return None if desire is None else Desire(desire)

    def page(self, project_id: str, *, matching: Filter, page: Page) -> Sequence[Job]:
        """Return at most `page.size` + 1 jobs in the order of the page, after its last key."""
        meanings = {**_MEANINGS, "labels": _label_meaning(project_id)}
        query = sa.select(job).where(job.c.project_id == project_id, condition_of(matching, meanings))
        return self._all(page_of(query, page, job.c.create_time, job.c.uid))

    def lock_claimable(self, *, now: datetime.datetime, wished_uid: str, without_projects: Iterable[str]) -> Job | None:
        """Return and lock the job that may be claimed next: the one wished for if it may be, else the oldest."""
        query = sa.select(job).where(_claimable(now), job.c.project_id.not_in(list(without_projects)))
        query = query.limit(1).with_for_update(skip_locked=True)
        wished = self._one(query.where(job.c.uid == wished_uid)) if wished_uid else None
        return wished or self._one(query.order_by(job.c.create_time, job.c.uid))

    def lock_expired(self, *, now: datetime.datetime) -> Job | None:
        """Return and lock a job that is held under a lease that is over."""
        query = sa.select(job).where(_HELD, job.c.lease_until < now).order_by(job.c.lease_until)
        return self._one(query.limit(1).with_for_update(skip_locked=True))

    def claimable_before(self, *, now: datetime.datetime, waiting_since: datetime.datetime) -> Sequence[str]:
        """Return the uids of jobs that could be claimed now and have not changed since then, oldest first."""
        due = sa.func.coalesce(job.c.not_before, job.c.update_time)
        query = sa.select(job.c.uid).where(_claimable(now), due <= waiting_since)
        query = query.order_by(job.c.create_time, job.c.uid).limit(QUEUE_READ_MAX)
        return list(self._connection.execute(query).scalars())

    def count(self, project_id: str, *, states: Iterable[JobState]) -> int:
        """Return how many jobs of a project are in one of these states."""
        words = [state.value for state in states]
        query = sa.select(sa.func.count()).where(job.c.project_id == project_id, job.c.state.in_(words))
        return self._connection.execute(query).scalar_one()

    def count_ahead(self, of: Job) -> int:
        """Return how many waiting jobs of its project will be claimed before it."""
        own = sa.tuple_(sa.literal(of.create_time, job.c.create_time.type), sa.literal(of.uid))
        query = sa.select(sa.func.count()).where(
            _WAITING,
            job.c.project_id == of.project_id,
            job.c.desire == Desire.RUN.value,
            sa.tuple_(job.c.create_time, job.c.uid) < own,
        )
        return self._connection.execute(query).scalar_one()

    def waiting_s(self, *, before: Job | None) -> Sequence[float | None]:
        """Return the forecast durations of the jobs of all projects that wait, or of those before a job, in order."""
        query = sa.select(job.c.forecast).where(_WAITING).order_by(job.c.create_time, job.c.uid).limit(QUEUE_READ_MAX)
        if before is not None:
            own = sa.tuple_(sa.literal(before.create_time, job.c.create_time.type), sa.literal(before.uid))
            query = query.where(sa.tuple_(job.c.create_time, job.c.uid) < own)
        return [Forecast.from_json(plain).duration_s for plain in self._connection.execute(query).scalars()]

    def of_workers(self, project_id: str, worker_ids: Iterable[str]) -> Mapping[str, Sequence[str]]:
        """Return the names of a project's jobs that these workers hold, by worker."""
        query = sa.select(job.c.worker_id, job.c.id).where(
            _HELD, job.c.project_id == project_id, job.c.worker_id.in_(list(worker_ids))
        )
        found: dict[str, list[str]] = {}
        # Sorted here: to spare the sorting, SQLite would read all jobs of the project in the order of their ids.
        for row in sorted(self._connection.execute(query), key=lambda row: row.id):
            found.setdefault(row.worker_id, []).append(names.JOB.format(project_id, row.id))
        return found

    def held(self) -> Sequence[Job]:
        """Return the jobs of all projects that a worker holds."""
        return self._all(sa.select(job).where(_HELD).order_by(job.c.lease_until).limit(QUEUE_READ_MAX))

    def open_job_using(self, dataset_uid: str) -> str | None:
        """Return the name of a job that is not over and uses the dataset."""
        further = sa.func.json_each if self._connection.dialect.name == "sqlite" else sa.func.jsonb_array_elements_text
        mixed = sa.select(further(job.c.mixture_uids).table_valued("value", name="mixed").c.value)
        uses = sa.or_(
            job.c.dataset_uid == dataset_uid,
            job.c.tokenizer_uid == dataset_uid,
            sa.literal(dataset_uid).in_(mixed.correlate(job).scalar_subquery()),
        )
        found = self._one(sa.select(job).where(_OPEN, uses).limit(1))
        return found.name if found else None

    def queue(self, *, now: datetime.datetime) -> Queue:
        """Return the one queue with its counts over all projects."""
        # The second conditions are always true: with them SQLite takes the partial indexes, else a larger one, whole.
        waits = sa.and_(_WAITING, job.c.create_time >= _BEGINNING)
        waiting, oldest = self._connection.execute(
            sa.select(sa.func.count(), sa.func.min(job.c.create_time)).where(waits)
        ).one()
        is_held = sa.and_(_HELD, job.c.lease_until.is_not(None))
        held = self._connection.execute(sa.select(sa.func.count()).where(is_held)).scalar_one()
        oldest_wait_s = (now - oldest).total_seconds() if oldest else 0.0
        return Queue(id="default", waiting_jobs=waiting, held_jobs=held, oldest_wait_s=max(0.0, oldest_wait_s))

    def _one(self, query: sa.Select[Any]) -> Job | None:
        return next(iter(self._all(query)), None)

    def _all(self, query: sa.Select[Any]) -> list[Job]:
        return [_job(dict(row)) for row in self._connection.execute(query).mappings()]


def _named(project_id: str, job_id: str) -> sa.Select[Any]:
    return sa.select(job).where(job.c.project_id == project_id, job.c.id == job_id)


def _claimable(now: datetime.datetime) -> Condition:
    due = sa.or_(job.c.not_before.is_(None), job.c.not_before <= now)
    return sa.and_(_WAITING, job.c.desire == Desire.RUN.value, due)


def _label_meaning(project_id: str) -> Meaning:
    def meaning(restriction: Restriction) -> Condition:
        # Asked once for the page and answered by the index, instead of once for each job of the project.
        labelled = sa.select(job_label.c.job_uid).where(
            job_label.c.project_id == project_id,
            job_label.c.key == restriction.key,
            job_label.c.value == restriction.value,
        )
        return job.c.uid.in_(labelled) if restriction.operator == "=" else job.c.uid.not_in(labelled)

    return meaning


_MEANINGS = {
    "state": column_meaning(job.c.state),
    "create_time": column_meaning(job.c.create_time),
    "end_time": column_meaning(job.c.end_time),
    "model": column_meaning(job.c.model_id),
    "dataset": column_meaning(job.c.dataset_id),
}


_UNCHANGING = frozenset(
    [
        "uid",
        "project_id",
        "id",
        "kind",
        "spec",
        "forecast",
        "dataset_uid",
        "mixture_uids",
        "tokenizer_uid",
        "base",
        "base_prefix",
        "dataset_id",
        "model_id",
        "creator",
        "create_time",
        "labels",
    ]
)


def _values(of: Job) -> dict[str, Any]:
    plain = {field.name: getattr(of, field.name) for field in dataclasses.fields(of)}
    return plain | {
        "state": of.state.value,
        "desire": of.desire.value,
        "kind": of.kind,
        "spec": of.spec.to_json(),
        "forecast": of.forecast.to_json(),
        "failure": failure_to_json(of.failure),
        "dataset_uid": of.dataset_uid or None,
        "tokenizer_uid": of.tokenizer_uid or None,
        "mixture_uids": list(of.mixture_uids),
        "base": of.base.to_json() if of.base else None,
        "base_prefix": of.base.artifact_prefix if of.base else "",
        "dataset_id": of.spec.dataset.rsplit("/", 1)[-1],
        "model_id": model_id_of(of.spec),
    }


def _job(row: dict[str, Any]) -> Job:
    kind = row.pop("kind")
    del row["dataset_id"], row["model_id"], row["base_prefix"]
    decided = {
        "state": JobState(row["state"]),
        "desire": Desire(row["desire"]),
        "spec": work_from_json(kind, row["spec"]),
        "forecast": Forecast.from_json(row["forecast"]),
        "failure": failure_from_json(row["failure"]),
        "dataset_uid": row["dataset_uid"] or "",
        "tokenizer_uid": row["tokenizer_uid"] or "",
        "mixture_uids": tuple(row["mixture_uids"]),
        "base": ModelFiles.from_json(row["base"]) if row["base"] else None,
    }
    return Job(**{**row, **decided})

"""Keeper of checkpoints."""

import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from services.domain.jobs import Checkpoint, CheckpointState
from services.storage.tables.jobs import OPEN_SQL, checkpoint, job
from services.storage.tables.models import model_version

_USABLE = (CheckpointState.COMMITTED.value, CheckpointState.VERIFIED.value)


class Checkpoints:
    """A row a checkpoint: files without a row do not count."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def add(self, new: Checkpoint) -> None:
        """Keep a new checkpoint."""
        self._connection.execute(sa.insert(checkpoint).values({**dataclasses.asdict(new), "state": new.state.value}))

    def find(self, job_uid: str, *, step: int) -> Checkpoint | None:
        """Return the checkpoint of a step that a run may go on from."""
        return self._first(_line(job_uid).where(checkpoint.c.step == step))

    def find_at(self, artifact_prefix: str) -> Checkpoint | None:
        """Return the checkpoint with these files, in whatever state."""
        return self._first(sa.select(checkpoint).where(checkpoint.c.artifact_prefix == artifact_prefix))

    def newest_usable(self, job_uid: str) -> Checkpoint | None:
        """Return the checkpoint to go on from."""
        return self._first(_line(job_uid))

    def usable(self, job_uid: str) -> Sequence[Checkpoint]:
        """Return all checkpoints that a run may go on from, newest first."""
        return self._all(_line(job_uid))

    def lock(self, uids: Sequence[str]) -> Sequence[Checkpoint]:
        """Return these checkpoints, and hold their rows."""
        return self._all(sa.select(checkpoint).where(checkpoint.c.uid.in_(list(uids))).with_for_update())

    def abandon(self, job_uid: str, *, after: int) -> None:
        """Go on from no checkpoint after this step any more: the run went back."""
        left = sa.and_(checkpoint.c.job_uid == job_uid, checkpoint.c.step > after, checkpoint.c.abandoned.is_(False))
        self._connection.execute(sa.update(checkpoint).where(left).values(abandoned=True))

    def set_state(self, uid: str, state: CheckpointState) -> None:
        """Write whether a checkpoint can be trusted."""
        self._connection.execute(sa.update(checkpoint).where(checkpoint.c.uid == uid).values(state=state.value))

    def states(self, artifact_prefixes: Sequence[str]) -> Mapping[str, CheckpointState]:
        """Return the states of those checkpoints that have a row, by their place in the store."""
        query = sa.select(checkpoint.c.artifact_prefix, checkpoint.c.state)
        rows = self._connection.execute(query.where(checkpoint.c.artifact_prefix.in_(list(artifact_prefixes))))
        return {row.artifact_prefix: CheckpointState(row.state) for row in rows}

    def page(self, job_uid: str, *, before: tuple[int, int, int] | None, count_max: int) -> Sequence[Checkpoint]:
        """Return checkpoints before a step, line and epoch, newest first."""
        place = (checkpoint.c.step, checkpoint.c.lineage, checkpoint.c.epoch)
        query = sa.select(checkpoint).where(checkpoint.c.job_uid == job_uid)
        if before is not None:
            query = query.where(sa.tuple_(*place) < sa.tuple_(*map(sa.literal, before)))
        return self._all(query.order_by(*(column.desc() for column in place)).limit(count_max))

    def crowded(self, *, kept: int, since: datetime.datetime) -> Sequence[str]:
        """Return the uids of jobs with more usable checkpoints than are kept, and a new one since then."""
        changed = sa.select(checkpoint.c.job_uid).where(checkpoint.c.create_time >= since)
        query = sa.select(checkpoint.c.job_uid).where(
            checkpoint.c.state.in_(_USABLE), checkpoint.c.job_uid.in_(changed)
        )
        abandoned = sa.func.max(sa.case((checkpoint.c.abandoned, 1), else_=0))
        crowded = sa.or_(sa.func.count() > kept, abandoned == 1)
        return list(self._connection.execute(query.group_by(checkpoint.c.job_uid).having(crowded)).scalars())

    def collectable(self, job_uids: Sequence[str], *, kept: int, count_max: int) -> Sequence[Checkpoint]:
        """Return usable checkpoints of these jobs that nobody needs.

        Needed are the newest `kept` of each job that it may go on from and the complete one, whose files are those of
        the job, and what a model version, a run that began with it or a run that is computed again names.
        """
        age = sa.func.row_number().over(
            partition_by=checkpoint.c.job_uid,
            order_by=(checkpoint.c.abandoned, checkpoint.c.step.desc(), checkpoint.c.lineage.desc()),
        )
        ranked = (
            sa.select(checkpoint.c.uid, age.label("age"))
            .where(checkpoint.c.state.in_(_USABLE), checkpoint.c.job_uid.in_(list(job_uids)))
            .subquery()
        )
        query = (
            sa.select(checkpoint)
            .join(ranked, ranked.c.uid == checkpoint.c.uid)
            .where(sa.or_(ranked.c.age > kept, checkpoint.c.abandoned), checkpoint.c.complete.is_(False), ~_named())
            .limit(count_max)
        )
        return self._all(query)

    def _first(self, query: sa.Select[Any]) -> Checkpoint | None:
        return next(iter(self._all(query.limit(1))), None)

    def _all(self, query: sa.Select[Any]) -> list[Checkpoint]:
        rows = self._connection.execute(query).mappings()
        return [Checkpoint(**{**row, "state": CheckpointState(row["state"])}) for row in rows]


def _line(job_uid: str) -> sa.Select[Any]:
    """Return the query for the checkpoints that a run may go on from, newest first."""
    usable = sa.and_(checkpoint.c.state.in_(_USABLE), checkpoint.c.abandoned.is_(False))
    query = sa.select(checkpoint).where(checkpoint.c.job_uid == job_uid, usable)
    return query.order_by(checkpoint.c.step.desc(), checkpoint.c.lineage.desc())


def _named() -> sa.ColumnElement[bool]:
    """Return whether something else needs the files: a version, or a job that began, or begins, with them."""
    version = sa.exists().where(model_version.c.artifact_prefix == checkpoint.c.artifact_prefix)
    # A run that was verified is begun with for as long as that takes only; the condition on the prefix is that of the
    # index.
    needs = sa.or_(job.c.kind != "verify", sa.text(OPEN_SQL.replace("state", "job.state")))
    begun = sa.exists().where(
        job.c.base_prefix == checkpoint.c.artifact_prefix, sa.text("job.base_prefix <> ''"), needs
    )
    return sa.or_(version, begun)

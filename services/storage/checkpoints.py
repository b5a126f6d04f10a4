"""Keeper of checkpoints."""

import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from services.domain.jobs import Checkpoint, CheckpointState
from services.storage.tables.jobs import checkpoint
from services.storage.tables.models import model_version

_USABLE = (CheckpointState.COMMITTED.value, CheckpointState.VERIFIED.value)


class Checkpoints:
    """A row a checkpoint: files without a row do not count."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def add(self, new: Checkpoint) -> None:
        """Keep a new checkpoint."""
        self._connection.execute(sa.insert(checkpoint).values({**dataclasses.asdict(new), "state": new.state.value}))

    def find(self, job_uid: str, *, lineage: int, step: int) -> Checkpoint | None:
        """Return the checkpoint of a step that a run may go on from."""
        query = sa.select(checkpoint).where(
            checkpoint.c.job_uid == job_uid,
            checkpoint.c.lineage == lineage,
            checkpoint.c.step == step,
            checkpoint.c.state.in_(_USABLE),
        )
        return next(iter(self._all(query)), None)

    def newest_usable(self, job_uid: str) -> Checkpoint | None:
        """Return the checkpoint to go on from."""
        query = sa.select(checkpoint).where(checkpoint.c.job_uid == job_uid, checkpoint.c.state.in_(_USABLE))
        query = query.order_by(checkpoint.c.lineage.desc(), checkpoint.c.step.desc()).limit(1)
        return next(iter(self._all(query)), None)

    def set_state(self, uid: str, state: CheckpointState) -> None:
        """Write whether a checkpoint can be trusted."""
        self._connection.execute(sa.update(checkpoint).where(checkpoint.c.uid == uid).values(state=state.value))

    def states(self, artifact_prefixes: Sequence[str]) -> Mapping[str, CheckpointState]:
        """Return the states of those checkpoints that have a row, by their place in the store."""
        query = sa.select(checkpoint.c.artifact_prefix, checkpoint.c.state)
        rows = self._connection.execute(query.where(checkpoint.c.artifact_prefix.in_(list(artifact_prefixes))))
        return {row.artifact_prefix: CheckpointState(row.state) for row in rows}

    def page(self, job_uid: str, *, before: tuple[int, int] | None, count_max: int) -> Sequence[Checkpoint]:
        """Return checkpoints before a step and epoch, newest first."""
        query = sa.select(checkpoint).where(checkpoint.c.job_uid == job_uid)
        if before is not None:
            query = query.where(sa.tuple_(checkpoint.c.step, checkpoint.c.epoch) < sa.tuple_(*map(sa.literal, before)))
        return self._all(query.order_by(checkpoint.c.step.desc(), checkpoint.c.epoch.desc()).limit(count_max))

    def crowded(self, *, kept: int, since: datetime.datetime) -> Sequence[str]:
        """Return the uids of jobs with more than `kept` usable checkpoints and a new one since then."""
        changed = sa.select(checkpoint.c.job_uid).where(checkpoint.c.create_time >= since)
        query = sa.select(checkpoint.c.job_uid).where(
            checkpoint.c.state.in_(_USABLE), checkpoint.c.job_uid.in_(changed)
        )
        query = query.group_by(checkpoint.c.job_uid).having(sa.func.count() > kept)
        return list(self._connection.execute(query).scalars())

    def collectable(self, job_uids: Sequence[str], *, kept: int, count_max: int) -> Sequence[Checkpoint]:
        """Return usable checkpoints of these jobs that neither their newest `kept` nor a model version need."""
        age = sa.func.row_number().over(
            partition_by=checkpoint.c.job_uid, order_by=(checkpoint.c.lineage.desc(), checkpoint.c.step.desc())
        )
        ranked = (
            sa.select(checkpoint.c.uid, age.label("age"))
            .where(checkpoint.c.state.in_(_USABLE), checkpoint.c.job_uid.in_(list(job_uids)))
            .subquery()
        )
        named = sa.exists().where(model_version.c.artifact_prefix == checkpoint.c.artifact_prefix)
        query = (
            sa.select(checkpoint)
            .join(ranked, ranked.c.uid == checkpoint.c.uid)
            .where(ranked.c.age > kept, ~named)
            .limit(count_max)
        )
        return self._all(query)

    def _all(self, query: sa.Select[Any]) -> list[Checkpoint]:
        rows = self._connection.execute(query).mappings()
        return [Checkpoint(**{**row, "state": CheckpointState(row["state"])}) for row in rows]

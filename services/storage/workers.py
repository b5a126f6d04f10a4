"""Keeper of workers that were heard from."""

import datetime
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from services.domain.workers import Worker, WorkerInfo, worker_state
from services.storage.tables.workers import worker


class Workers:
    """A row a worker, as it last described itself."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert

    def hear(self, info: WorkerInfo, *, now: datetime.datetime) -> None:
        """Keep what a worker says of itself, and that it is alive."""
        told = {
            "slots": info.slots,
            "slots_used": info.slots_used,
            "device": info.device,
            "version": info.version,
            "draining": info.draining,
            "heartbeat_time": now,
        }
        insert = self._insert(worker).values(id=info.id, create_time=now, **told)
        self._connection.execute(insert.on_conflict_do_update(index_elements=["id"], set_=told))

    def page(
        self, *, after: tuple[datetime.datetime, str] | None, count_max: int, now: datetime.datetime, lease_s: float
    ) -> Sequence[Worker]:
        """Return workers, most recently heard from first, without their jobs."""
        query = sa.select(worker).order_by(worker.c.heartbeat_time.desc(), worker.c.id.desc()).limit(count_max)
        if after is not None:
            query = query.where(sa.tuple_(worker.c.heartbeat_time, worker.c.id) < sa.tuple_(*after_values(after)))
        return [_worker(row, now=now, lease_s=lease_s) for row in self._connection.execute(query)]

    def alive(self, *, now: datetime.datetime, lease_s: float) -> Sequence[WorkerInfo]:
        """Return the workers that were heard from within a lease."""
        since = now - datetime.timedelta(seconds=lease_s)
        rows = self._connection.execute(sa.select(worker).where(worker.c.heartbeat_time >= since).order_by(worker.c.id))
        return [_info(row) for row in rows]

    def forget(self, *, unheard_since: datetime.datetime) -> int:
        """Remove workers that were not heard from since then; return how many."""
        return self._connection.execute(sa.delete(worker).where(worker.c.heartbeat_time < unheard_since)).rowcount


def after_values(after: tuple[datetime.datetime, str]) -> tuple[sa.ColumnElement[object], ...]:
    """Return the position as values of the types of its columns."""
    time, worker_id = after
    return sa.literal(time, worker.c.heartbeat_time.type), sa.literal(worker_id)


def _info(row: sa.Row[tuple[object, ...]]) -> WorkerInfo:
    return WorkerInfo(
        id=row.id,
        slots=row.slots,
        slots_used=row.slots_used,
        device=row.device,
        version=row.version,
        draining=row.draining,
    )


def _worker(row: sa.Row[tuple[object, ...]], *, now: datetime.datetime, lease_s: float) -> Worker:
    state = worker_state(draining=row.draining, heartbeat_time=row.heartbeat_time, now=now, lease_s=lease_s)
    return Worker(info=_info(row), state=state, create_time=row.create_time, heartbeat_time=row.heartbeat_time)

"""Keeper of bells that are still to be rung."""

import datetime
from collections.abc import Sequence

import sqlalchemy as sa

from services.storage.tables.workers import outbox


class Outbox:
    """A row a bell, written in the transaction that it tells of."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def add(self, job_uid: str, *, due_time: datetime.datetime) -> None:
        """Keep a bell until it is due and rung."""
        self._connection.execute(sa.insert(outbox).values(job_uid=job_uid, due_time=due_time))

    def due(self, *, now: datetime.datetime, count_max: int) -> Sequence[tuple[int, str]]:
        """Return ids and job uids of bells that are due, oldest first."""
        query = sa.select(outbox.c.id, outbox.c.job_uid).where(outbox.c.due_time <= now)
        rows = self._connection.execute(query.order_by(outbox.c.due_time, outbox.c.id).limit(count_max))
        return [(row.id, row.job_uid) for row in rows]

    def remove(self, ids: Sequence[int]) -> None:
        """Forget bells that were rung."""
        self._connection.execute(sa.delete(outbox).where(outbox.c.id.in_(ids)))

    def count(self) -> int:
        """Return how many bells are still to be rung."""
        return self._connection.execute(sa.select(sa.func.count()).select_from(outbox)).scalar_one()

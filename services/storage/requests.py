"""Keeper of repeatable requests."""

import datetime

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from services.domain.errors import RequestIdReused
from services.domain.projects import Caller
from services.domain.requests import RequestKey
from services.storage.tables.projects import request


class Requests:
    """Remembers which mutation made what: UNIQUE(project, method, request_id)."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert

    def find(self, caller: Caller, key: RequestKey) -> str | None:
        """Return the resource that an earlier call with this key made. Raises: RequestIdReused."""
        if not key.request_id:
            return None
        query = sa.select(request.c.body_sha256, request.c.resource).where(
            request.c.project_id == caller.project_id,
            request.c.method == caller.method,
            request.c.request_id == key.request_id,
        )
        row = self._connection.execute(query).one_or_none()
        if row is not None and row.body_sha256 != key.body_sha256:
            raise RequestIdReused.of(key.request_id)
        return row.resource if row else None

    def remember(self, caller: Caller, key: RequestKey, *, resource: str, time: datetime.datetime) -> str | None:
        """Remember, and return None; or return the resource of an earlier call, as `find`."""
        if not key.request_id:
            return None
        values = {
            "project_id": caller.project_id,
            "method": caller.method,
            "request_id": key.request_id,
            "body_sha256": key.body_sha256,
            "resource": resource,
            "time": time,
        }
        insert = self._insert(request).values(values).on_conflict_do_nothing().returning(request.c.request_id)
        inserted = self._connection.execute(insert).one_or_none()
        return None if inserted else self.find(caller, key)

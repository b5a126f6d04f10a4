"""Keeps API keys, with keyed hashes of their secrets."""

import dataclasses
import datetime
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from services.domain.pages import Page
from services.domain.projects import ApiKey, Role
from services.storage.paging import page_of
from services.storage.tables.projects import api_key

_SHOWN = [column for column in api_key.columns if column.name != "secret_hash"]


class ApiKeys:
    """See `services.ports.ApiKeys`."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def add(self, key: ApiKey, *, secret_hash: bytes) -> None:
        """Keep a new key."""
        values = dataclasses.asdict(key) | {"role": key.role.value, "secret_hash": secret_hash}
        self._connection.execute(sa.insert(api_key).values(values))

    def find(self, project_id: str, key_id: str) -> ApiKey | None:
        """Return a key of a project."""
        return self._one(sa.select(*_SHOWN).where(api_key.c.project_id == project_id, api_key.c.id == key_id))

    def find_with_secret(self, key_id: str) -> tuple[ApiKey, bytes] | None:
        """Return a key of whatever project, and the hash of its secret."""
        row = self._connection.execute(sa.select(api_key).where(api_key.c.id == key_id)).mappings().one_or_none()
        return (_noun(row), row["secret_hash"]) if row else None

    def working_among(self, key_ids: Collection[str], *, now: datetime.datetime) -> Collection[str]:
        """Return which of these are neither revoked nor expired."""
        lasting = sa.or_(api_key.c.expire_time.is_(None), api_key.c.expire_time > now)
        query = sa.select(api_key.c.id).where(api_key.c.id.in_(key_ids), api_key.c.revoke_time.is_(None), lasting)
        return self._connection.execute(query).scalars().all()

    def count_working(self, project_id: str, *, role: Role, now: datetime.datetime) -> int:
        """Return how many keys of a role work in a project."""
        lasting = sa.or_(api_key.c.expire_time.is_(None), api_key.c.expire_time > now)
        alive = sa.and_(api_key.c.role == role.value, api_key.c.revoke_time.is_(None), lasting)
        query = sa.select(sa.func.count()).where(api_key.c.project_id == project_id, alive)
        return self._connection.execute(query).scalar_one()

    def set_revoked(self, key_id: str, *, time: datetime.datetime) -> None:
        """End a key; the first time stays."""
        unrevoked = sa.and_(api_key.c.id == key_id, api_key.c.revoke_time.is_(None))
        self._connection.execute(sa.update(api_key).where(unrevoked).values(revoke_time=time))

    def set_last_use(self, key_id: str, *, time: datetime.datetime) -> None:
        """Record a use, unless a later one is recorded."""
        older = sa.or_(api_key.c.last_use_time.is_(None), api_key.c.last_use_time < time)
        self._connection.execute(sa.update(api_key).where(api_key.c.id == key_id, older).values(last_use_time=time))

    def page(self, project_id: str, *, page: Page) -> Sequence[ApiKey]:
        """Return at most `page.size` + 1 keys of a project, in the order of (create_time, id)."""
        query = sa.select(*_SHOWN).where(api_key.c.project_id == project_id)
        found = self._connection.execute(page_of(query, page, api_key.c.create_time, api_key.c.id))
        return [_noun(row) for row in found.mappings()]

    def _one(self, query: sa.Select[Any]) -> ApiKey | None:
        row = self._connection.execute(query).mappings().one_or_none()
        return _noun(row) if row else None


def _noun(row: Mapping[Any, Any]) -> ApiKey:
    values = {str(name): value for name, value in row.items() if name != "secret_hash"}
    return ApiKey(**values | {"role": Role(row["role"])})

"""Keeps the record of what was done; rows are only ever added."""

import dataclasses
import datetime
from collections.abc import Sequence

import sqlalchemy as sa

from services.domain.pages import Page
from services.domain.projects import AuditEntry, Caller
from services.storage.paging import page_of
from services.storage.tables.projects import audit_entry

_ADD = sa.insert(audit_entry)  # with every mutation, and so put together once


class Audit:
    """See `services.ports.Audit`."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def record(self, caller: Caller, *, resource: str, time: datetime.datetime) -> None:
        """Keep that the caller's method did something to a resource, in the transaction of the effect."""
        entry = caller.did(resource, time=time)
        values = {"project_id": caller.project_id, **dataclasses.asdict(entry)}
        self._connection.execute(_ADD, values)

    def page(self, project_id: str, *, page: Page) -> Sequence[tuple[int, AuditEntry]]:
        """Return at most `page.size` + 1 entries of a project with their numbers, in the order of those."""
        query = sa.select(audit_entry).where(audit_entry.c.project_id == project_id)
        found = self._connection.execute(page_of(query, page, audit_entry.c.id)).mappings()
        names = [field.name for field in dataclasses.fields(AuditEntry)]
        return [(row["id"], AuditEntry(**{name: row[name] for name in names})) for row in found]

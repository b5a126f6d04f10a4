"""Keeps projects."""

import dataclasses
from typing import Any

import sqlalchemy as sa

from services.domain.errors import AlreadyExists
from services.domain.projects import Project
from services.storage.tables.projects import project


class Projects:
    """See `services.ports.Projects`."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def add(self, noun: Project) -> None:
        """Keep a new project. Raises: AlreadyExists."""
        try:
            self._connection.execute(sa.insert(project).values(dataclasses.asdict(noun)))
        except sa.exc.IntegrityError as error:
            raise AlreadyExists.of(noun.name) from error

    def find(self, project_id: str) -> Project | None:
        """Return a project."""
        return self._one(sa.select(project).where(project.c.id == project_id))

    def lock(self, project_id: str) -> Project | None:
        """Return a project, and hold its row; things of the project can be added meanwhile.

        Whoever adds one holds the key of the row already. Two who did would wait for each other if that stood in the
        way of this.
        """
        return self._one(sa.select(project).where(project.c.id == project_id).with_for_update(key_share=True))

    def _one(self, query: sa.Select[Any]) -> Project | None:
        row = self._connection.execute(query).mappings().one_or_none()
        return Project(**row) if row else None

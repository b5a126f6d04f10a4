"""Keeps aliases, and every move of each."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from services.domain.names import MODEL_VERSION
from services.domain.promotion import Alias, AliasMove
from services.storage.tables.aliases import alias, alias_move
from services.storage.tables.models import model

_MOVE_COLUMNS = ("version", "time", "actor", "reason", "gate", "forced", "rolled_back")


class Aliases:
    """See `services.ports.Aliases`."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def hold(self, project_id: str, model_id: str) -> None:
        """Hold the row of the model until the end: its aliases are made and moved one after another."""
        named = (model.c.project_id == project_id, model.c.id == model_id)
        self._connection.execute(sa.select(model.c.uid).where(*named).with_for_update())

    def find(self, project_id: str, model_id: str, alias_id: str) -> Alias | None:
        """Return an alias without its moves."""
        query = sa.select(alias).where(*_of_model(project_id, model_id), alias.c.id == alias_id)
        row = self._connection.execute(query).mappings().one_or_none()
        return _alias(row) if row else None

    def of_model(self, project_id: str, model_id: str) -> Sequence[Alias]:
        """Return the aliases of a model without their moves, by their ids."""
        query = sa.select(alias).where(*_of_model(project_id, model_id)).order_by(alias.c.id)
        return [_alias(row) for row in self._connection.execute(query).mappings()]

    def moves(self, of: Alias, *, count_max: int | None = None) -> Sequence[AliasMove]:
        """Return the moves of an alias, newest first."""
        query = sa.select(*(alias_move.c[name] for name in _MOVE_COLUMNS)).where(
            alias_move.c.project_id == of.project_id,
            alias_move.c.model_id == of.model_id,
            alias_move.c.alias_id == of.id,
        )
        found = self._connection.execute(query.order_by(alias_move.c.seq.desc()).limit(count_max)).mappings()
        return [AliasMove(**row, model_version=_version_name(of, row["version"])) for row in found]

    def move(self, to: Alias, move: AliasMove) -> None:
        """Keep where an alias is now, and the move that brought it there."""
        values = {column.name: getattr(to, column.name) for column in alias.columns}
        dialect = postgresql if self._connection.dialect.name == "postgresql" else sqlite
        insert = dialect.insert(alias).values(values)
        changed = {name: values[name] for name in ("version", "etag", "update_time")}
        self._connection.execute(insert.on_conflict_do_update(index_elements=list(alias.primary_key), set_=changed))
        told = {name: getattr(move, name) for name in _MOVE_COLUMNS}
        of = {"project_id": to.project_id, "model_id": to.model_id, "alias_id": to.id}
        self._connection.execute(sa.insert(alias_move).values(told | of))


def _of_model(project_id: str, model_id: str) -> tuple[sa.ColumnElement[bool], ...]:
    return (alias.c.project_id == project_id, alias.c.model_id == model_id)


def _alias(row: Mapping[Any, Any]) -> Alias:
    return Alias(**{str(name): value for name, value in row.items()})


def _version_name(of: Alias, version: int) -> str:
    return MODEL_VERSION.format(of.project_id, of.model_id, str(version))

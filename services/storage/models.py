"""Keeps models and their versions."""

import dataclasses
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from services.domain.models import Model, ModelVersion
from services.domain.names import MODEL_VERSION
from services.domain.pages import Page
from services.domain.work import published_from_json
from services.storage.paging import page_of
from services.storage.tables.aliases import alias
from services.storage.tables.models import model, model_version

_VERSION_COLUMNS = [column for column in model_version.columns if column.name != "model_uid"]
_IDS_MAX = 1000


class Models:
    """See `services.ports.Models`."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def publish(self, version: ModelVersion) -> ModelVersion:
        """Keep a version under the next number of its model; a job publishes once, a repetition returns the first."""
        earlier = self.find_version_of_job(version.job_uid)
        if earlier is not None:
            return earlier
        model_uid, versions = self._lock_model(version)
        numbered = dataclasses.replace(version, version=versions + 1)
        plain = {column.name: getattr(numbered, column.name) for column in _VERSION_COLUMNS}
        values = plain | {"model_uid": model_uid, "spec": numbered.spec.to_json()}
        self._connection.execute(sa.insert(model_version).values(values))
        newest = {"versions": numbered.version, "update_time": numbered.create_time}
        self._connection.execute(sa.update(model).where(model.c.uid == model_uid).values(newest))
        return numbered

    def find(self, project_id: str, model_id: str) -> Model | None:
        """Return a model with its newest version."""
        rows = self._connection.execute(_models().where(*_named(project_id, model_id))).mappings()
        return next(iter(self._models(rows)), None)

    def find_version(self, project_id: str, model_id: str, version: int) -> ModelVersion | None:
        """Return one version."""
        query = sa.select(*_VERSION_COLUMNS).join(model, model.c.uid == model_version.c.model_uid)
        return self._version(query.where(*_named(project_id, model_id), model_version.c.version == version))

    def find_version_of_job(self, job_uid: str) -> ModelVersion | None:
        """Return the version that a job has published."""
        return self._version(sa.select(*_VERSION_COLUMNS).where(model_version.c.job_uid == job_uid))

    def page(self, project_id: str, *, page: Page) -> Sequence[Model]:
        """Return at most `page.size` + 1 models of a project, in the order of (update_time, uid)."""
        query = _models().where(model.c.project_id == project_id)
        found = self._connection.execute(page_of(query, page, model.c.update_time, model.c.uid))
        return self._models(found.mappings())

    def page_of_versions(self, project_id: str, model_id: str, *, page: Page) -> Sequence[ModelVersion]:
        """Return at most `page.size` + 1 versions of a model, in the order of their numbers."""
        query = sa.select(*_VERSION_COLUMNS).join(model, model.c.uid == model_version.c.model_uid)
        query = page_of(query.where(*_named(project_id, model_id)), page, model_version.c.version)
        return self._versions(self._connection.execute(query).mappings())

    def ids(self, project_id: str) -> Sequence[str]:
        """Return the ids in use; at most 1000, most recently published first."""
        query = sa.select(model.c.id).where(model.c.project_id == project_id)
        return self._connection.execute(query.order_by(model.c.update_time.desc()).limit(_IDS_MAX)).scalars().all()

    def _lock_model(self, version: ModelVersion) -> tuple[str, int]:
        new = {
            "uid": str(uuid.uuid5(uuid.UUID(version.uid), "model")),
            "project_id": version.project_id,
            "id": version.model_id,
            "create_time": version.create_time,
            "update_time": version.create_time,
            "versions": 0,
        }
        dialect = postgresql if self._connection.dialect.name == "postgresql" else sqlite
        self._connection.execute(dialect.insert(model).values(new).on_conflict_do_nothing())
        query = sa.select(model.c.uid, model.c.versions).where(*_named(version.project_id, version.model_id))
        found = self._connection.execute(query.with_for_update()).one()
        return found.uid, found.versions

    def _version(self, query: sa.Select[Any]) -> ModelVersion | None:
        return next(iter(self._versions(self._connection.execute(query).mappings())), None)

    def _versions(self, rows: Iterable[Mapping[Any, Any]]) -> Sequence[ModelVersion]:
        """Return versions with the aliases that they have."""
        versions = [_model_version(row) for row in rows]
        found = self._aliases(versions)
        return [dataclasses.replace(each, aliases=tuple(found[each.name])) for each in versions]

    def _models(self, rows: Iterable[Mapping[Any, Any]]) -> Sequence[Model]:
        models = [_model(row) for row in rows]
        found = self._aliases([each.latest_version for each in models])
        return [
            dataclasses.replace(
                each,
                latest_version=dataclasses.replace(each.latest_version, aliases=tuple(found[each.latest_version.name])),
            )
            for each in models
        ]

    def _aliases(self, versions: Sequence[ModelVersion]) -> Mapping[str, Sequence[str]]:
        """Return the aliases of versions of one project, by the names of these."""
        found: defaultdict[str, list[str]] = defaultdict(list)
        if not versions:
            return found
        project_id = versions[0].project_id
        model_ids = {each.model_id for each in versions}
        query = sa.select(alias).where(alias.c.project_id == project_id, alias.c.model_id.in_(model_ids))
        for row in self._connection.execute(query.order_by(alias.c.id)):
            found[MODEL_VERSION.format(project_id, row.model_id, str(row.version))].append(row.id)
        return found


def _models() -> sa.Select[Any]:
    """Return the query for models, each with the columns of its newest version under `version_…`."""
    newest = sa.and_(model_version.c.model_uid == model.c.uid, model_version.c.version == model.c.versions)
    labelled = [column.label(f"version_{column.name}") for column in _VERSION_COLUMNS]
    return sa.select(model, *labelled).join(model_version, newest)


def _named(project_id: str, model_id: str) -> tuple[sa.ColumnElement[bool], ...]:
    return (model.c.project_id == project_id, model.c.id == model_id)


def _model(row: Mapping[Any, Any]) -> Model:
    values = {column.name: row[column.name] for column in model.columns}
    newest = {column.name: row[f"version_{column.name}"] for column in _VERSION_COLUMNS}
    return Model(**values, latest_version=_model_version(newest))


def _model_version(row: Mapping[Any, Any]) -> ModelVersion:
    values = {str(name): value for name, value in row.items() if name != "kind"}
    return ModelVersion(**values | {"spec": published_from_json(row["kind"], row["spec"])})

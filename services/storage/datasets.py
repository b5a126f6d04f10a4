"""Keeps datasets."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from services.domain.datasets import Dataset, DatasetFormat, DatasetSplit, DatasetState, RowStatistics
from services.domain.errors import AlreadyExists
from services.domain.pages import Page
from services.domain.plain import from_plain, to_plain
from services.storage.paging import page_of
from services.storage.tables.datasets import dataset

_SPLIT = ("train_bytes", "validation_bytes", "train_rows", "validation_rows")
_IDS_MAX = 1000


class Datasets:
    """See `services.ports.Datasets`."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def add(self, noun: Dataset) -> None:
        """Keep a new dataset. Raises: AlreadyExists."""
        values = {column.name: getattr(noun, column.name, None) for column in dataset.columns}
        values |= {name: getattr(noun.split, name) for name in _SPLIT}
        values |= {"state": noun.state.value, "format": noun.format.value}
        values["row_statistics"] = to_plain(noun.row_statistics) if noun.row_statistics else None
        try:
            self._connection.execute(sa.insert(dataset).values(values))
        except sa.exc.IntegrityError as error:
            raise AlreadyExists.of(noun.name) from error

    def find(self, project_id: str, dataset_id: str) -> Dataset | None:
        """Return the dataset that is READY under this id."""
        return self._one(sa.select(dataset).where(_ready(project_id, dataset_id)))

    def find_by_uid(self, uid: str) -> Dataset | None:
        """Return a dataset in whatever state."""
        return self._one(sa.select(dataset).where(dataset.c.uid == uid))

    def lock(self, project_id: str, dataset_id: str) -> Dataset | None:
        """Return the dataset that is READY under this id, and hold its row."""
        return self._one(sa.select(dataset).where(_ready(project_id, dataset_id)).with_for_update())

    def ids(self, project_id: str) -> Sequence[str]:
        """Return the ids in use; at most 1000, newest first."""
        ready = sa.and_(dataset.c.project_id == project_id, dataset.c.state == DatasetState.READY.value)
        newest = sa.select(dataset.c.id).where(ready).order_by(dataset.c.create_time.desc()).limit(_IDS_MAX)
        return self._connection.execute(newest).scalars().all()

    def page(self, project_id: str, *, page: Page) -> Sequence[Dataset]:
        """Return at most `page.size` + 1 datasets that are READY, in the order of (create_time, uid)."""
        ready = sa.and_(dataset.c.project_id == project_id, dataset.c.state == DatasetState.READY.value)
        found = self._connection.execute(
            page_of(sa.select(dataset).where(ready), page, dataset.c.create_time, dataset.c.uid)
        )
        return [_noun(row) for row in found.mappings()]

    def mark_deleted(self, uid: str) -> None:
        """Set its state to DELETED, which frees its id."""
        deleted = sa.update(dataset).where(dataset.c.uid == uid).values(state=DatasetState.DELETED.value)
        self._connection.execute(deleted)

    def ready_among(self, uids: Collection[str]) -> Collection[str]:
        """Return which of these are READY."""
        ready = sa.and_(dataset.c.uid.in_(uids), dataset.c.state == DatasetState.READY.value)
        return self._connection.execute(sa.select(dataset.c.uid).where(ready)).scalars().all()

    def _one(self, query: sa.Select[Any]) -> Dataset | None:
        row = self._connection.execute(query).mappings().one_or_none()
        return _noun(row) if row else None


def _ready(project_id: str, dataset_id: str) -> sa.ColumnElement[bool]:
    return sa.and_(
        dataset.c.project_id == project_id,
        dataset.c.id == dataset_id,
        dataset.c.state == DatasetState.READY.value,
    )


def _noun(row: Mapping[Any, Any]) -> Dataset:
    values = {str(name): value for name, value in row.items() if name not in _SPLIT}
    values["split"] = DatasetSplit(**{name: row[name] for name in _SPLIT})
    values["state"] = DatasetState(row["state"])
    values["format"] = DatasetFormat(row["format"])
    statistics = row["row_statistics"]
    values["row_statistics"] = from_plain(RowStatistics, statistics) if statistics else None
    return Dataset(**values)

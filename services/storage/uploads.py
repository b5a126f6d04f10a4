"""Keeps uploads on their way, and the parts of them that have arrived."""

import dataclasses
import datetime
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from services.domain.datasets import DatasetFormat, Upload, UploadPart
from services.storage.tables.datasets import upload, upload_part


class Uploads:
    """See `services.ports.Uploads`."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def add(self, noun: Upload) -> None:
        """Keep a new upload."""
        values = dataclasses.asdict(noun) | {"format": noun.format.value}
        self._connection.execute(sa.insert(upload).values(values))

    def find(self, project_id: str, uid: str) -> Upload | None:
        """Return an upload of a project."""
        return self._one(sa.select(upload).where(upload.c.project_id == project_id, upload.c.uid == uid))

    def lock(self, project_id: str, uid: str) -> Upload | None:
        """Return an upload of a project, and hold its row."""
        query = sa.select(upload).where(upload.c.project_id == project_id, upload.c.uid == uid)
        return self._one(query.with_for_update())

    def add_part(self, uid: str, part: UploadPart) -> None:
        """Count a part as arrived. The row of the upload must be held; UNIQUE(upload, number) stands behind it."""
        self._connection.execute(sa.insert(upload_part).values(upload_uid=uid, **dataclasses.asdict(part)))
        end = part.offset_bytes + part.size_bytes
        arrived = sa.update(upload).where(upload.c.uid == uid).values(received_bytes=end, parts=part.number)
        self._connection.execute(arrived)

    def parts(self, uid: str) -> Sequence[UploadPart]:
        """Return the parts that have arrived, in order."""
        columns = [column for column in upload_part.columns if column.name != "upload_uid"]
        query = sa.select(*columns).where(upload_part.c.upload_uid == uid).order_by(upload_part.c.number)
        return [UploadPart(**row) for row in self._connection.execute(query).mappings()]

    def mark_finished(self, uid: str) -> None:
        """Remember that its dataset was made; its parts are not needed any more."""
        self._connection.execute(sa.delete(upload_part).where(upload_part.c.upload_uid == uid))
        self._connection.execute(sa.update(upload).where(upload.c.uid == uid).values(finished=True))

    def remove(self, uid: str) -> None:
        """Forget an upload and its parts."""
        self._connection.execute(sa.delete(upload_part).where(upload_part.c.upload_uid == uid))
        self._connection.execute(sa.delete(upload).where(upload.c.uid == uid))

    def expired(self, *, now: datetime.datetime, count_max: int) -> Sequence[Upload]:
        """Return uploads whose time is over, oldest first."""
        query = sa.select(upload).where(upload.c.expire_time <= now).order_by(upload.c.expire_time).limit(count_max)
        return [_noun(row) for row in self._connection.execute(query).mappings()]

    def count_open(self, project_id: str) -> int:
        """Return how many uploads of a project are not finished."""
        unfinished = sa.and_(upload.c.project_id == project_id, upload.c.finished.is_(False))
        return self._connection.execute(sa.select(sa.func.count()).where(unfinished)).scalar_one()

    def known_among(self, uids: Collection[str]) -> Collection[str]:
        """Return which of these exist and are not finished."""
        unfinished = sa.and_(upload.c.uid.in_(uids), upload.c.finished.is_(False))
        return self._connection.execute(sa.select(upload.c.uid).where(unfinished)).scalars().all()

    def dataset_uids_among(self, dataset_uids: Collection[str]) -> Collection[str]:
        """Return which of these an unfinished upload is about to become."""
        unfinished = sa.and_(upload.c.dataset_uid.in_(dataset_uids), upload.c.finished.is_(False))
        return self._connection.execute(sa.select(upload.c.dataset_uid).where(unfinished)).scalars().all()

    def _one(self, query: sa.Select[Any]) -> Upload | None:
        row = self._connection.execute(query).mappings().one_or_none()
        return _noun(row) if row else None


def _noun(row: Mapping[Any, Any]) -> Upload:
    return Upload(**{str(name): value for name, value in row.items()} | {"format": DatasetFormat(row["format"])})

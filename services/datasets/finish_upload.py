"""Checks an upload and makes the dataset.

The parts are read once: checked, counted and hashed on their way into the one object that the dataset is. A refusal
in the middle leaves no object behind. Parsing happens in this process where it is a UTF-8 decoder, a count of newlines
and Python's own JSON, nothing that a text could lead astray; the rows of a Parquet file are read by another process.
"""

import dataclasses
import datetime
import io
from collections.abc import Iterator, Sequence
from typing import Protocol

import artifacts
from services.datasets.get_upload import find_upload, lock_upload
from services.datasets.parquet_rows import inspect_parquet
from services.datasets.start_upload import check_sha256
from services.domain.archive_inspection import ArchiveInspection
from services.domain.datasets import Dataset, DatasetFormat, DatasetState, Upload, UploadPart, dataset_key
from services.domain.errors import HashMismatch, InvalidData, NotFound, WrongState
from services.domain.limits import MIB
from services.domain.names import check_request_id
from services.domain.parquet_inspection import ParquetInspection
from services.domain.projects import Caller
from services.domain.requests import RequestKey
from services.domain.row_inspection import RowInspection
from services.domain.text_inspection import Inspected, TextInspection
from services.domain.tokenizer_inspection import TokenizerInspection
from services.ports import House, UnitOfWork, store_errors


def finish_upload(house: House, *, caller: Caller, name: str, sha256: str, request: RequestKey) -> Dataset:
    """Make the dataset of a complete upload, or return the one that it has become.

    Raises: WrongState if bytes are missing, HashMismatch and InvalidData after which nothing of the upload is kept,
    AlreadyExists if the id was taken meanwhile, NotFound, NoSpace.
    """
    check_request_id(request.request_id)
    check_sha256(sha256)
    with house.storage.read() as uow:
        earlier = uow.requests.find(caller, request)
        made = uow.datasets.find_by_uid(earlier) if earlier else None
        if made is not None:
            return made
        upload = find_upload(uow, caller=caller, name=name)
        made = _made_of(uow, upload)
        parts = uow.uploads.parts(upload.uid)
    if made is not None:
        return made
    _check_complete(upload)
    try:
        found = _stored_and_checked(house, upload, parts, hashes={upload.sha256, sha256} - {""})
    except artifacts.NotStored as error:
        return _made_meanwhile(house, caller=caller, name=name, cause=error)
    dataset = _keep(house, caller=caller, name=name, found=found, request=request)
    with store_errors():
        house.store.delete_all(upload.artifact_prefix)
    return dataset


def _made_of(uow: UnitOfWork, upload: Upload) -> Dataset | None:
    return uow.datasets.find_by_uid(upload.dataset_uid) if upload.finished else None


def _made_meanwhile(house: House, *, caller: Caller, name: str, cause: Exception) -> Dataset:
    """Return what another call has made of the upload while this one read. Raises: NotFound if it has expired."""
    with house.storage.read() as uow:
        made = _made_of(uow, find_upload(uow, caller=caller, name=name))
    if made is None:
        raise NotFound.of(name) from cause
    return made


def _check_complete(upload: Upload) -> None:
    missing = upload.size_bytes - upload.received_bytes
    if missing:
        words = (
            f"{missing:,} of {upload.size_bytes:,} bytes are missing; upload them from offset {upload.received_bytes}"
        )
        raise WrongState.of(words, state="INCOMPLETE")


def _stored_and_checked(house: House, upload: Upload, parts: Sequence[UploadPart], *, hashes: set[str]) -> Inspected:
    key = dataset_key(upload.dataset_uid)
    try:
        checked = _CheckedParts(house.store, parts, inspection=_inspection(upload), hashes=hashes)
        with store_errors():
            _store(house.store, key, checked)
            if upload.format is not DatasetFormat.PARQUET:
                return checked.found()
            fraction = upload.validation_fraction
            return inspect_parquet(house.store, key, checked.found(), validation_fraction=fraction)
    except (InvalidData, HashMismatch):
        _remove(house, upload)
        raise


def _inspection(upload: Upload) -> "_Inspection":
    """Return what looks at the bytes of an upload, by its format. Raises: InvalidData for an impossible size."""
    size_bytes, fraction = upload.size_bytes, upload.validation_fraction
    match upload.format:
        case DatasetFormat.TEXT:
            return TextInspection(size_bytes=size_bytes, validation_fraction=fraction)
        case DatasetFormat.JSONL:
            return RowInspection(size_bytes=size_bytes, validation_fraction=fraction)
        case DatasetFormat.PARQUET:
            return ParquetInspection()
        case DatasetFormat.MODEL_FILES:
            return ArchiveInspection()
        case DatasetFormat.TOKENIZER:
            return TokenizerInspection(size_bytes=size_bytes)


class _Inspection(Protocol):
    """Takes bytes in order, and says what they are. Both raise InvalidData."""

    def feed(self, chunk: bytes) -> None: ...

    def finish(self) -> Inspected: ...


def _store(store: artifacts.Store, key: str, checked: "_CheckedParts") -> None:
    try:
        store.put(key, io.BufferedReader(checked, buffer_size=MIB))
    except artifacts.AlreadyStored:
        # A finish that died before its commit, or one that runs at the same time, stored the same: only read them.
        while checked.read(MIB):
            pass


def _remove(house: House, upload: Upload) -> None:
    """Remove what was refused, unless a call with the right hash has made the dataset meanwhile."""
    with house.storage.write() as uow:
        held = uow.uploads.lock(upload.project_id, upload.uid)
        if held is None or held.finished:
            return
        uow.uploads.remove(upload.uid)
        uow.commit()
    house.store.delete_all(upload.artifact_prefix)
    house.store.delete(dataset_key(upload.dataset_uid))


def _keep(house: House, *, caller: Caller, name: str, found: Inspected, request: RequestKey) -> Dataset:
    with house.storage.write() as uow:
        upload = lock_upload(uow, caller=caller, name=name)
        made = _made_of(uow, upload)
        if made is not None:
            return made
        now = uow.now()
        dataset = _dataset(upload, found, now=now)
        uow.datasets.add(dataset)
        uow.uploads.mark_finished(upload.uid)
        uow.requests.remember(caller, request, resource=dataset.uid, time=now)
        uow.audit.record(caller, resource=dataset.name, time=now)
        uow.commit()
    return dataset


def _dataset(upload: Upload, found: Inspected, *, now: datetime.datetime) -> Dataset:
    values = {field.name: getattr(found, field.name) for field in dataclasses.fields(found)}
    return Dataset(
        project_id=upload.project_id,
        id=upload.dataset_id,
        uid=upload.dataset_uid,
        state=DatasetState.READY,
        format=upload.format,
        create_time=now,
        creator=upload.creator,
        filename=upload.filename,
        **values,
    )


class _CheckedParts(io.RawIOBase):
    """The bytes of an upload in order, checked as they are read; the last read checks what only the end can tell."""

    def __init__(
        self, store: artifacts.Store, parts: Sequence[UploadPart], *, inspection: _Inspection, hashes: set[str]
    ) -> None:
        self._inspection = inspection
        self._hashes = hashes
        self._found: Inspected | None = None
        self._chunks = _chunks(store, parts)
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if not self._rest:
            self._rest = memoryview(self._next_chunk())
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def found(self) -> Inspected:
        """Return what was found once everything was read."""
        if self._found is None:
            raise AssertionError("the store did not read the upload to its end")
        return self._found

    def _next_chunk(self) -> bytes:
        chunk = next(self._chunks, b"")
        if chunk:
            self._inspection.feed(chunk)
        elif self._found is None:
            self._found = self._finish()
        return chunk

    def _finish(self) -> Inspected:
        found = self._inspection.finish()
        for wanted in self._hashes - {found.sha256}:
            raise HashMismatch(f"the SHA-256 of the bytes received is {found.sha256}, not {wanted}; upload them again")
        return found


def _chunks(store: artifacts.Store, parts: Sequence[UploadPart]) -> Iterator[bytes]:
    for part in parts:
        with store.open(part.key) as stream:
            while chunk := stream.read(MIB):
                yield chunk

"""The servicer of tutelage.v1.Datasets."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from services.api.pool import VerbPool
from services.api.requests import page_request, request_key
from services.api.streams import Stream
from services.api.translation import from_message, to_message
from services.datasets.delete_dataset import delete_dataset
from services.datasets.finish_upload import finish_upload
from services.datasets.get_dataset import get_dataset
from services.datasets.get_upload import get_upload
from services.datasets.list_datasets import list_datasets
from services.datasets.start_upload import UploadDraft, start_upload
from services.datasets.write_upload import check_place, write_part
from services.domain.datasets import Upload
from services.domain.errors import InvalidField, Unavailable
from services.domain.limits import UPLOAD_CHUNK_BYTES_MAX, UPLOAD_PART_BYTES
from services.domain.projects import Caller
from services.ports import House
from tutelage.v1 import datasets_pb2 as pb

WRITERS_MAX = 32  # each holds a part of 8 MiB: 256 MiB of a process together


class Datasets:
    """Translates, calls one verb, translates back."""

    def __init__(self, *, house: House, pool: VerbPool) -> None:
        self._house = house
        self._pool = pool
        self._writers = 0

    def start_upload(self, caller: Caller, request: pb.StartUploadRequest) -> pb.Upload:
        draft = from_message(request, UploadDraft)
        upload = start_upload(self._house, caller=caller, draft=draft, request=request_key(request))
        return to_message(upload, pb.Upload)

    def get_upload(self, caller: Caller, request: pb.GetUploadRequest) -> pb.Upload:
        return to_message(get_upload(self._house, caller=caller, name=request.name), pb.Upload)

    def finish_upload(self, caller: Caller, request: pb.FinishUploadRequest) -> pb.Dataset:
        dataset = finish_upload(
            self._house, caller=caller, name=request.name, sha256=request.sha256, request=request_key(request)
        )
        return to_message(dataset, pb.Dataset)

    def get_dataset(self, caller: Caller, request: pb.GetDatasetRequest) -> pb.Dataset:
        return to_message(get_dataset(self._house, caller=caller, name=request.name), pb.Dataset)

    def list_datasets(self, caller: Caller, request: pb.ListDatasetsRequest) -> pb.ListDatasetsResponse:
        found, token = list_datasets(self._house, caller=caller, parent=request.parent, page=page_request(request))
        return pb.ListDatasetsResponse(datasets=[to_message(each, pb.Dataset) for each in found], next_page_token=token)

    def delete_dataset(self, caller: Caller, request: pb.DeleteDatasetRequest) -> pb.Dataset:
        dataset = delete_dataset(self._house, caller=caller, name=request.name, request=request_key(request))
        return to_message(dataset, pb.Dataset)

    async def write_upload(
        self, stream: Stream, requests: AsyncIterator[pb.WriteUploadRequest], _context: Any
    ) -> pb.Upload:
        """Keep what arrives in parts; what has arrived when the stream breaks is kept too."""
        with self._writing():
            first = await anext(requests, None)
            if first is None or not first.name:
                raise InvalidField.of("name", "is required in the first message")
            writer = _Writer(house=self._house, pool=self._pool, caller=stream.caller, first=first)
            return to_message(await writer.write(first, requests), pb.Upload)

    @contextlib.contextmanager
    def _writing(self) -> Any:
        if self._writers >= WRITERS_MAX:
            raise Unavailable(f"{WRITERS_MAX} uploads are being received; try again in a moment", retry_after_s=2.0)
        self._writers += 1
        try:
            yield
        finally:
            self._writers -= 1


class _Writer:
    """Collects the bytes of one stream into parts."""

    def __init__(self, *, house: House, pool: VerbPool, caller: Caller, first: pb.WriteUploadRequest) -> None:
        self._house = house
        self._pool = pool
        self._caller = caller
        self._name = first.name
        self._offset_bytes = first.offset_bytes
        self._part = bytearray()

    async def write(self, first: pb.WriteUploadRequest, rest: AsyncIterator[pb.WriteUploadRequest]) -> Upload:
        upload = await self._pool.run(get_upload, self._house, caller=self._caller, name=self._name)
        check_place(upload, offset_bytes=self._offset_bytes, size_bytes=0)
        try:
            await self._take(upload, first)
            async for request in rest:
                self._check_continues(request)
                await self._take(upload, request)
        except BaseException:
            self._flush_alone()
            raise
        return await self._flush()

    async def _take(self, upload: Upload, request: pb.WriteUploadRequest) -> None:
        if len(request.data) > UPLOAD_CHUNK_BYTES_MAX:
            limit = f"must be at most {UPLOAD_CHUNK_BYTES_MAX:,} bytes in one message, got {len(request.data):,}"
            raise InvalidField.of("data", limit)
        end = self._offset_bytes + len(self._part) + len(request.data)
        if end > upload.size_bytes:
            words = f"would make {end:,} bytes, but the upload was declared with {upload.size_bytes:,}"
            raise InvalidField.of("data", words)
        self._part += request.data
        if len(self._part) >= UPLOAD_PART_BYTES:
            await self._flush()

    def _check_continues(self, request: pb.WriteUploadRequest) -> None:
        if request.name not in ("", self._name):
            raise InvalidField.of("name", "may only be given in the first message, or again as it was there")
        expected = self._offset_bytes + len(self._part)
        if request.offset_bytes not in (0, expected):
            words = f"may only be given in the first message, or be where its data belongs: {expected}"
            raise InvalidField.of("offset_bytes", words)

    async def _flush(self) -> Upload:
        return await self._pool.run(write_part, self._house, **self._taken_part())

    def _flush_alone(self) -> None:
        """Keep the rest of a broken stream, with nobody left to wait for it."""
        if self._part:
            part = self._taken_part()
            with contextlib.suppress(Unavailable):
                self._pool.submit(lambda: write_part(self._house, **part))

    def _taken_part(self) -> dict[str, Any]:
        part = {
            "caller": self._caller,
            "name": self._name,
            "offset_bytes": self._offset_bytes,
            "data": bytes(self._part),
        }
        self._offset_bytes += len(self._part)
        self._part.clear()
        return part

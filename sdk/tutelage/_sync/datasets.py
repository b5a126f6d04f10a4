# Generated from tutelage/_async/datasets.py by sdk/generate_sync.py; change it there.
# ruff: noqa: UP028

"""Datasets."""

import os
import uuid
from collections.abc import Callable, Iterator
from typing import BinaryIO, Literal

from tutelage import _blocking as colour
from tutelage._names import dataset_name
from tutelage._sync.pages import walk_pages
from tutelage._sync.transport import Transport
from tutelage._sync.upload import ignore, upload_source
from tutelage._upload_source import UploadSource
from tutelage._values.datasets import Dataset
from tutelage.v1 import datasets_pb2


class Datasets:
    """Uploads, lists and deletes what to train on."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def upload(
        self,
        source: str | os.PathLike[str] | bytes | BinaryIO,
        *,
        name: str,
        format: Literal["text", "jsonl", "parquet", "model-files", "tokenizer"] | None = None,
        validation_fraction: float | None = None,
        on_progress: Callable[[int, int], object] | None = None,
        timeout: float | None = None,
    ) -> Dataset:
        """Uploads text or rows and returns the dataset that they became.

        `source` is a path, the bytes themselves, or a file opened in binary mode. `name` is the new dataset's id.
        `format` follows from the name of the file: `.jsonl` and `.parquet` hold rows, `tokenizer.json` a tokenizer, a
        folder with a `config.json` (or a `.tar` of it) a model to import; all else is plain UTF-8 text.
        `validation_fraction` is held out: 0.001 to 0.5, default 0.05. `on_progress` is called with bytes sent and bytes
        in all. A broken line is resumed where it broke; so is the same upload in another process, within a day.
        Raises: AlreadyExists for the name, InvalidArgument (INVALID_DATA) with byte and row for what is not text, and
        with each bad row in `field_violations`.
        """
        opened = colour.in_thread(open_source, source, format)
        try:
            return upload_source(
                self._transport,
                opened,
                dataset_id=name,
                validation_fraction=validation_fraction,
                on_progress=on_progress or ignore,
                timeout=timeout,
            )
        finally:
            opened.close()

    def get(self, dataset: str, *, timeout: float | None = None) -> Dataset:
        """Returns one dataset. Raises: NotFound."""
        request = datasets_pb2.GetDatasetRequest(name=dataset_name(dataset))
        return Dataset.from_message(self._transport.call("Datasets", "GetDataset", request, timeout=timeout))

    def list(self, *, page_size: int = 0, timeout: float | None = None) -> Iterator[Dataset]:
        """Yields datasets, newest first."""
        request = datasets_pb2.ListDatasetsRequest(parent="projects/-", page_size=page_size)
        for message in walk_pages(self._transport, "Datasets", "ListDatasets", request, timeout=timeout):
            yield Dataset.from_message(message)

    def delete(self, dataset: str, *, timeout: float | None = None) -> Dataset:
        """Deletes a dataset; its id can be used again. Raises: NotFound, FailedPrecondition while a job uses it."""
        request = datasets_pb2.DeleteDatasetRequest(name=dataset_name(dataset), request_id=str(uuid.uuid4()))
        return Dataset.from_message(self._transport.call("Datasets", "DeleteDataset", request, timeout=timeout))


def open_source(source: str | os.PathLike[str] | bytes | BinaryIO, format: str | None) -> UploadSource:
    """Opens what is uploaded."""
    return UploadSource(source, format=format)

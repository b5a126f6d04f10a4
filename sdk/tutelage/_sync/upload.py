# Generated from tutelage/_async/upload.py by sdk/generate_sync.py; change it there.
# ruff: noqa: UP028

"""One upload: begin, send, finish, and go on from where the service stands whenever the line breaks."""

import uuid
from collections.abc import Callable, Iterator
from typing import Any

from tutelage import _blocking as colour
from tutelage._errors import FailedPrecondition, NotFound, OutOfRange, TutelageError, Unavailable
from tutelage._retry import Backoff, Patience, is_broken_line
from tutelage._sync.transport import Transport
from tutelage._upload_source import UploadSource
from tutelage._values.datasets import Dataset, DatasetState
from tutelage.v1 import datasets_pb2

# The gateway lets one WriteUpload run for an hour and one FinishUpload, which reads all bytes, for ten minutes.
WRITE_S = 3600.0
FINISH_S = 600.0
RECONNECT_S = 600.0

Progress = Callable[[int, int], object]


def upload_source(
    transport: Transport,
    source: UploadSource,
    *,
    dataset_id: str,
    validation_fraction: float | None,
    on_progress: Progress,
    timeout: float | None,
) -> Dataset:
    """Returns the dataset that the bytes became.

    The request_id follows from the content, so that the same upload in another process goes on instead of beginning
    again. If what it leads to is gone (expired, refused, or deleted since), the upload begins again under a new id.
    """
    request = datasets_pb2.StartUploadRequest(
        parent="projects/-",
        dataset_id=dataset_id,
        size_bytes=source.size_bytes,
        sha256=source.sha256,
        format=datasets_pb2.DatasetFormat.Value(f"DATASET_FORMAT_{source.format.upper().replace('-', '_')}"),
        filename=source.filename,
        validation_fraction=validation_fraction,
        request_id=source.request_id(dataset_id, validation_fraction=validation_fraction),
    )
    try:
        dataset = one_upload(transport, source, request, on_progress=on_progress, timeout=timeout)
    except (NotFound, FailedPrecondition):
        dataset = None
    if dataset is None or dataset.state is DatasetState.DELETED:
        request.request_id = str(uuid.uuid4())
        dataset = one_upload(transport, source, request, on_progress=on_progress, timeout=timeout)
    return dataset


def one_upload(
    transport: Transport, source: UploadSource, request: Any, *, on_progress: Progress, timeout: float | None
) -> Dataset:
    """Begins or continues an upload, sends what is missing, and finishes it."""
    upload = transport.call("Datasets", "StartUpload", request, timeout=timeout)
    send_rest(transport, source, upload, on_progress=on_progress)
    finish = datasets_pb2.FinishUploadRequest(name=upload.name, sha256=source.sha256, request_id=request.request_id)
    limit_s = FINISH_S if timeout is None else timeout
    return Dataset.from_message(transport.call("Datasets", "FinishUpload", finish, timeout=limit_s))


def send_rest(transport: Transport, source: UploadSource, upload: Any, *, on_progress: Progress) -> None:
    """Sends everything from where the service stands, again and again until all of it has arrived."""
    backoff, patience = Backoff(), Patience(RECONNECT_S)
    received = upload.received_bytes
    while received < source.size_bytes:
        on_progress(received, source.size_bytes)
        try:
            requests = write_requests(source, upload.name, received, on_progress=on_progress)
            answer = transport.send("Datasets", "WriteUpload", requests, timeout=WRITE_S)
            if answer.received_bytes <= received:
                raise Unavailable(f"{upload.name} took no bytes")
            backoff.reset()
        except TutelageError as error:
            wait_s = backoff.next_wait_s(error)
            if not may_continue(error) or not patience.covers(wait_s):
                raise
            colour.sleep(wait_s)
            question = datasets_pb2.GetUploadRequest(name=upload.name)
            answer = transport.call("Datasets", "GetUpload", question)
        if answer.received_bytes > received:
            patience.renew()
        received = answer.received_bytes
    on_progress(received, source.size_bytes)


def may_continue(error: TutelageError) -> bool:
    """Says whether sending goes on: after a broken line, and after the service said that it stands elsewhere."""
    return is_broken_line(error) or (isinstance(error, OutOfRange) and error.reason == "WRONG_OFFSET")


def write_requests(
    source: UploadSource, name: str, offset: int, *, on_progress: Progress
) -> Iterator[datasets_pb2.WriteUploadRequest]:
    """Yields the messages of one WriteUpload; the first one names the upload and where its data begins."""
    pieces = source.pieces(offset)
    while piece := colour.in_thread(next, pieces, None):
        start, data = piece
        on_progress(start, source.size_bytes)
        if start == offset:
            yield datasets_pb2.WriteUploadRequest(name=name, offset_bytes=start, data=data)
        else:
            yield datasets_pb2.WriteUploadRequest(data=data)


def ignore(sent_bytes: int, size_bytes: int) -> None:
    """Tells nobody about progress."""

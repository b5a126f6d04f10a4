"""Uploads: streamed, resumed where they broke, and continued by another process."""

import io
import os
import pathlib
import threading
from typing import Any

import grpc
import pytest

import tutelage
from tests.unit.sdk.service_double import KEY, ServiceDouble, failure
from tutelage._upload_source import PIECE_BYTES, UploadSource

TEXT = b"".join(b"%07d to be or not to be\n" % number for number in range(200_000))
assert len(TEXT) > 5 * PIECE_BYTES, "several messages"


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    """A file of several megabytes."""
    path = tmp_path / "plays.txt"
    path.write_bytes(TEXT)
    return path


def received(service: ServiceDouble) -> bytes:
    (content,) = service.upload_bytes.values()
    return bytes(content)


def test_a_file_arrives_whole(client: Any, service: ServiceDouble, path: pathlib.Path) -> None:
    dataset = client.datasets.upload(path, name="plays", validation_fraction=0.1)
    assert received(service) == TEXT
    assert dataset.size_bytes == len(TEXT)
    assert dataset.rows == 200_000
    start = service.requests("StartUpload")[0]
    assert (start.filename, start.validation_fraction) == ("plays.txt", 0.1)
    assert start.sha256 == dataset.sha256


@pytest.mark.parametrize("kind", ["path", "text path", "bytes", "file", "memory", "pipe"])
def test_every_kind_of_source_arrives(client: Any, service: ServiceDouble, path: pathlib.Path, kind: str) -> None:
    sources: dict[str, Any] = {"path": path, "text path": str(path), "bytes": TEXT, "memory": io.BytesIO(TEXT)}
    if kind == "file":
        with path.open("rb") as file:
            client.datasets.upload(file, name="plays")
    elif kind == "pipe":
        upload_a_pipe(client)
    else:
        client.datasets.upload(sources[kind], name="plays")
    assert received(service) == TEXT


def upload_a_pipe(client: Any) -> None:
    reading, writing = os.pipe()

    def write() -> None:
        with os.fdopen(writing, "wb") as file:
            file.write(TEXT)

    writer = threading.Thread(target=write)
    writer.start()
    with os.fdopen(reading, "rb") as file:
        client.datasets.upload(file, name="plays")
    writer.join()


@pytest.mark.parametrize("cuts", [[1], [PIECE_BYTES], [PIECE_BYTES - 1, 10, 2 * PIECE_BYTES + 7], [100] * 5])
def test_an_upload_that_is_cut_goes_on_where_it_broke(
    client: Any, service: ServiceDouble, path: pathlib.Path, cuts: list[int]
) -> None:
    service.cut_upload_after = list(cuts)
    client.datasets.upload(path, name="plays")
    assert received(service) == TEXT
    assert len(service.requests("WriteUpload")) == len(cuts) + 1
    assert len(service.requests("StartUpload")) == 1


def test_an_upload_goes_on_where_the_service_says_it_stands(
    client: Any, service: ServiceDouble, path: pathlib.Path
) -> None:
    wrong = failure(grpc.StatusCode.OUT_OF_RANGE, "not there", reason="WRONG_OFFSET", received_bytes="0")
    service.fail("WriteUpload", wrong)
    client.datasets.upload(path, name="plays")
    assert received(service) == TEXT


def test_another_process_goes_on_with_the_same_upload(service: ServiceDouble, path: pathlib.Path) -> None:
    service.cut_upload_after = [3 * PIECE_BYTES]
    service.fail("GetUpload", failure(grpc.StatusCode.PERMISSION_DENIED))
    with tutelage.Client(address=service.address, api_key=KEY) as first, pytest.raises(tutelage.PermissionDenied):
        first.datasets.upload(path, name="plays")
    sent: list[int] = []
    with tutelage.Client(address=service.address, api_key=KEY) as second:
        second.datasets.upload(path, name="plays", on_progress=lambda sent_bytes, size_bytes: sent.append(sent_bytes))
    assert received(service) == TEXT
    assert sent[0] == 3 * PIECE_BYTES


def test_the_same_upload_again_is_the_same_dataset(client: Any, service: ServiceDouble) -> None:
    first = client.datasets.upload(b"to be\n", name="plays")
    assert client.datasets.upload(b"to be\n", name="plays") == first
    assert len(service.uploads) == 1


def test_other_content_under_a_taken_name_is_refused(client: Any, service: ServiceDouble) -> None:
    client.datasets.upload(b"to be\n", name="plays")
    with pytest.raises(tutelage.AlreadyExists):
        client.datasets.upload(b"not to be\n", name="plays")


def test_an_upload_that_has_expired_begins_again(client: Any, service: ServiceDouble) -> None:
    service.fail("WriteUpload", failure(grpc.StatusCode.NOT_FOUND, reason="NOT_FOUND"))
    client.datasets.upload(b"to be\n", name="plays")
    ids = [request.request_id for request in service.requests("StartUpload")]
    assert len(set(ids)) == 2


def test_a_deleted_dataset_can_be_uploaded_again(client: Any, service: ServiceDouble) -> None:
    client.datasets.upload(b"to be\n", name="plays")
    client.datasets.delete("plays")
    deleted = service.datasets.pop("projects/p/datasets/plays")
    service.uploads_by_request.clear()
    assert client.datasets.upload(b"to be\n", name="plays").state == "READY"
    service.datasets["projects/p/datasets/plays"] = deleted
    with pytest.raises(tutelage.AlreadyExists):
        client.datasets.upload(b"to be\n", name="plays")


def test_data_that_is_refused_is_not_sent_again(client: Any, service: ServiceDouble) -> None:
    refusal = failure(grpc.StatusCode.INVALID_ARGUMENT, "byte 3, row 1", reason="INVALID_DATA", byte="3", row="1")
    service.fail("FinishUpload", refusal)
    with pytest.raises(tutelage.InvalidArgument) as caught:
        client.datasets.upload(b"to \xff\n", name="plays")
    assert caught.value.metadata == {"byte": "3", "row": "1"}
    assert len(service.requests("WriteUpload")) == 1


def test_progress_is_told_up_to_the_end(client: Any, service: ServiceDouble, path: pathlib.Path) -> None:
    told: list[tuple[int, int]] = []
    client.datasets.upload(path, name="plays", on_progress=lambda *progress: told.append(progress))
    assert told[0] == (0, len(TEXT))
    assert told[-1] == (len(TEXT), len(TEXT))
    assert [sent for sent, _ in told] == sorted(sent for sent, _ in told)


def test_a_file_that_does_not_exist_is_an_error_of_the_system(client: Any, service: ServiceDouble) -> None:
    with pytest.raises(FileNotFoundError):
        client.datasets.upload("/no/such/file", name="plays")
    assert service.calls == []


def test_an_empty_file_is_left_for_the_service_to_refuse(client: Any, service: ServiceDouble) -> None:
    service.fail("StartUpload", failure(grpc.StatusCode.INVALID_ARGUMENT, fields={"size_bytes": "must be above 0"}))
    with pytest.raises(tutelage.InvalidArgument, match="size_bytes"):
        client.datasets.upload(b"", name="plays")


def test_pieces_begin_anywhere_and_are_never_above_the_limit(path: pathlib.Path) -> None:
    source = UploadSource(path)
    for offset in (0, 1, PIECE_BYTES, len(TEXT) - 1, len(TEXT)):
        pieces = list(source.pieces(offset))
        assert b"".join(data for _, data in pieces) == TEXT[offset:]
        assert all(len(data) <= PIECE_BYTES for _, data in pieces)
        assert [start for start, _ in pieces] == list(range(offset, len(TEXT), PIECE_BYTES))
    source.close()


def test_two_readers_of_one_source_do_not_disturb_each_other(path: pathlib.Path) -> None:
    source = UploadSource(path)
    first, second = source.pieces(0), source.pieces(PIECE_BYTES)
    mixed = [next(first), next(second), next(first), next(second)]
    assert [start for start, _ in mixed] == [0, PIECE_BYTES, PIECE_BYTES, 2 * PIECE_BYTES]
    assert all(data == TEXT[start : start + PIECE_BYTES] for start, data in mixed)
    source.close()


def test_a_file_that_becomes_shorter_is_noticed(path: pathlib.Path) -> None:
    source = UploadSource(path)
    path.write_bytes(b"short")
    with pytest.raises(OSError, match="became shorter"):
        list(source.pieces(PIECE_BYTES))
    source.close()


def test_the_id_of_an_upload_follows_from_its_content() -> None:
    def request_id(content: bytes, name: str = "plays", fraction: float | None = None) -> str:
        return UploadSource(content).request_id(name, validation_fraction=fraction)

    assert request_id(b"a") == request_id(b"a")
    different = {request_id(b"a"), request_id(b"b"), request_id(b"a", "other"), request_id(b"a", "plays", 0.1)}
    assert len(different) == 4

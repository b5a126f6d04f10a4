"""Uploads over real gRPC: broken lines, wrong places, and a house that is full or leaves."""

import asyncio
import threading
import time
from collections.abc import Iterator

import grpc
import pytest

from services.api.server import Bounds
from tests.support.served_house import ServedHouse, fields_of, info_of, made_house, reason_of, served_house
from tests.support.waiting import wait_for
from tutelage.v1 import datasets_pb2 as pb
from tutelage.v1 import datasets_pb2_grpc, projects_pb2, projects_pb2_grpc

MIB = 1024 * 1024
ROW = b"a row of the text that is uploaded\n"
TEXT = ROW * (20 * MIB // len(ROW))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedHouse]:
    folder = tmp_path_factory.mktemp("house")
    house = made_house(f"sqlite:///{folder}/house.db", artifacts_dir=folder / "artifacts")
    with served_house(house, folder) as served:
        yield served


@pytest.fixture(scope="module")
def datasets(served: ServedHouse) -> datasets_pb2_grpc.DatasetsStub:
    return served.stub(datasets_pb2_grpc.DatasetsStub)


def start(datasets: datasets_pb2_grpc.DatasetsStub, name: str, *, size_bytes: int = len(TEXT)) -> pb.Upload:
    return datasets.StartUpload(
        pb.StartUploadRequest(parent="projects/-", dataset_id=name, size_bytes=size_bytes), timeout=10
    )


def messages(upload: pb.Upload, data: bytes, *, at: int = 0, chunk: int = MIB) -> Iterator[pb.WriteUploadRequest]:
    for begin in range(0, len(data), chunk):
        first = {"name": upload.name, "offset_bytes": at} if begin == 0 else {}
        yield pb.WriteUploadRequest(data=data[begin : begin + chunk], **first)


def received(datasets: datasets_pb2_grpc.DatasetsStub, upload: pb.Upload) -> int:
    return datasets.GetUpload(pb.GetUploadRequest(name=upload.name), timeout=10).received_bytes


def test_an_upload_in_one_go(datasets):
    upload = start(datasets, "whole")
    written = datasets.WriteUpload(messages(upload, TEXT), timeout=60)
    assert written.received_bytes == len(TEXT)
    dataset = datasets.FinishUpload(pb.FinishUploadRequest(name=upload.name), timeout=60)
    assert (dataset.size_bytes, dataset.rows) == (len(TEXT), len(TEXT) // len(ROW))
    assert dataset.split.train_bytes + dataset.split.validation_bytes == len(TEXT)


def test_what_arrived_before_the_line_broke_is_kept_and_the_rest_follows(datasets):
    upload = start(datasets, "broken")
    go_on = threading.Event()

    def half() -> Iterator[pb.WriteUploadRequest]:
        yield from messages(upload, TEXT[: 11 * MIB])
        go_on.wait(20)

    call = datasets.WriteUpload.future(half(), timeout=60)
    wait_for(lambda: received(datasets, upload) >= 8 * MIB)
    call.cancel()
    go_on.set()
    written = wait_for(lambda: go_on_from_where_it_stands(datasets, upload))
    assert written.received_bytes == len(TEXT)
    assert datasets.FinishUpload(pb.FinishUploadRequest(name=upload.name), timeout=60).rows == len(TEXT) // len(ROW)


def go_on_from_where_it_stands(datasets, upload):
    """Sends the rest, or nothing if more of the broken stream was kept between question and answer."""
    at = received(datasets, upload)
    assert at >= 8 * MIB
    try:
        return datasets.WriteUpload(messages(upload, TEXT[at:], at=at), timeout=60)
    except grpc.RpcError as error:
        assert reason_of(error) == "WRONG_OFFSET"
        return None


def test_a_wrong_offset_is_told_where_to_continue(datasets):
    upload = start(datasets, "offset")
    datasets.WriteUpload(messages(upload, TEXT[:1000]), timeout=20)
    with pytest.raises(grpc.RpcError) as caught:
        datasets.WriteUpload(messages(upload, TEXT[:1000]), timeout=20)
    assert (caught.value.code(), reason_of(caught.value)) == (grpc.StatusCode.OUT_OF_RANGE, "WRONG_OFFSET")
    assert info_of(caught.value).metadata["received_bytes"] == "1000"


@pytest.mark.parametrize(
    ("requests", "field"),
    [
        ([], "name"),
        ([pb.WriteUploadRequest(data=b"x")], "name"),
        ([{"data": b"x" * (MIB + 1)}], "data"),
        ([{"data": b"x" * 60}, {"data": b"x" * 60}], "data"),
        ([{"data": b"x"}, {"data": b"x", "offset_bytes": 7}], "offset_bytes"),
        ([{"data": b"x"}, {"data": b"x", "name": "projects/own/uploads/another"}], "name"),
    ],
)
def test_a_message_that_does_not_fit_is_refused_with_its_field(datasets, requests, field):
    upload = start(datasets, "fields", size_bytes=100)
    sent = [
        each
        if isinstance(each, pb.WriteUploadRequest)
        else pb.WriteUploadRequest(**{"name": upload.name if index == 0 else "", **each})
        for index, each in enumerate(requests)
    ]
    with pytest.raises(grpc.RpcError) as caught:
        datasets.WriteUpload(iter(sent), timeout=20)
    assert (caught.value.code(), fields_of(caught.value)) == (grpc.StatusCode.INVALID_ARGUMENT, [field])


def test_bad_bytes_are_named_by_place(datasets):
    upload = start(datasets, "bad", size_bytes=20)
    datasets.WriteUpload(messages(upload, b"good row\nbad row \xff\xff\n"), timeout=20)
    with pytest.raises(grpc.RpcError) as caught:
        datasets.FinishUpload(pb.FinishUploadRequest(name=upload.name), timeout=20)
    assert reason_of(caught.value) == "INVALID_DATA"
    assert dict(info_of(caught.value).metadata) == {"byte": "17", "row": "2"}
    with pytest.raises(grpc.RpcError) as caught:
        datasets.GetUpload(pb.GetUploadRequest(name=upload.name), timeout=20)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_a_house_without_a_free_thread_refuses_at_once_and_says_when_to_come_back(tmp_path):
    house = made_house(f"sqlite:///{tmp_path}/house.db", artifacts_dir=tmp_path / "artifacts")
    with served_house(house, tmp_path, bounds=Bounds(threads=1, waiting_max=0)) as served:
        gate = threading.Event()
        served.api._pool.submit(lambda: gate.wait(20))
        began = time.monotonic()
        with pytest.raises(grpc.RpcError) as caught:
            served.stub(projects_pb2_grpc.ProjectsStub).GetCaller(projects_pb2.GetCallerRequest(), timeout=10)
        gate.set()
        assert time.monotonic() - began < 5
        assert (caught.value.code(), reason_of(caught.value)) == (grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE")


def test_a_house_that_leaves_says_so_first_and_lets_calls_end(tmp_path):
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    house = made_house(f"sqlite:///{tmp_path}/house.db", artifacts_dir=tmp_path / "artifacts")
    with served_house(house, tmp_path) as served:
        datasets = served.stub(datasets_pb2_grpc.DatasetsStub)
        upload = start(datasets, "late", size_bytes=2000)
        go_on = threading.Event()

        def slow() -> Iterator[pb.WriteUploadRequest]:
            yield pb.WriteUploadRequest(name=upload.name, data=b"x" * 1000)
            go_on.wait(20)
            yield pb.WriteUploadRequest(data=b"x" * 1000)

        call = datasets.WriteUpload.future(slow(), timeout=30)
        wait_for(lambda: len(served.api._streams) == 1)
        draining = asyncio.run_coroutine_threadsafe(served.api.drain(notice_s=0.3, grace_s=10), served.loop)
        health = health_pb2_grpc.HealthStub(served.public)
        wait_for(lambda: health.Check(health_pb2.HealthCheckRequest()).status == 2)
        go_on.set()
        assert call.result(timeout=10).received_bytes == 2000
        draining.result(timeout=15)

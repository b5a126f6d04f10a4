"""What strangers send: the front door stays open for the others, and small."""

import socket
import threading
from collections.abc import Iterator

import grpc
import pytest

from tests.flow.test_gateway_calls import READ, bearer, get_job, refusal
from tests.support.front_door import FrontDoor, front_door
from tests.support.rooms import api_key
from tests.support.waiting import wait_for
from tutelage.v1 import datasets_pb2, datasets_pb2_grpc, jobs_pb2, jobs_pb2_grpc

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def door() -> Iterator[FrontDoor]:
    """One gateway that has to bear it all."""
    with front_door() as running:
        running.rooms.admit("honest", permissions=[*READ, "datasets.create"])
        yield running


@pytest.fixture(autouse=True)
def the_door_is_still_open(door: FrontDoor) -> Iterator[None]:
    """After each test an honest caller is served as before."""
    yield
    assert door.process.poll() is None
    with door.channel() as channel:
        assert get_job(channel, bearer(api_key("honest")))[0].name


def connect(door: FrontDoor, port: str = "grpc") -> socket.socket:
    """Opens a bare connection."""
    host, _, number = door.listening[port].rpartition(":")
    return socket.create_connection((host, int(number)), timeout=15)


@pytest.mark.parametrize("port", ["grpc", "http"])
@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00" * 4096,
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff",
    ],
)
def test_garbage_on_the_wire_is_hung_up_on(door: FrontDoor, garbage: bytes, port: str) -> None:
    with connect(door, port) as line:
        line.sendall(garbage)
        line.shutdown(socket.SHUT_WR)
        assert wait_for(lambda: line.recv(65536) == b"" or None, limit_s=15)


def test_a_message_of_5_mib_is_refused(door: FrontDoor) -> None:
    metadata = bearer(api_key("honest"))
    with door.channel() as channel:
        upload = datasets_pb2_grpc.DatasetsStub(channel).WriteUpload
        large = datasets_pb2.WriteUploadRequest(data=b"z" * 5 * MIB)
        assert refusal(lambda: upload(iter([large]), metadata=metadata)).code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        name = "z" * 5 * MIB
        assert refusal(lambda: get_job(channel, metadata, name=name)).code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert max(line["received_bytes"] for line in door.call_lines()) < 5 * MIB, "it was not even received"


def test_metadata_of_1_mib_is_refused(door: FrontDoor) -> None:
    with door.channel() as channel:
        metadata = [*bearer(api_key("honest")), ("x-large", "z" * MIB)]
        assert refusal(lambda: get_job(channel, metadata)).code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_guessing_keys_is_slowed_down_and_the_known_are_not(door: FrontDoor) -> None:
    with door.channel() as channel:
        get_job(channel, bearer(api_key("honest")))
        asked_before = len(door.rooms.questions)
        codes = [refusal(lambda n=n: get_job(channel, bearer(api_key(f"g{n}")))).code() for n in range(40)]
        assert codes[0] is grpc.StatusCode.UNAUTHENTICATED
        assert codes[-1] is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert len(door.rooms.questions) - asked_before < 30
        assert get_job(channel, bearer(api_key("honest")))[0].name


def test_a_reader_that_never_reads_stops_the_writer_and_costs_little(door: FrontDoor) -> None:
    before_bytes = door.rss_bytes()
    with door.channel() as channel:
        watch = jobs_pb2_grpc.JobsStub(channel).WatchJob
        events = watch(jobs_pb2.WatchJobRequest(name="forever"), metadata=bearer(api_key("honest")))
        assert next(events).cursor == 1
        seen = door.rooms.last("WatchJob")
        counts = [0, 1]

        def stands_still() -> bool:
            counts.append(seen.messages)
            return counts[-1] == counts[-5:][0] and counts[-1] > 1

        wait_for(stands_still, limit_s=20, every_s=0.1)
        assert seen.messages < 100_000
        assert door.rss_bytes() - before_bytes < 64 * MIB
        events.cancel()
        assert seen.ended.wait(5)


def test_a_writer_is_stopped_while_nobody_behind_the_door_reads(door: FrontDoor) -> None:
    before_bytes = door.rss_bytes()
    sent = [0]

    def pieces() -> Iterator[datasets_pb2.WriteUploadRequest]:
        yield datasets_pb2.WriteUploadRequest(name="stall")
        for _ in range(2000):
            sent[0] += 1
            yield datasets_pb2.WriteUploadRequest(data=b"z" * 256 * 1024)

    with door.channel() as channel:
        upload = datasets_pb2_grpc.DatasetsStub(channel).WriteUpload.future(
            pieces(), metadata=bearer(api_key("honest")), timeout=60
        )
        counts = [0, 1]

        def stands_still() -> bool:
            counts.append(sent[0])
            return counts[-1] == counts[-8:][0] and counts[-1] > 1

        wait_for(stands_still, limit_s=20, every_s=0.1)
        assert sent[0] < 400, "500 MB were on offer, 100 MB would be too much to hold"
        assert door.rss_bytes() - before_bytes < 64 * MIB
        upload.cancel()
        assert door.rooms.last("WriteUpload").ended.wait(5)


def test_a_caller_without_a_key_is_refused_before_it_has_said_anything(door: FrontDoor) -> None:
    with door.channel() as channel:
        call = channel.stream_stream("/tutelage.v1.Jobs/GetJob")
        answered = threading.Event()
        never = call(iter(lambda: answered.wait(5), True), timeout=10)
        assert never.code() is grpc.StatusCode.UNAUTHENTICATED
        answered.set()


def test_many_calls_that_are_given_up_leave_nothing_behind(door: FrontDoor) -> None:
    metadata = bearer(api_key("honest"))
    with door.channel() as channel:
        watch = jobs_pb2_grpc.JobsStub(channel).WatchJob
        for _ in range(300):
            watch(jobs_pb2.WatchJobRequest(name="idle"), metadata=metadata).cancel()
        wait_for(lambda: all(seen.ended.is_set() for seen in door.rooms.seen), limit_s=10)


def test_who_connects_and_says_nothing_or_hardly_anything_is_hung_up_on(door: FrontDoor) -> None:
    with connect(door, "grpc") as silent, connect(door, "http") as mute, connect(door, "http") as slow:
        slow.sendall(b"POST / HTTP/1.1\r\nhost: local")
        for line in (silent, mute, slow):
            assert wait_for(lambda line=line: line.recv(65536) == b"" or None, limit_s=12)

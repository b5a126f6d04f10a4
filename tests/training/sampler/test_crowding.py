"""A sampler with few seats: who waits, who is refused, who leaves."""

import os
import pathlib
import queue
import subprocess
import sys
from collections.abc import Iterator

import grpc
import pytest

from tests.training.sampler.house import METADATA, House, error_info, retry_after_s
from tests.training.sampler.models import opinionated, reciting
from tutelage.v1.sampling_pb2 import SampleRequest, SampleResponse

TIMEOUT_S = 30
# Does not end while a test looks.
ENDLESS = SampleRequest(model="projects/p/models/recital", prompt="a", max_tokens=4096, logprobs=20)
LONG = SampleRequest(model="projects/p/models/recital", prompt="a", max_tokens=1500)
# More than a connection buffers.
HUGE = SampleRequest(model="projects/p/models/recital", prompt="a", samples=4, max_tokens=4096, logprobs=20)
SHORT = SampleRequest(model="projects/p/models/recital", prompt="a", max_tokens=3, temperature=0)


@pytest.fixture
def house(tmp_path: pathlib.Path) -> Iterator[House]:
    house = House(tmp_path, seats=1, waiting_rows=1)
    house.publish("recital", reciting(b"abc"))
    with house:
        yield house


def begin_endless(house: House) -> grpc.Future:
    call = house.stub.StreamSample(ENDLESS, metadata=METADATA, timeout=TIMEOUT_S)
    next(call)
    return call


def test_beyond_seats_and_waiting_room_calls_are_refused_and_a_cancelled_call_frees_its_seat(house: House) -> None:
    endless = begin_endless(house)
    calls = [house.stub.Sample.future(SHORT, metadata=METADATA, timeout=TIMEOUT_S) for _ in range(4)]
    ended: queue.Queue[grpc.Future] = queue.Queue()
    for call in calls:
        call.add_done_callback(ended.put)
    for refused in (ended.get(timeout=TIMEOUT_S) for _ in range(3)):
        assert refused.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert error_info(refused.exception()).reason == "LIMIT_REACHED"
        assert retry_after_s(refused.exception()) > 0
    endless.cancel()
    assert ended.get(timeout=TIMEOUT_S).result().samples[0].text == "bca"


def test_a_stream_that_is_read_late_is_complete(house: House) -> None:
    call = house.stub.StreamSample(LONG, metadata=METADATA, timeout=TIMEOUT_S)
    assert house.stub.Sample(SHORT, metadata=METADATA, timeout=TIMEOUT_S).samples[0].text == "bca"
    messages = list(call)
    assert "".join(message.text for message in messages) == "bca" * 500


def test_a_stop_lets_running_calls_finish_and_exits_with_zero(house: House) -> None:
    call = house.stub.StreamSample(LONG, metadata=METADATA, timeout=TIMEOUT_S)
    first = next(call)
    house.terminate()
    messages = [first, *call]
    assert "".join(message.text for message in messages) == "bca" * 500
    assert house.process.wait(TIMEOUT_S) == 0


def test_when_services_are_gone_the_caller_may_try_again(house: House) -> None:
    house.stop_access()
    with pytest.raises(grpc.RpcError) as refusal:
        house.stub.Sample(SHORT, metadata=METADATA, timeout=TIMEOUT_S)
    assert refusal.value.code() == grpc.StatusCode.UNAVAILABLE
    assert retry_after_s(refusal.value) > 0 and "sock" not in (refusal.value.details() or "")


def test_who_does_not_read_holds_up_nobody_and_loses_the_seats_in_the_end(tmp_path: pathlib.Path) -> None:
    house = House(tmp_path, seats=4, slow_reader_seconds=1)
    house.publish("recital", reciting(b"abc"))
    with house:
        unread = house.stub.StreamSample(HUGE, metadata=METADATA, timeout=TIMEOUT_S)
        next(unread)
        # Waits for a seat: all four are taken until the reader is given up.
        answer: SampleResponse = house.stub.Sample(SHORT, metadata=METADATA, timeout=TIMEOUT_S)
        assert answer.samples[0].text == "bca"
        with pytest.raises(grpc.RpcError) as refusal:
            list(unread)
        assert refusal.value.code() == grpc.StatusCode.OUT_OF_RANGE
        assert error_info(refusal.value).reason == "SLOW_READER"


def test_models_that_do_not_fit_beside_each_other_take_turns(tmp_path: pathlib.Path) -> None:
    decoder = opinionated()
    house = House(tmp_path, seats=4, models_bytes=4 * decoder.config.parameters + 4 * 65536 + 1000)
    for name in ("one", "two"):
        house.publish(name, decoder)
    house.publish("huge", opinionated(width=128))
    with house:
        for name in ("one", "two", "one"):
            house.stub.Sample(SampleRequest(model=f"projects/p/models/{name}"), metadata=METADATA, timeout=TIMEOUT_S)
        with pytest.raises(grpc.RpcError) as refusal:
            house.stub.Sample(SampleRequest(model="projects/p/models/huge"), metadata=METADATA, timeout=TIMEOUT_S)
        assert refusal.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "bytes of memory" in (refusal.value.details() or "")


def test_without_settings_it_says_what_is_missing() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TUTELAGE_")}
    done = subprocess.run(
        [sys.executable, "-m", "trainer_worker.sampler"], env=environment, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 2 and "TUTELAGE_SAMPLER_LISTEN" in done.stderr

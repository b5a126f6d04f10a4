"""Each interceptor does its one thing, and they stand in order."""

import asyncio
import io
import json
from typing import Any

import grpc
import pytest

from gateway.buckets import NEVER_S, Buckets
from gateway.calls import Call
from gateway.interceptors import Proceed, compose
from gateway.interceptors.access_log import AccessLog
from gateway.interceptors.deadline import deadline
from gateway.interceptors.drain import Drain
from gateway.interceptors.metrics import CountCalls
from gateway.interceptors.rate_limit import RateLimit
from gateway.interceptors.request_id import request_id
from gateway.interceptors.status import status
from gateway.methods import Kind
from gateway.metrics import Metrics
from gateway.refusals import Refused
from tests.unit.gateway.calls import Clock, a_call, a_method, arrive


class Context:
    """What interceptors use of a gRPC context."""

    def __init__(self, *, left_s: float | None = None) -> None:
        self.left_s = left_s
        self.code: grpc.StatusCode | None = None
        self.trailers: Any = ()

    def time_remaining(self) -> float | None:
        """Returns the time to the client's deadline."""
        return self.left_s

    def set_code(self, code: grpc.StatusCode) -> None:
        """Keeps the code."""
        self.code = code

    def set_details(self, _details: str) -> None:
        """Keeps nothing."""

    def set_trailing_metadata(self, trailers: Any) -> None:
        """Keeps the trailers."""
        self.trailers = trailers


async def never_end(_call: Call) -> None:
    """Stands for a call that takes for ever."""
    await asyncio.Event().wait()


def test_they_run_in_order_each_around_the_next() -> None:
    order: list[str] = []

    def named(name: str) -> Any:
        async def interceptor(call: Call, proceed: Proceed) -> None:
            order.append(name)
            await proceed(call)
            order.append(f"/{name}")

        return interceptor

    asyncio.run(compose([named("a"), named("b")], arrive)(a_call()))
    assert order == ["a", "b", "/b", "/a"]


@pytest.mark.parametrize(("given", "kept"), [("abc-1", True), ("a" * 65, False), ("a b", False), ("", False)])
def test_a_decent_request_id_is_kept(given: str, kept: bool) -> None:
    call = a_call(metadata=(("x-request-id", given),))
    asyncio.run(request_id(call, arrive))
    assert (call.request_id == given) is kept
    assert call.request_id


@pytest.mark.parametrize(
    ("kind", "asked_s", "timeout_s"),
    [
        (Kind.UNARY, None, 30),
        (Kind.UNARY, 5, 5),
        (Kind.UNARY, 500, 30),
        (Kind.CLIENT_STREAM, 500, 30),
        (Kind.SERVER_STREAM, None, None),
        (Kind.SERVER_STREAM, 500, 500),
    ],
)
def test_the_earlier_of_both_deadlines_counts(kind: Kind, asked_s: float | None, timeout_s: float | None) -> None:
    call = a_call(method=a_method(kind))
    call.context = Context(left_s=asked_s)  # type: ignore[assignment]
    asyncio.run(deadline(call, arrive))
    assert call.timeout_s == timeout_s


def test_a_call_ends_at_its_deadline() -> None:
    call = a_call()
    call.context = Context(left_s=0.01)  # type: ignore[assignment]
    with pytest.raises(Refused) as caught:
        asyncio.run(deadline(call, never_end))
    assert caught.value.code is grpc.StatusCode.DEADLINE_EXCEEDED


def test_a_time_out_of_somebody_else_is_not_taken_for_the_deadline() -> None:
    async def late(_call: Call) -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        asyncio.run(deadline(a_call(), late))


def test_a_drain_ends_server_streams_and_leaves_the_others_alone() -> None:
    drain = Drain()

    async def walk() -> None:
        stream = asyncio.create_task(drain(a_call(method=a_method(Kind.SERVER_STREAM)), never_end))
        upload = asyncio.create_task(drain(a_call(method=a_method(Kind.CLIENT_STREAM)), never_end))
        await asyncio.sleep(0)
        drain.begin()
        with pytest.raises(Refused) as caught:
            await stream
        assert caught.value.code is grpc.StatusCode.UNAVAILABLE
        with pytest.raises(Refused):
            await drain(a_call(method=a_method(Kind.SERVER_STREAM)), never_end)
        assert not upload.done()
        upload.cancel()

    asyncio.run(walk())


def test_the_rate_is_that_of_the_project_with_two_seconds_at_once() -> None:
    clock = Clock()
    limit = RateLimit(clock=clock)

    async def admitted(calls: int) -> int:
        answers = await asyncio.gather(*(limit(a_call(), arrive) for _ in range(calls)), return_exceptions=True)
        return answers.count(None)

    assert asyncio.run(admitted(10)) == 4
    clock.now_s += 1
    assert asyncio.run(admitted(10)) == 2


def test_a_place_for_a_stream_is_given_back_however_it_ends() -> None:
    limit = RateLimit(clock=Clock())
    stream = a_method(Kind.SERVER_STREAM)

    async def fail(_call: Call) -> None:
        raise RuntimeError

    async def walk() -> None:
        for _ in range(2):
            with pytest.raises(RuntimeError):
                await limit(a_call(method=stream), fail)
        first = asyncio.create_task(limit(a_call(method=stream), never_end))
        await asyncio.sleep(0)
        with pytest.raises(Refused):
            await limit(a_call(method=stream), arrive)
        first.cancel()

    asyncio.run(walk())


def test_buckets_fill_up_to_their_brim_and_the_oldest_is_forgotten() -> None:
    clock = Clock()
    buckets = Buckets(2, clock=clock)
    assert [buckets.take("a", rate=1, burst=2) for _ in range(3)] == [0, 0, 1]
    clock.now_s += 100
    assert [buckets.take("a", rate=1, burst=2) for _ in range(3)] == [0, 0, 1]
    buckets.take("b", rate=1, burst=2)
    buckets.take("c", rate=1, burst=2)
    assert buckets.take("a", rate=1, burst=2) == 0
    buckets.take("d", rate=0, burst=1)
    assert buckets.take("d", rate=0, burst=1) == NEVER_S


def test_an_unexpected_error_becomes_internal_with_the_request_id_and_nothing_else() -> None:
    async def fail(_call: Call) -> None:
        raise RuntimeError("/etc/secret")

    call = a_call()
    call.request_id = "id-1"
    call.context = Context()  # type: ignore[assignment]
    asyncio.run(status(call, fail))
    assert call.code is grpc.StatusCode.INTERNAL
    assert call.refusal is not None and "id-1" in call.refusal.message and "secret" not in str(call.trailers)


@pytest.mark.parametrize(("left_s", "code"), [(None, "CANCELLED"), (3.0, "CANCELLED"), (-0.1, "DEADLINE_EXCEEDED")])
def test_a_cancelled_call_says_why_and_stays_cancelled(left_s: float | None, code: str) -> None:
    call = a_call()
    call.context = Context(left_s=left_s)  # type: ignore[assignment]

    async def walk() -> None:
        running = asyncio.create_task(status(call, never_end))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(walk())
    assert call.code.name == code


def test_the_line_of_a_call_is_one_line_whatever_the_client_says() -> None:
    written = io.StringIO()
    call = a_call()
    call.path = '/x/"\n{}' + "y" * 1000
    asyncio.run(AccessLog(written)(call, arrive))
    lines = written.getvalue().splitlines()
    assert len(lines) == 1
    assert len(json.loads(lines[0])["method"]) == 200


def test_a_call_is_counted_when_it_fails() -> None:
    async def fail(call: Call) -> None:
        call.code = grpc.StatusCode.NOT_FOUND
        raise RuntimeError

    metrics = Metrics()
    with pytest.raises(RuntimeError):
        asyncio.run(CountCalls(metrics)(a_call(), fail))
    labels = {"grpc_type": "unary", "grpc_service": "tutelage.v1.Jobs", "grpc_method": "GetJob"}
    assert metrics.registry.get_sample_value("grpc_server_started_total", labels) == 1
    assert metrics.registry.get_sample_value("grpc_server_handled_total", {**labels, "grpc_code": "NOT_FOUND"}) == 1

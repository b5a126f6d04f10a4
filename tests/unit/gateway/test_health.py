"""Health is told to everybody, to a few at a time, and for as long as the gateway lives."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway import limits
from gateway.health import NOT_SERVING, Health
from gateway.methods import Owner

LIMIT_S = 10.0


class Silent:
    """A room that cannot even be asked; counts how often somebody tried."""

    def __init__(self) -> None:
        self.asked = 0

    @property
    def channel(self) -> Any:
        """Fails."""
        self.asked += 1
        raise RuntimeError("no channel")


@contextlib.asynccontextmanager
async def served(health: Health) -> AsyncIterator[Any]:
    """Yields a stub of a server with this health."""
    server = aio.server()
    health_pb2_grpc.add_HealthServicer_to_server(health.servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield health_pb2_grpc.HealthStub(channel)
    await server.stop(None)


def watched(stub: Any) -> Any:
    """Opens a watch."""
    return stub.Watch(health_pb2.HealthCheckRequest(), timeout=LIMIT_S)


def test_an_unforeseen_fault_does_not_end_the_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HEALTH_INTERVAL_S", 0.001)
    room: Any = Silent()
    health = Health({Owner.SERVICES: room}, [])

    async def walk() -> None:
        watching = asyncio.create_task(health.watch())
        async with asyncio.timeout(LIMIT_S):
            while room.asked < 3 and not watching.done():
                await asyncio.sleep(0)
        assert not watching.done()
        watching.cancel()

    asyncio.run(walk())


def test_only_a_few_may_watch_and_those_who_leave_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HEALTH_WATCHERS_MAX", 2)

    async def walk() -> None:
        async with served(Health({Owner.SERVICES: Silent()}, [])) as stub:  # type: ignore[dict-item]
            first, second = watched(stub), watched(stub)
            assert [(await first.read()).status, (await second.read()).status] == [NOT_SERVING] * 2
            assert await watched(stub).code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            first.cancel()
            async with asyncio.timeout(LIMIT_S):
                while await (third := watched(stub)).read() is aio.EOF:
                    pass
            third.cancel()
            second.cancel()

    asyncio.run(walk())


def test_a_watch_ends_with_the_drain_and_holds_it_up_no_longer() -> None:
    async def walk() -> None:
        health = Health({Owner.SERVICES: Silent()}, [])  # type: ignore[dict-item]
        async with served(health) as stub:
            watch = watched(stub)
            assert (await watch.read()).status == NOT_SERVING
            await health.drain()
            assert await watch.read() is aio.EOF
            assert await watch.code() is grpc.StatusCode.OK

    asyncio.run(walk())

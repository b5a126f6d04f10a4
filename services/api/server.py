"""The two gRPC servers of the house: the public language for the gateway, the internal language for the rooms.

`start` listens, `drain` ends: not serving any more, calls that run get a while, streams are told to come back.
"""

import asyncio
import contextlib
import dataclasses
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import grpc
from google.protobuf.message import Message
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from services.api.access import Access
from services.api.calls import StreamCall, UnaryCall
from services.api.cluster import Cluster
from services.api.datasets import Datasets
from services.api.duels import Duels
from services.api.feedback import Feedback
from services.api.guards import CallerGuard, RoomGuard, Secrets
from services.api.jobs import Jobs, event_reader, head_reader
from services.api.methods import INTERNAL_FILES, PUBLIC_FILES, Method, methods_of
from services.api.models import Models
from services.api.pool import VerbPool
from services.api.projects import Projects
from services.api.reviews import Reviews
from services.api.streams import OpenStreams
from services.api.tailer import Tailer
from services.api.workers import Workers
from services.domain.errors import Unavailable
from services.ports import House
from services.projects.authenticate import working_keys

MESSAGE_BYTES_MAX = 4 * 1024**2
Handler = Any  # grpc.GenericRpcHandler, which is generic over messages that are bytes here
CALLS_MAX = 4096  # all visitors come through a few gateways: 500 watchers and the calls of the others at the same time
SERVER_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_metadata_size", 8 * 1024),
    ("grpc.absolute_max_metadata_size", 16 * 1024),
    ("grpc.max_concurrent_streams", CALLS_MAX),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 20_000),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 20_000),
    ("grpc.http2.max_ping_strikes", 3),
    ("grpc.max_connection_idle_ms", 15 * 60_000),
    ("grpc.max_connection_age_ms", 30 * 60_000),
    ("grpc.max_connection_age_grace_ms", 60_000),
    ("grpc.server_handshake_timeout_ms", 5_000),
    ("grpc.max_allowed_incoming_connections", 1024),  # only together with the handshake time-out
    ("grpc.so_reuseport", 0),
)


RETURN_AFTER_S = 0.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Listen:
    """Where to listen; each `unix:/path` or `host:port`. Tests ask for port 0 and read the port that they got."""

    public: str
    internal: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bounds:
    """Threads for verbs, and how many calls may wait for one. Beyond that, calls are refused at once."""

    threads: int = 12
    waiting_max: int = 256
    slow_threads: int = 4
    slow_waiting_max: int = 32
    internal_threads: int = 8
    internal_waiting_max: int = 256


class Api:
    """Everything of the house that listens."""

    def __init__(self, house: House, *, secrets: Secrets, listen: Listen, bounds: Bounds | None = None) -> None:
        """Open nothing yet; must be made where the event loop runs."""
        bounds = bounds or Bounds()
        self._house = house
        self._listen = listen
        self._pool = VerbPool(name="verbs", threads=bounds.threads, waiting_max=bounds.waiting_max)
        self._slow_pool = VerbPool(name="slow-verbs", threads=bounds.slow_threads, waiting_max=bounds.slow_waiting_max)
        self._room_pool = VerbPool(
            name="room-verbs", threads=bounds.internal_threads, waiting_max=bounds.internal_waiting_max
        )
        self._streams = OpenStreams()
        self._tailer = Tailer(read_events=event_reader(house), read_heads=head_reader(house))
        self._health: Any = health.aio.HealthServicer()  # type: ignore[attr-defined]
        self._tasks: list[asyncio.Task[None]] = []
        self._public = self._server(self._public_handlers(secrets))
        self._internal = self._server(self._internal_handlers(secrets))
        self.ports: dict[str, int] = {}

    async def start(self) -> None:
        """Listen, and serve. Raises: RuntimeError if an address cannot be had."""
        self.ports["public"] = self._public.add_insecure_port(self._listen.public)
        self.ports["internal"] = self._internal.add_insecure_port(self._listen.internal)
        await self._public.start()
        await self._internal.start()
        self._tasks = [
            asyncio.create_task(self._tailer.run(), name="tailer"),
            asyncio.create_task(self._streams.watch_keys(self._working_keys), name="watch-keys"),
        ]
        await self.set_serving(True)

    async def set_serving(self, serving: bool) -> None:
        """Tell whoever asks for the health."""
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for service in ("", *_services(PUBLIC_FILES), *_services(INTERNAL_FILES)):
            await self._health.set(service, status)

    async def drain(self, *, notice_s: float = 0.0, grace_s: float = 25.0) -> None:
        """Say NOT_SERVING, wait until that is known, give running calls a while, and end."""
        await self._health.enter_graceful_shutdown()
        await asyncio.sleep(notice_s)
        leaving = "this server is leaving; resume at another with the last cursor"
        self._streams.end_endless(Unavailable(leaving, retry_after_s=RETURN_AFTER_S))
        await asyncio.gather(self._public.stop(grace_s), self._internal.stop(grace_s))
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._tailer.close()
        for pool in (self._pool, self._slow_pool, self._room_pool):
            pool.close()

    async def _working_keys(self, key_ids: Collection[str]) -> set[str]:
        return await self._room_pool.run(working_keys, self._house, key_ids=sorted(key_ids))

    def _server(self, handlers: Iterable[Handler]) -> grpc.aio.Server:
        server = grpc.aio.server(options=SERVER_OPTIONS, maximum_concurrent_rpcs=CALLS_MAX)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        server.add_generic_rpc_handlers(tuple(handlers))
        return server

    def _public_handlers(self, secrets: Secrets) -> Iterable[Handler]:
        servicers: dict[str, Any] = {
            "tutelage.v1.Jobs": Jobs(house=self._house, pool=self._pool, tailer=self._tailer),
            "tutelage.v1.Datasets": Datasets(house=self._house, pool=self._slow_pool),
            "tutelage.v1.Models": Models(house=self._house),
            "tutelage.v1.Projects": Projects(house=self._house),
            "tutelage.v1.Reviews": Reviews(house=self._house),
            "tutelage.v1.Cluster": Cluster(house=self._house),
            "tutelage.v1.Duels": Duels(house=self._house),
            "tutelage.v1.Feedback": Feedback(house=self._house, pool=self._pool),
        }
        guard = CallerGuard(house=self._house, secrets=secrets)
        calls: dict[Method, Any] = {}
        for method in methods_of(PUBLIC_FILES):
            check_guarded(method, by=method.permission)
            answer = getattr(servicers[method.service], method.verb)
            pool = self._slow_pool if method.slow else self._pool
            if method.client_streams or method.server_streams:
                calls[method] = StreamCall(method, guard=guard, pool=pool, streams=self._streams, answer=answer)
            else:
                calls[method] = UnaryCall(method, guard=guard, pool=pool, answer=answer)
        return _handlers(calls)

    def _internal_handlers(self, secrets: Secrets) -> Iterable[Handler]:
        servicers: dict[str, Any] = {
            "tutelage_internal.v1.Access": Access(house=self._house),
            "tutelage_internal.v1.Workers": Workers(house=self._house, tailer=self._tailer),
        }
        guard = RoomGuard(house=self._house, secrets=secrets)
        calls: dict[Method, Any] = {}
        for method in methods_of(INTERNAL_FILES):
            check_guarded(method, by=method.room)
            answer: Callable[..., Message] = getattr(servicers[method.service], method.verb)
            calls[method] = UnaryCall(method, guard=guard, pool=self._room_pool, answer=answer)
        return _handlers(calls)


def check_guarded(method: Method, *, by: object) -> None:
    """Refuse to start with a method that does not say who may call it."""
    if not by:
        raise RuntimeError(f"{method.name} says neither a permission nor a room in its proto: it cannot be served")


def _handlers(calls: Mapping[Method, Any]) -> list[Handler]:
    kinds = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }
    services: dict[str, dict[str, Any]] = {}
    for method, call in calls.items():
        kind = kinds[method.client_streams, method.server_streams]
        services.setdefault(method.service, {})[method.rpc] = kind(_function(call))
    return [grpc.method_handlers_generic_handler(service, handlers) for service, handlers in services.items()]


def _function(call: Any) -> Callable[[Any, Any], Any]:
    """Return a coroutine function, which is how grpc.aio tells an asynchronous handler from a blocking one."""

    async def serve(request: Any, context: Any) -> Any:
        return await call(request, context)

    return serve


def _services(modules: tuple[Any, ...]) -> Iterable[str]:
    return {method.service: None for method in methods_of(modules)}

"""Whether the door is open: it is while the rooms behind it answer, and until the drain begins."""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from typing import Any

import grpc
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway import limits
from gateway.backends import Backend
from gateway.methods import Method, Owner

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING

logger = logging.getLogger("gateway")


class HealthAnswers(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # it comes without types
    """Answers those who ask, with or without a key.

    Not the servicer of grpcio-health-checking: that one has no limit, holds a lock while it writes, so that one watcher
    who does not read holds up the news for all, and keeps watches open until a drain has used up its grace.
    """

    def __init__(self) -> None:
        self._statuses: Mapping[str, Any] = {"": NOT_SERVING}
        self._news = asyncio.Event()
        self._watchers = 0
        self._is_last = False

    def publish(self, statuses: Mapping[str, Any], *, is_last: bool = False) -> None:
        """Tells everybody. After the last news watches end."""
        self._statuses, self._is_last = statuses, is_last
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def Check(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Answers once."""
        if request.service not in self._statuses:
            await context.abort(grpc.StatusCode.NOT_FOUND, "There is no such service.")
        return health_pb2.HealthCheckResponse(status=self._statuses[request.service])

    async def Watch(self, request: Any, context: Any) -> None:  # noqa: N802
        """Answers at each change, to a few at the same time: they have shown no key."""
        if self._watchers >= limits.HEALTH_WATCHERS_MAX:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "Too many watch the health already; use Check.")
        self._watchers += 1
        try:
            await self._tell(request.service, context)
        finally:
            self._watchers -= 1

    async def _tell(self, service: str, context: Any) -> None:
        told = None
        while True:
            news, is_last = self._news, self._is_last
            status = self._statuses.get(service, health_pb2.HealthCheckResponse.SERVICE_UNKNOWN)
            if status != told:
                await context.write(health_pb2.HealthCheckResponse(status=status))
                told = status
            if is_last:
                return
            await news.wait()


class Health:
    """Asks the rooms how they are, and tells whoever asks the gateway."""

    def __init__(self, backends: Mapping[Owner, Backend], methods: Iterable[Method]) -> None:
        self.servicer = HealthAnswers()
        self._backends = backends
        self._owners = {method.service: method.owner for method in methods}
        self._serving = dict.fromkeys(backends, False)
        self._draining = False

    @property
    def ready(self) -> bool:
        """Whether calls can be served: services answer, and the gateway is not leaving."""
        return self._serving[Owner.SERVICES] and not self._draining

    async def watch(self) -> None:
        """Asks for ever; no trouble ends it, and the next look is the retry."""
        while True:
            try:
                await self.look()
            except Exception:
                logger.exception("health")
            await asyncio.sleep(limits.HEALTH_INTERVAL_S)

    async def look(self) -> None:
        """Asks each room once, and publishes what follows from it."""
        answers = await asyncio.gather(*(_serves(backend) for backend in self._backends.values()))
        serving = dict(zip(self._backends, answers, strict=True))
        if serving != self._serving:
            logger.info("health", extra={"fields": {owner.value: serves for owner, serves in serving.items()}})
        self._serving = serving
        self._publish()

    async def drain(self) -> None:
        """Says NOT_SERVING from now on."""
        self._draining = True
        self._publish()

    def _publish(self) -> None:
        # The owner alone is not enough: without services nobody is let in.
        serves = {"": self.ready} | {
            service: self.ready and self._serving.get(owner, True) for service, owner in self._owners.items()
        }
        statuses = {service: SERVING if it_serves else NOT_SERVING for service, it_serves in serves.items()}
        self.servicer.publish(statuses, is_last=self._draining)


async def _serves(backend: Backend) -> bool:
    stub = health_pb2_grpc.HealthStub(backend.channel)
    try:
        answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=limits.HEALTH_TIMEOUT_S)
    except aio.AioRpcError as error:
        return error.code() is grpc.StatusCode.UNIMPLEMENTED
    return bool(answer.status == SERVING)

"""The machines behind the service."""

from collections.abc import AsyncIterator

from tutelage._async.pages import walk_pages
from tutelage._async.transport import AsyncTransport
from tutelage._values.cluster import Queue, ServerInfo, Worker
from tutelage.v1 import cluster_pb2


class AsyncCluster:
    """What the service runs on and what it offers."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def info(self, *, timeout: float | None = None) -> ServerInfo:
        """Returns the version of the service, its presets and its limits."""
        request = cluster_pb2.GetServerInfoRequest()
        return ServerInfo.from_message(await self._transport.call("Cluster", "GetServerInfo", request, timeout=timeout))

    async def workers(self, *, page_size: int = 0, timeout: float | None = None) -> AsyncIterator[Worker]:
        """Yields the workers that were heard from lately."""
        request = cluster_pb2.ListWorkersRequest(page_size=page_size)
        async for message in walk_pages(self._transport, "Cluster", "ListWorkers", request, timeout=timeout):
            yield Worker.from_message(message)

    async def queues(self, *, timeout: float | None = None) -> tuple[Queue, ...]:
        """Returns the queues with their length and age."""
        answer = await self._transport.call("Cluster", "ListQueues", cluster_pb2.ListQueuesRequest(), timeout=timeout)
        return tuple(Queue.from_message(message) for message in answer.queues)

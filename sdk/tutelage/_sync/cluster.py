# Generated from tutelage/_async/cluster.py by sdk/generate_sync.py; change it there.
# ruff: noqa: UP028

"""The machines behind the service."""

from collections.abc import Iterator

from tutelage._sync.pages import walk_pages
from tutelage._sync.transport import Transport
from tutelage._values.cluster import Queue, ServerInfo, Worker
from tutelage.v1 import cluster_pb2


class Cluster:
    """What the service runs on and what it offers."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def info(self, *, timeout: float | None = None) -> ServerInfo:
        """Returns the version of the service, its presets and its limits."""
        request = cluster_pb2.GetServerInfoRequest()
        return ServerInfo.from_message(self._transport.call("Cluster", "GetServerInfo", request, timeout=timeout))

    def workers(self, *, page_size: int = 0, timeout: float | None = None) -> Iterator[Worker]:
        """Yields the workers that were heard from lately."""
        request = cluster_pb2.ListWorkersRequest(page_size=page_size)
        for message in walk_pages(self._transport, "Cluster", "ListWorkers", request, timeout=timeout):
            yield Worker.from_message(message)

    def queues(self, *, timeout: float | None = None) -> tuple[Queue, ...]:
        """Returns the queues with their length and age."""
        answer = self._transport.call("Cluster", "ListQueues", cluster_pb2.ListQueuesRequest(), timeout=timeout)
        return tuple(Queue.from_message(message) for message in answer.queues)

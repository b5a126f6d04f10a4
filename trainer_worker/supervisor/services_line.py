"""The line to services: one channel, the worker's secret, and calls that are repeated until answered."""

import logging
import random
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import grpc

from trainer_worker.supervisor.clock import now_s
from trainer_worker.supervisor.refusals import Meaning, RefusedError, understand
from tutelage_internal.v1 import workers_pb2_grpc

_log = logging.getLogger(__name__)
_Answer = TypeVar("_Answer")

_BACKOFF_FIRST_S = 0.2
_BACKOFF_MOST_S = 5.0  # services that are back are noticed within this; a lease lasts 30 s
_DOUBTFUL_MOST_S = 300.0  # an INTERNAL error that lasts five minutes is about this request, not about a moment

_CHANNEL_OPTIONS = (
    ("grpc.keepalive_time_ms", 30_000),  # services allow a ping every 20 s
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    ("grpc.max_receive_message_length", 4 * 1024 * 1024),
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),  # a channel of its own is a connection of its own
)


class ServicesLine:
    """A channel to services. Heartbeats have one for themselves, so that no report can hold them up."""

    def __init__(self, address: str, *, secret: str) -> None:
        self._channel = grpc.insecure_channel(address, options=_CHANNEL_OPTIONS)
        self._metadata = (("authorization", f"Bearer {secret}"),)
        self.workers = workers_pb2_grpc.WorkersStub(self._channel)

    def call(self, method: Callable[..., _Answer], request: Any, *, timeout_s: float) -> _Answer:
        """Calls once. Raises grpc.RpcError."""
        return method(request, timeout=timeout_s, metadata=self._metadata)

    def call_until_answered(
        self, method: Callable[..., _Answer], request: Any, *, timeout_s: float, given_up: threading.Event
    ) -> _Answer | None:
        """Calls until there is an answer, or None once `given_up` is set. Raises RefusedError."""
        backoff_s = _BACKOFF_FIRST_S
        doubtful_since_s: float | None = None
        while not given_up.is_set():
            try:
                return self.call(method, request, timeout_s=timeout_s)
            except grpc.RpcError as error:
                refusal = understand(error)
            if refusal.meaning is Meaning.DOUBTFUL:
                doubtful_since_s = doubtful_since_s or now_s()
            if refusal.meaning not in (Meaning.AGAIN, Meaning.DOUBTFUL) or _too_long(doubtful_since_s):
                raise RefusedError(refusal)
            _log.warning("services did not answer", extra={"error": refusal.message, "again_s": backoff_s})
            given_up.wait(backoff_s * random.uniform(0.5, 1.0))
            backoff_s = min(backoff_s * 2, _BACKOFF_MOST_S)
        return None

    def close(self) -> None:
        """Hangs up."""
        self._channel.close()


def _too_long(since_s: float | None) -> bool:
    return since_s is not None and now_s() - since_s > _DOUBTFUL_MOST_S

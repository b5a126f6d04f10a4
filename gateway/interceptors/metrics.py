"""Every call is counted, however it ends."""

import contextlib
import time
from collections.abc import Iterator

from gateway.calls import Call
from gateway.interceptors import Proceed
from gateway.methods import Kind
from gateway.metrics import METHOD_LABELS, Metrics


class CountCalls:
    """Counts calls and messages, and times them."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    async def __call__(self, call: Call, proceed: Proceed) -> None:
        """Counts the call when it begins and when it is over."""
        method = call.method
        labels = dict(zip(METHOD_LABELS, (method.kind.value, method.service, method.name), strict=True))
        self._metrics.started.labels(**labels).inc()
        started = time.monotonic()
        try:
            with self._subscriber(call):
                await proceed(call)
        finally:
            self._metrics.handled.labels(**labels, grpc_code=call.code.name).inc()
            self._metrics.seconds.labels(**labels).observe(time.monotonic() - started)
            self._metrics.received.labels(**labels).inc(call.messages_received)
            self._metrics.sent.labels(**labels).inc(call.messages_sent)

    @contextlib.contextmanager
    def _subscriber(self, call: Call) -> Iterator[None]:
        if call.method.kind is not Kind.SERVER_STREAM:
            yield
            return
        with self._metrics.subscribers.track_inprogress():
            yield

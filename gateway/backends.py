"""The lines from the gateway to the rooms behind it."""

import contextlib
from collections.abc import Iterator
from typing import Any

from grpc import aio

from gateway import limits

OPTIONS = (
    ("grpc.max_receive_message_length", limits.MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", limits.MESSAGE_BYTES_MAX),
    # A room that was killed is back within seconds; the default pause grows to two minutes.
    ("grpc.initial_reconnect_backoff_ms", int(limits.RECONNECT_MIN_S * 1000)),
    ("grpc.min_reconnect_backoff_ms", int(limits.RECONNECT_MIN_S * 1000)),
    ("grpc.max_reconnect_backoff_ms", int(limits.RECONNECT_MAX_S * 1000)),
    ("grpc.lb_policy_name", "round_robin"),
    # Lines to the same address would share one connection, and with it the limit of streams on it.
    ("grpc.use_local_subchannel_pool", 1),
    # Whether a call is repeated is the visitor's decision, who knows the request_id.
    ("grpc.enable_retries", 0),
    # No proxy between rooms, whatever the environment says.
    ("grpc.enable_http_proxy", 0),
)


class _Line:
    def __init__(self, address: str) -> None:
        # Calls on it carry bytes, which the type stubs of grpc do not foresee.
        self.channel: Any = aio.insecure_channel(address, options=OPTIONS)
        self.calls = 0


class Backend:
    """A room: one connection, and more as streams fill the first."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._lines = [_Line(address)]

    @property
    def channel(self) -> Any:
        """The first line, for short questions such as health."""
        return self._lines[0].channel

    @contextlib.contextmanager
    def line(self) -> Iterator[Any]:
        """Lends the channel with the fewest calls for the time of one call."""
        line = min(self._lines, key=lambda candidate: candidate.calls)
        if line.calls >= limits.CALLS_PER_LINE and len(self._lines) < limits.LINES_MAX:
            line = _Line(self.address)
            self._lines.append(line)
        line.calls += 1
        try:
            yield line.channel
        finally:
            line.calls -= 1

    async def close(self) -> None:
        """Closes all lines; calls on them end."""
        for line in self._lines:
            await line.channel.close()

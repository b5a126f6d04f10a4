"""A call on its way through the door."""

import dataclasses
from typing import Any, cast

import grpc
from grpc import aio

from gateway.methods import Kind, Method
from gateway.refusals import Metadata, Refused
from tutelage_internal.v1 import access_pb2

# What a read returns at the end of a stream. The type stubs of grpc do not know it.
END_OF_STREAM = cast(Any, aio).EOF


@dataclasses.dataclass(slots=True, kw_only=True)
class Call:
    """One call: what came in with it, and what the interceptors have found out so far."""

    method: Method
    path: str
    metadata: Metadata
    peer: str
    # None where the HTTP door refuses a request that never became a gRPC call.
    context: "aio.ServicerContext[bytes, bytes] | None" = None
    request_id: str = ""
    caller: access_pb2.AuthenticateResponse | None = None
    # Time left when the deadline was set; None: no limit but the client's patience.
    timeout_s: float | None = None
    code: grpc.StatusCode = grpc.StatusCode.UNKNOWN
    refusal: Refused | None = None
    trailers: Metadata = ()
    messages_received: int = 0
    messages_sent: int = 0
    received_bytes: int = 0
    sent_bytes: int = 0

    @property
    def is_stream(self) -> bool:
        """Whether more than one message may go either way."""
        return self.method.kind is not Kind.UNARY

    @property
    def ends_by_itself(self) -> bool:
        """Whether the caller's side decides how long it takes; a server stream goes on until somebody leaves."""
        return self.method.kind in (Kind.UNARY, Kind.CLIENT_STREAM)

    def values(self, key: str) -> list[str]:
        """Returns the values of one metadata key, as text."""
        return [value for name, value in self.metadata if name == key and isinstance(value, str)]

    def client_timeout_s(self) -> float | None:
        """Returns the seconds until the client's own deadline, if it set one."""
        return None if self.context is None else self.context.time_remaining()

    async def read(self) -> bytes | None:
        """Returns the client's next message; None when it has said all."""
        assert self.context is not None, "a call without a context has nothing to read"
        message = await _on_the_line(self.context.read())
        if message is END_OF_STREAM:
            return None
        self.messages_received += 1
        self.received_bytes += len(message)
        return bytes(message)

    async def write(self, message: bytes) -> None:
        """Sends a message; waits while the client does not read."""
        assert self.context is not None, "a call without a context has nobody to write to"
        await _on_the_line(self.context.write(message))
        self.messages_sent += 1
        self.sent_bytes += len(message)

    async def send_initial_metadata(self, metadata: Metadata) -> None:
        """Sends what comes before the first message: the request id and what the owner of the method said."""
        assert self.context is not None, "a call without a context has nobody to write to"
        await _on_the_line(self.context.send_initial_metadata((*metadata, ("x-request-id", self.request_id))))


async def _on_the_line(operation: Any) -> Any:
    try:
        return await operation
    except cast(Any, aio).InternalError:
        # The client left before this task was told.
        raise Refused(grpc.StatusCode.CANCELLED, "The client left.") from None

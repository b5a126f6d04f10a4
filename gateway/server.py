"""The gRPC port: any method in, as bytes, through the interceptors and out to its owner."""

import hmac
import urllib.parse
from collections.abc import Mapping
from typing import Any

import grpc
from grpc import aio

from gateway import limits
from gateway.calls import Call
from gateway.interceptors import Proceed
from gateway.methods import UNKNOWN, Method

# How the HTTP door says that it is the HTTP door, and for whom it calls.
DOOR_KEY = "x-tutelage-door"
DOOR_PEER_KEY = "x-tutelage-peer"

OPTIONS = (
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", limits.MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", limits.MESSAGE_BYTES_MAX),
    ("grpc.max_metadata_size", limits.METADATA_BYTES_SOFT),
    ("grpc.absolute_max_metadata_size", limits.METADATA_BYTES_MAX),
    ("grpc.max_concurrent_streams", limits.STREAMS_PER_CONNECTION_MAX),
    ("grpc.max_allowed_incoming_connections", limits.CONNECTIONS_MAX),
    ("grpc.server_handshake_timeout_ms", limits.HANDSHAKE_S * 1000),
    ("grpc.keepalive_time_ms", limits.KEEPALIVE_S * 1000),
    ("grpc.keepalive_timeout_ms", limits.KEEPALIVE_TIMEOUT_S * 1000),
    ("grpc.http2.min_ping_interval_without_data_ms", limits.PING_INTERVAL_MIN_S * 1000),
    ("grpc.http2.max_ping_strikes", limits.PING_STRIKES_MAX),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.max_connection_idle_ms", limits.CONNECTION_IDLE_S * 1000),
    ("grpc.max_connection_age_ms", limits.CONNECTION_AGE_S * 1000),
    ("grpc.max_connection_age_grace_ms", limits.CONNECTION_AGE_GRACE_S * 1000),
)


class AnyMethod:
    """Takes every call. All are handled as streams, so that a stranger is refused before a message is read."""

    def __init__(
        self, routes: Mapping[str, tuple[Method, Proceed]], *, refuse_unknown: Proceed, door_token: str
    ) -> None:
        self._door_token = door_token
        self._refuse_unknown = refuse_unknown
        self._handlers = {path: self._handler(path, method, proceed) for path, (method, proceed) in routes.items()}

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Returns the handler of a path; that of an unknown path refuses."""
        path = handler_call_details.method
        return self._handlers.get(path) or self._handler(path, UNKNOWN, self._refuse_unknown)

    def _handler(self, path: str, method: Method, proceed: Proceed) -> Any:
        async def handle(_requests: Any, context: "aio.ServicerContext[bytes, bytes]") -> None:
            metadata = tuple((str(key), value) for key, value in context.invocation_metadata() or ())
            peer = caller_address(context.peer(), metadata, door_token=self._door_token)
            await proceed(Call(method=method, path=path, metadata=metadata, peer=peer, context=context))

        return grpc.stream_stream_rpc_method_handler(handle)


def caller_address(peer: str, metadata: Any, *, door_token: str) -> str:
    """Returns the address of a peer such as `ipv4:10.0.0.1:4711`; for a call of the HTTP door, that of its client."""
    values = dict(metadata)
    if hmac.compare_digest(str(values.get(DOOR_KEY, "")).encode(), door_token.encode()):
        return str(values.get(DOOR_PEER_KEY, ""))
    scheme, _, rest = urllib.parse.unquote(peer).partition(":")
    return rest.rpartition(":")[0].strip("[]") if scheme in ("ipv4", "ipv6") else scheme


def new_server() -> aio.Server:
    """Makes a server with the settings of the front door; it listens nowhere yet."""
    return aio.server(options=OPTIONS, maximum_concurrent_rpcs=limits.CALLS_MAX)

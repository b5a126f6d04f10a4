"""What the client tells gRPC about its connections."""

import importlib
import pathlib
import platform
from typing import Any

import grpc

from tutelage._connection import Connection
from tutelage._version import __version__

# The gateway ends connections that ping more often than every 20 s; 60 s is half of what home routers forget after.
KEEPALIVE_MS = 60_000
KEEPALIVE_TIMEOUT_MS = 20_000
# The gateway sends and takes 4 MiB; pages of 1000 resources may come near it.
MESSAGE_BYTES_MAX = 16 * 1024 * 1024

OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.keepalive_time_ms", KEEPALIVE_MS),
    ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
    ("grpc.keepalive_permit_without_calls", 0),
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    # After a restart of the server the next try comes soon: gRPC's own default waits up to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # Retries are the library's: only it knows which calls are safe to repeat.
    ("grpc.enable_retries", 0),
    (
        "grpc.primary_user_agent",
        f"tutelage-python/{__version__} ({platform.system()}; Python {platform.python_version()})",
    ),
)


def credentials_of(connection: Connection) -> Any:
    """Returns TLS credentials, or None for plain text."""
    if not connection.tls:
        return None
    roots = pathlib.Path(connection.ca_file).read_bytes() if connection.ca_file else None
    return grpc.ssl_channel_credentials(root_certificates=roots)


def stub_of(service: str) -> Any:
    """Returns the generated stub class of a service."""
    return getattr(importlib.import_module(f"tutelage.v1.{service.lower()}_pb2_grpc"), f"{service}Stub")

"""The HTTP port: uvicorn in the loop of the gateway, which keeps the signals to itself."""

import asyncio
import contextlib
import pathlib
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from gateway import limits


class _Protocol(H11Protocol):
    """Hangs up on connections that do not bring a request in time, byte by byte or not at all."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._hang_up = self.loop.call_later(limits.HANDSHAKE_S, self._hang_up_if_idle)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._is_idle() and self._hang_up.when() <= self.loop.time():
            self._hang_up = self.loop.call_later(limits.HANDSHAKE_S, self._hang_up_if_idle)

    def connection_lost(self, exc: Exception | None) -> None:
        self._hang_up.cancel()
        super().connection_lost(exc)

    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _hang_up_if_idle(self) -> None:
        if self._is_idle():
            self.transport.close()


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class HttpListener:
    """Serves an app on a socket that is bound already."""

    def __init__(
        self, bound: socket.socket, app: ASGIApp, *, tls: tuple[pathlib.Path, pathlib.Path] | None, stop_grace_s: float
    ) -> None:
        config = uvicorn.Config(
            app,
            lifespan="off",
            ws="none",
            http=_Protocol,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=limits.CALLS_MAX,
            h11_max_incomplete_event_size=limits.HEADER_BYTES_MAX,
            timeout_graceful_shutdown=max(1, round(stop_grace_s)),
            ssl_certfile=tls[0] if tls else None,
            ssl_keyfile=tls[1] if tls else None,
        )
        self._socket = bound
        self._server = _Server(config)
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begins to take requests."""
        self._serving = asyncio.create_task(self._server.serve(sockets=[self._socket]))

    async def stop(self) -> None:
        """Takes no more requests and waits for those that run."""
        self._server.should_exit = True
        if self._serving is not None:
            await self._serving


def bind(listen: str) -> socket.socket:
    """Binds `host:port`; port 0 takes a free one. Raises OSError if the address is taken."""
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio switches Nagle off; else each answer waits 40 ms for an acknowledgement.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((host, int(port)))
    return bound


def address_of(bound: socket.socket) -> str:
    """Returns where a socket listens, as `host:port`."""
    host, port = bound.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

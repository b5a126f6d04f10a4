"""The answer to a server stream: messages go out as they come in, at the pace of the reader."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
from google.protobuf.descriptor import Descriptor
from grpc import aio
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from gateway.backends import Backend
from gateway.calls import END_OF_STREAM
from gateway.http.errors import as_refusal, connect_error, error_response
from gateway.http.frames import Frames
from gateway.refusals import Refused


class StreamAnswer:
    """Sends a stream of messages as the body of one response."""

    def __init__(
        self, port: Backend, begin: Callable[[Any], Any], frames: Frames, *, descriptor: Descriptor, request_id: str
    ) -> None:
        self._port = port
        self._begin = begin
        self._frames = frames
        self._descriptor = descriptor
        self._request_id = request_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Relays until the stream ends or the client leaves."""
        with contextlib.suppress(ClientDisconnect), self._port.line() as channel:
            upstream = self._begin(channel)
            async with cancelled_with_client(receive, upstream):
                if self._frames.status_first and (refusal := await _early_refusal(upstream)):
                    await error_response(refusal, request_id=self._request_id)(scope, receive, send)
                    return
                await self._relay(upstream, send)

    async def _relay(self, upstream: Any, send: Send) -> None:
        headers = [
            (b"content-type", self._frames.media_type.encode()),
            (b"x-request-id", self._request_id.encode()),
            # A proxy that gathers the answer before it passes it on would make a live stream a dead one.
            (b"x-accel-buffering", b"no"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        try:
            while (message := await upstream.read()) is not END_OF_STREAM:
                body = await self._frames.message(message, self._descriptor)
                await send({"type": "http.response.body", "body": body, "more_body": True})
            end = self._frames.end(None)
        except aio.AioRpcError as error:
            end = self._frames.end(connect_error(as_refusal(error)))
        await send({"type": "http.response.body", "body": end, "more_body": False})


async def _early_refusal(upstream: Any) -> Refused | None:
    await upstream.initial_metadata()
    if not upstream.done() or await upstream.code() is grpc.StatusCode.OK:
        return None
    trailers = await upstream.trailing_metadata()
    return Refused(await upstream.code(), await upstream.details() or "", trailers=tuple(trailers))


@contextlib.asynccontextmanager
async def cancelled_with_client(receive: Receive, upstream: Any) -> AsyncIterator[None]:
    """Cancels a call when its client leaves, and then raises ClientDisconnect."""
    watcher = asyncio.create_task(_cancel_when_gone(receive, upstream))
    try:
        yield
    except asyncio.CancelledError:
        if watcher.done():
            raise ClientDisconnect from None
        raise
    finally:
        watcher.cancel()
        upstream.cancel()


async def _cancel_when_gone(receive: Receive, upstream: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    upstream.cancel()

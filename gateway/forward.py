"""Bytes in, bytes out: a call goes to the owner of its method, and its answer comes back as it is.

Nothing is kept on the way: the next message is read only when the last one was taken on the other side, so a slow
reader slows the writer, in both directions. When one side leaves, the other is told.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

import grpc
from grpc import aio

from gateway import limits
from gateway.backends import Backend
from gateway.calls import END_OF_STREAM, Call
from gateway.methods import Kind, Owner
from gateway.principals import PRINCIPAL_KEY, Signer
from gateway.refusals import DETAILS_KEY, Metadata, Refused, internal, unavailable

# What a visitor may tell the rooms behind the door beside the message. Everything else stays outside, keys above all.
PASSED_ON = ("traceparent", "tracestate", "x-client-version")
# What the door says for itself, and what belongs to the transport.
OWN_KEYS = ("x-request-id", "x-tutelage-", "grpc-", ":")
# Without details these are made by the transport between the rooms, and their text names addresses.
TRANSPORT_FAULTS = (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN)


class Forward:
    """Passes calls on to services and sampler."""

    def __init__(self, backends: Mapping[Owner, Backend], *, signer: Signer) -> None:
        self._backends = backends
        self._signer = signer
        self._forms = {
            Kind.UNARY: _unary,
            Kind.SERVER_STREAM: _server_stream,
            Kind.CLIENT_STREAM: _message_stream,
            Kind.BIDI_STREAM: _message_stream,
        }

    async def __call__(self, call: Call) -> None:
        """Lets the owner of the method answer the call."""
        metadata = self._metadata(call)
        with self._backends[call.method.owner].line() as channel:
            try:
                await self._forms[call.method.kind](call, channel, metadata)
            except aio.AioRpcError as error:
                raise _refusal_of_backend(call, error) from error

    def _metadata(self, call: Call) -> Metadata:
        passed_on = tuple((key, value) for key, value in call.metadata if key in PASSED_ON)
        return (*passed_on, ("x-request-id", call.request_id), (PRINCIPAL_KEY, self._signer.sign(call)))


async def _unary(call: Call, channel: Any, metadata: Metadata) -> None:
    request = await _one_request(call)
    upstream = channel.unary_unary(call.path)(request, timeout=call.timeout_s, metadata=metadata)
    answer = await upstream
    await call.send_initial_metadata(_of_owner(await upstream.initial_metadata()))
    await call.write(answer)
    call.trailers = _of_owner(await upstream.trailing_metadata())


async def _server_stream(call: Call, channel: Any, metadata: Metadata) -> None:
    request = await _one_request(call)
    upstream = channel.unary_stream(call.path)(request, timeout=call.timeout_s, metadata=metadata)
    async with _hung_up(upstream):
        await _relay_answers(call, upstream)


async def _message_stream(call: Call, channel: Any, metadata: Metadata) -> None:
    upstream = channel.stream_stream(call.path)(timeout=call.timeout_s, metadata=metadata)
    async with _hung_up(upstream):
        requests = asyncio.create_task(_relay_requests(call, upstream))
        try:
            await _relay_answers(call, upstream)
        finally:
            requests.cancel()
            await asyncio.gather(requests, return_exceptions=True)


async def _one_request(call: Call) -> bytes:
    try:
        async with asyncio.timeout(limits.REQUEST_SECONDS) as scope:
            request = await call.read()
    except TimeoutError:
        if not scope.expired():
            raise
        raise Refused(
            grpc.StatusCode.DEADLINE_EXCEEDED, f"The request did not arrive within {limits.REQUEST_SECONDS} seconds."
        ) from None
    if request is None:
        raise Refused(grpc.StatusCode.INVALID_ARGUMENT, "The call ended before its request.")
    return request


async def _relay_requests(call: Call, upstream: Any) -> None:
    while (message := await call.read()) is not None:
        await upstream.write(message)
    await upstream.done_writing()


async def _relay_answers(call: Call, upstream: Any) -> None:
    await call.send_initial_metadata(_of_owner(await upstream.initial_metadata()))
    while (message := await upstream.read()) is not END_OF_STREAM:
        await call.write(message)
    call.trailers = _of_owner(await upstream.trailing_metadata())


@contextlib.asynccontextmanager
async def _hung_up(upstream: Any) -> AsyncIterator[None]:
    try:
        yield
    finally:
        upstream.cancel()


def _of_owner(metadata: Iterable[Any] | None) -> Metadata:
    return tuple((key, value) for key, value in metadata or () if not key.startswith(OWN_KEYS) or key == DETAILS_KEY)


def _refusal_of_backend(call: Call, error: aio.AioRpcError) -> Refused:
    trailers = _of_owner(error.trailing_metadata())
    has_details = any(key == DETAILS_KEY for key, _ in trailers)
    if error.code() is grpc.StatusCode.UNAVAILABLE and not has_details:
        return unavailable(f"{call.method.service} cannot be reached just now.")
    if error.code() in TRANSPORT_FAULTS and not has_details:
        return internal(call.request_id)
    return Refused(error.code(), error.details() or "", trailers=trailers)

"""One call, from its bytes to the answer: recognise, admit, read, let a verb do it, translate; or say why not.

Authorisation comes before validation, so that a stranger learns nothing from the refusal of a field.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Generic, Protocol, TypeVar

import grpc
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status

from services.api.errors import is_known, to_status
from services.api.methods import Method
from services.api.pool import VerbPool
from services.api.principals import REQUEST_ID, Claim, Metadata
from services.api.requests import read_request
from services.api.streams import OpenStreams, Stream
from services.domain.projects import Caller

_log = logging.getLogger("services.api")
_CODES = {code.value[0]: code for code in grpc.StatusCode}
REQUEST_ID_CHARACTERS_MAX = 64
V = TypeVar("V")
Admitted = TypeVar("Admitted", covariant=True)
Context = Any  # grpc.aio.ServicerContext, which is generic over messages that are bytes here


class Guard(Protocol[Admitted]):
    """Decides who may call; `Admitted` is how the servicer knows the one who does."""

    def recognise(self, method: Method, metadata: Metadata) -> Claim:
        """Return what the metadata prove, without any I/O. Raises: InvalidKey."""
        ...

    def admit(self, method: Method, claim: Claim) -> Admitted:
        """Return who calls, in a thread. Raises: InvalidKey, MissingPermission."""
        ...


class UnaryCall(Generic[V]):
    """Serves one unary method."""

    def __init__(self, method: Method, *, guard: Guard[V], pool: VerbPool, answer: Callable[[V, Any], Message]) -> None:
        self._method = method
        self._guard = guard
        self._pool = pool
        self._answer = answer

    async def __call__(self, data: bytes, context: Context) -> bytes:
        """Return the answer as bytes, or end the call with a status."""
        metadata = _metadata(context)
        try:
            claim = self._guard.recognise(self._method, metadata)
            return await self._pool.run(self._do, claim, data)
        except Exception as error:
            await refuse(context, error, method=self._method, request_id=request_id_of(metadata))
            raise

    def _do(self, claim: Claim, data: bytes) -> bytes:
        visitor = self._guard.admit(self._method, claim)
        return self._answer(visitor, read_request(data, self._method.request)).SerializeToString()


class StreamCall:
    """Serves one method with a stream of requests, of answers, or of both."""

    def __init__(
        self,
        method: Method,
        *,
        guard: Guard[Caller],
        pool: VerbPool,
        streams: OpenStreams,
        answer: Callable[[Stream, Any, Context], Awaitable[Message | None]],
    ) -> None:
        self._method = method
        self._guard = guard
        self._pool = pool
        self._streams = streams
        self._answer = answer

    async def __call__(self, request: Any, context: Context) -> bytes | None:
        """Serve the stream until its end; a client stream has an answer."""
        metadata = _metadata(context)
        try:
            claim = self._guard.recognise(self._method, metadata)
            caller = await self._pool.run(self._guard.admit, self._method, claim)
            answer = await self._serve(caller, request, context)
        except Exception as error:
            await refuse(context, error, method=self._method, request_id=request_id_of(metadata))
            raise
        return answer.SerializeToString() if answer is not None else None

    async def _serve(self, caller: Caller, request: Any, context: Context) -> Message | None:
        task = asyncio.current_task()
        assert task is not None
        stream = Stream(caller, task=task, endless=self._method.server_streams)
        self._streams.add(stream)
        try:
            if self._method.client_streams:
                return await self._answer(stream, self._requests(request), context)
            return await self._answer(stream, read_request(request, self._method.request), context)
        except asyncio.CancelledError:
            error = stream.take_error()
            if error is None:
                raise
            raise error from None
        finally:
            self._streams.remove(stream)

    async def _requests(self, messages: AsyncIterator[bytes]) -> AsyncIterator[Message]:
        async for message in messages:
            yield read_request(message, self._method.request)


async def refuse(context: Context, error: Exception, *, method: Method, request_id: str) -> None:
    """End the call with the status of an error; log what the client is not told."""
    if isinstance(error, grpc.aio.AbortError):
        raise error
    status = to_status(error, request_id=request_id)
    if not is_known(error):
        told = {"method": method.name, "request_id": request_id}
        _log.error("a call failed", exc_info=error, extra={"fields": told})
    await context.abort(_CODES[status.code], status.message, trailing_metadata=_trailers(status))


def request_id_of(metadata: Metadata) -> str:
    """Return the request id in the metadata, as far as it is one."""
    for name, value in metadata:
        if name == REQUEST_ID and isinstance(value, str):
            return "".join(letter for letter in value if letter.isalnum() or letter == "-")[:REQUEST_ID_CHARACTERS_MAX]
    return ""


def _trailers(status: Status) -> tuple[tuple[str, bytes], ...]:
    return (("grpc-status-details-bin", status.SerializeToString()),)


def _metadata(context: Context) -> tuple[tuple[str, str | bytes], ...]:
    return tuple((key, value) for key, value in context.invocation_metadata() or ())

"""One endpoint for all methods: the Connect protocol, by the descriptors."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import grpc
from google.protobuf.descriptor import Descriptor
from grpc import aio
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from gateway.backends import Backend
from gateway.calls import Call
from gateway.http.errors import HttpRefused, as_refusal, error_response
from gateway.http.frames import Frames, as_it_is, frames_for
from gateway.http.requests import body_of, call_of, content_type_of, timeout_of
from gateway.http.streams import StreamAnswer, cancelled_with_client
from gateway.http.translation import json_to_message, message_to_json
from gateway.interceptors import Proceed
from gateway.methods import UNKNOWN, Kind, Method
from gateway.refusals import Metadata, Refused, unknown_method
from gateway.server import DOOR_KEY, DOOR_PEER_KEY

UNARY_TYPES = {
    "application/json": (json_to_message, message_to_json),
    "application/proto": (as_it_is, as_it_is),
}


# Writes a refusal that never became a gRPC call into the same log and the same metrics, and returns what to answer.
Record = Callable[[Call, Refused], Awaitable[Refused]]


class ConnectDoor:
    """Translates requests to calls on the gateway's own gRPC port, and the answers back."""

    def __init__(
        self,
        methods: Mapping[str, Method],
        port: Backend,
        *,
        admit: Proceed,
        record: Record,
        door_token: str,
    ) -> None:
        self._methods = methods
        self._port = port
        self._admit = admit
        self._record = record
        self._door_token = door_token

    async def answer(self, request: Request) -> Any:
        """Answers one request."""
        call = call_of(request, self._methods.get(request.url.path, UNKNOWN))
        try:
            return await self._answer(request, call)
        except Refused as refusal:
            recorded = await self._record(call, refusal)
            return error_response(recorded, request_id=call.request_id)
        except ClientDisconnect:
            return Response(status_code=499)

    async def _answer(self, request: Request, call: Call) -> Any:
        if call.method is UNKNOWN:
            raise unknown_method(call.path)
        if request.method == "GET" and not (call.method.reads_only and call.method.kind is Kind.UNARY):
            raise HttpRefused(405, grpc.StatusCode.UNIMPLEMENTED, f"{call.method.name} is called with POST.")
        # Before the body is read: a stranger costs us headers only, and learns nothing from our judgement of a body.
        await self._admit(call)
        call.timeout_s = timeout_of(request)
        if call.method.kind is Kind.UNARY:
            return await self._unary(request, call)
        if call.method.kind is not Kind.SERVER_STREAM:
            text = "takes a stream of messages, which needs gRPC: use the SDK, the CLI or a gRPC client."
            raise Refused(grpc.StatusCode.UNIMPLEMENTED, f"{call.method.name} {text}")
        return await self._server_stream(request, call)

    async def _unary(self, request: Request, call: Call) -> Response:
        content_type = content_type_of(request)
        if content_type not in UNARY_TYPES:
            raise _not_spoken(tuple(UNARY_TYPES))
        decode, encode = UNARY_TYPES[content_type]
        message = await decode(await body_of(request), _known(call.method.input))
        with self._port.line() as channel:
            upstream = channel.unary_unary(call.path)(message, **self._call_arguments(call))
            async with cancelled_with_client(request.receive, upstream):
                try:
                    answer = await upstream
                except aio.AioRpcError as error:
                    return error_response(as_refusal(error), request_id=call.request_id)
        body = await encode(answer, _known(call.method.output))
        return Response(body, media_type=content_type, headers={"x-request-id": call.request_id})

    async def _server_stream(self, request: Request, call: Call) -> StreamAnswer:
        frames: Frames | None = frames_for(content_type_of(request))
        if frames is None:
            raise _not_spoken(("application/connect+json", "application/connect+proto", "application/json"))
        message = await frames.request(await body_of(request), _known(call.method.input))

        def begin(channel: Any) -> Any:
            return channel.unary_stream(call.path)(message, **self._call_arguments(call))

        return StreamAnswer(
            self._port, begin, frames, descriptor=_known(call.method.output), request_id=call.request_id
        )

    def _call_arguments(self, call: Call) -> dict[str, Any]:
        said = tuple((key, value) for key, value in call.metadata if key != "x-request-id")
        own: Metadata = (
            ("x-request-id", call.request_id),
            (DOOR_KEY, self._door_token),
            (DOOR_PEER_KEY, call.peer),
        )
        return {"timeout": call.timeout_s, "metadata": (*said, *own)}


def _known(descriptor: Descriptor | None) -> Descriptor:
    assert descriptor is not None, "the methods of the HTTP door come from descriptors"
    return descriptor


def _not_spoken(types: tuple[str, ...]) -> HttpRefused:
    return HttpRefused(415, grpc.StatusCode.INVALID_ARGUMENT, f"The content type must be one of {', '.join(types)}.")

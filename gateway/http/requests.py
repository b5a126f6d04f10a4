"""What an HTTP request asks for: which method, until when, in which words."""

import asyncio
import base64
import binascii
import re

import grpc
from starlette.requests import ClientDisconnect, Request

from gateway import limits
from gateway.calls import Call
from gateway.http.errors import HttpRefused
from gateway.methods import Method
from gateway.refusals import Metadata, Refused, invalid_fields

TIMEOUT_MS = re.compile(r"[0-9]{1,10}")
# Headers that mean the same as gRPC metadata. All others belong to HTTP.
METADATA_HEADERS = ("authorization", "x-request-id", "traceparent", "tracestate", "x-client-version")


def call_of(request: Request, method: Method) -> Call:
    """Returns the call that a request wants to be."""
    metadata: Metadata = tuple((name, value) for name in METADATA_HEADERS for value in request.headers.getlist(name))
    peer = request.client.host if request.client else ""
    return Call(method=method, path=request.url.path, metadata=metadata, peer=peer)


def content_type_of(request: Request) -> str:
    """Returns the type of the body; a GET names it in the query. The only parameter that is allowed is UTF-8."""
    if request.method == "GET":
        return f"application/{request.query_params.get('encoding', 'json')}"
    content_type, _, parameter = request.headers.get("content-type", "").lower().partition(";")
    return content_type.strip() if parameter.strip() in ("", "charset=utf-8") else ""


def timeout_of(request: Request) -> float | None:
    """Returns the seconds that the client gives the call, if it says."""
    text = request.headers.get("connect-timeout-ms")
    if text is None:
        return None
    if not TIMEOUT_MS.fullmatch(text):
        raise invalid_fields({"connect-timeout-ms": "at most ten digits"})
    return int(text) / 1000


async def body_of(request: Request) -> bytes:
    """Returns the body, if it is not too large and arrives in time; that of a GET stands in the query."""
    if request.headers.get("content-encoding", "identity") != "identity":
        raise HttpRefused(415, grpc.StatusCode.UNIMPLEMENTED, "Compressed bodies are not taken; send identity.")
    if request.method == "GET":
        return _message_of_query(request)
    if int(request.headers.get("content-length") or 0) > limits.BODY_BYTES_MAX:
        raise _too_large()
    try:
        async with asyncio.timeout(limits.BODY_SECONDS):
            return await _read(request)
    except TimeoutError:
        raise HttpRefused(408, grpc.StatusCode.DEADLINE_EXCEEDED, "The body did not arrive in time.") from None
    except ClientDisconnect:
        raise Refused(grpc.StatusCode.CANCELLED, "The client left.") from None


async def _read(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limits.BODY_BYTES_MAX:
            raise _too_large()
    return bytes(body)


def _message_of_query(request: Request) -> bytes:
    message = request.query_params.get("message", "")
    if request.query_params.get("base64") != "1":
        return message.encode()
    try:
        return base64.b64decode(message + "=" * (-len(message) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise invalid_fields({"message": "not base64"}) from None


def _too_large() -> HttpRefused:
    return HttpRefused(
        413, grpc.StatusCode.RESOURCE_EXHAUSTED, f"A body may have {limits.BODY_BYTES_MAX} bytes, not more."
    )

"""A refusal as Connect says it: an HTTP status, and JSON with the code, the message and the details."""

import base64
import math
from typing import Any, cast

import grpc
from google.protobuf import any_pb2, json_format
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from grpc import aio
from starlette.responses import JSONResponse

from gateway.refusals import DETAILS_KEY, Refused

HTTP_STATUS = {
    grpc.StatusCode.CANCELLED: 499,
    grpc.StatusCode.UNKNOWN: 500,
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.INTERNAL: 500,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DATA_LOSS: 500,
    grpc.StatusCode.UNAUTHENTICATED: 401,
}


class HttpRefused(Refused):
    """A refusal that HTTP has a better status for than the code's own."""

    def __init__(self, status: int, code: grpc.StatusCode, message: str) -> None:
        super().__init__(code, message)
        self.status = status


def as_refusal(error: aio.AioRpcError) -> Refused:
    """Returns what the gRPC port answered, as a refusal."""
    return Refused(error.code(), error.details() or "", trailers=tuple(cast(Any, error.trailing_metadata())))


def error_response(refusal: Refused, *, request_id: str) -> JSONResponse:
    """Returns the answer to a unary call that was refused."""
    status = refusal.status if isinstance(refusal, HttpRefused) else HTTP_STATUS[refusal.code]
    headers = {"x-request-id": request_id, **_hints(refusal)}
    return JSONResponse(connect_error(refusal), status_code=status, headers=headers)


def connect_error(refusal: Refused) -> dict[str, Any]:
    """Returns the JSON of a refusal."""
    error: dict[str, Any] = {"code": code_name(refusal.code), "message": refusal.message}
    details = [_detail(packed) for packed in _details(refusal)]
    return {**error, "details": details} if details else error


def code_name(code: grpc.StatusCode) -> str:
    """Returns a code as Connect spells it: lower snake case, `canceled` with one l."""
    return "canceled" if code is grpc.StatusCode.CANCELLED else code.name.lower()


def _details(refusal: Refused) -> list[any_pb2.Any]:
    packed = next((value for key, value in refusal.trailers if key == DETAILS_KEY), b"")
    try:
        return list(status_pb2.Status.FromString(packed if isinstance(packed, bytes) else b"").details)
    except DecodeError:
        return []


def _detail(packed: any_pb2.Any) -> dict[str, Any]:
    detail: dict[str, Any] = {
        "type": packed.TypeName(),
        "value": base64.b64encode(packed.value).decode().rstrip("="),
    }
    known = getattr(error_details_pb2, packed.TypeName().removeprefix("google.rpc."), None)
    if known is not None and packed.Is(known.DESCRIPTOR):
        detail["debug"] = json_format.MessageToDict(known.FromString(packed.value))
    return detail


def _hints(refusal: Refused) -> dict[str, str]:
    if refusal.code is grpc.StatusCode.UNAUTHENTICATED:
        return {"www-authenticate": "Bearer"}
    for packed in _details(refusal):
        retry = error_details_pb2.RetryInfo()
        if packed.Unpack(retry):
            return {"retry-after": str(math.ceil(retry.retry_delay.ToMilliseconds() / 1000))}
    return {}

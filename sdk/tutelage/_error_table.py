"""From a gRPC status back to an error of the library."""

from collections.abc import Iterable, Mapping
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from tutelage._errors import BY_CODE, ErrorDetails, FieldViolation, TutelageError, Unknown

DOMAIN = "tutelage"
DETAILS_KEY = "grpc-status-details-bin"


def to_tutelage_error(error: Any, *, request_id: str, address: str) -> TutelageError:
    """Returns the library's error for what a call of grpc or grpc.aio raised."""
    code: grpc.StatusCode = error.code()
    details = read_details(error.trailing_metadata() or (), request_id=request_id)
    message = error.details() or code.name
    kind = BY_CODE.get(code.name, Unknown)
    if not details.from_service:
        message = explain_transport(kind.code, message, address=address)
    return kind(message, details=details)


def read_details(trailers: Iterable[tuple[str, Any]], *, request_id: str) -> ErrorDetails:
    """Reads google.rpc.Status from the trailers; what cannot be read is left out."""
    metadata = dict(trailers)
    status = status_pb2.Status()
    try:
        status.ParseFromString(metadata.get(DETAILS_KEY, b""))
    except DecodeError:
        status.Clear()
    info = unpack(status, error_details_pb2.ErrorInfo())
    bad_request = unpack(status, error_details_pb2.BadRequest())
    retry_info = unpack(status, error_details_pb2.RetryInfo())
    return ErrorDetails(
        reason=info.reason,
        metadata=dict(info.metadata),
        field_violations=tuple(FieldViolation(v.field, v.description) for v in bad_request.field_violations),
        retry_after_s=retry_info.retry_delay.ToTimedelta().total_seconds() if retry_info.ByteSize() else None,
        request_id=text(metadata, "x-request-id") or request_id,
        from_service=info.domain == DOMAIN,
    )


def unpack(status: status_pb2.Status, into: Any) -> Any:
    """Returns the first detail of the wanted type, or an empty one."""
    for detail in status.details:
        if detail.Is(into.DESCRIPTOR):
            detail.Unpack(into)
            break
    return into


def text(metadata: Mapping[str, Any], key: str) -> str:
    """Returns a metadata value as text."""
    value = metadata.get(key, "")
    return value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)


def explain_transport(code: str, message: str, *, address: str) -> str:
    """Says in words what a failure of the line means: no part of the service had a say in it."""
    if code == "UNAVAILABLE" and ("ssl" in message.lower() or "handshake" in message.lower()):
        return f"no TLS connection to {address}: {message} (write http://{address} if the server speaks plain text)"
    if code == "UNAVAILABLE":
        cause = message.rsplit("Failed to connect to remote host: ")[-1]
        return f"cannot reach {address}: {cause}"
    if code == "DEADLINE_EXCEEDED":
        return f"{address} did not answer in time"
    return message

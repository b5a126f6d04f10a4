"""Refusals: a status with a reason, made the same way wherever the door says no."""

from collections.abc import Mapping

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from gateway import limits
from tutelage.v1.errors_pb2 import ErrorReason

DETAILS_KEY = "grpc-status-details-bin"
DOMAIN = "tutelage"

Metadata = tuple[tuple[str, str | bytes], ...]


class Refused(Exception):  # noqa: N818 - a refusal is an answer, not an error of the gateway
    """The call ends with a status other than OK."""

    def __init__(self, code: grpc.StatusCode, message: str, *, trailers: Metadata = ()) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.trailers = trailers


def refused(
    code: grpc.StatusCode,
    reason: "ErrorReason.ValueType",
    message: str,
    *,
    metadata: Mapping[str, str] | None = None,
    retry_after_s: float | None = None,
    violations: Mapping[str, str] | None = None,
) -> Refused:
    """Makes a refusal with ErrorInfo and, as far as given, RetryInfo and BadRequest."""
    name = ErrorReason.Name(reason).removeprefix("ERROR_REASON_")
    details: list[Message] = [error_details_pb2.ErrorInfo(reason=name, domain=DOMAIN, metadata=metadata or {})]
    if retry_after_s is not None:
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(max(1, round(retry_after_s * 1000)))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    if violations:
        fields = [
            error_details_pb2.BadRequest.FieldViolation(field=field, description=text)
            for field, text in violations.items()
        ]
        details.append(error_details_pb2.BadRequest(field_violations=fields))
    return Refused(code, message, trailers=((DETAILS_KEY, _status(code, message, details)),))


def _status(code: grpc.StatusCode, message: str, details: list[Message]) -> bytes:
    status = status_pb2.Status(code=code.value[0], message=message)
    for detail in details:
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return bytes(status.SerializeToString())


def invalid_key() -> Refused:
    """The one answer to a key that is missing, unknown, expired or revoked."""
    return refused(
        grpc.StatusCode.UNAUTHENTICATED,
        ErrorReason.ERROR_REASON_INVALID_KEY,
        "There is no valid API key with this call: send `authorization: Bearer tut_...` with a key that is not expired"
        " or revoked.",
    )


def unavailable(message: str) -> Refused:
    """A part of the service cannot answer just now."""
    return refused(
        grpc.StatusCode.UNAVAILABLE,
        ErrorReason.ERROR_REASON_UNAVAILABLE,
        message,
        retry_after_s=limits.UNAVAILABLE_RETRY_S,
    )


def rate_limited(message: str, *, retry_after_s: float) -> Refused:
    """Too much, for now."""
    return refused(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        ErrorReason.ERROR_REASON_RATE_LIMITED,
        message,
        retry_after_s=retry_after_s,
    )


def internal(request_id: str) -> Refused:
    """A fault of ours: the caller learns the id under which the log has the rest."""
    return refused(
        grpc.StatusCode.INTERNAL,
        ErrorReason.ERROR_REASON_INTERNAL,
        f"The service failed. Please report the request id {request_id}.",
        metadata={"request_id": request_id},
    )


def unknown_method(path: str) -> Refused:
    """There is no such method, or none that is for visitors."""
    return Refused(grpc.StatusCode.UNIMPLEMENTED, f"There is no method {path[:100]!r}.")


def invalid_fields(violations: Mapping[str, str]) -> Refused:
    """The request says something that it cannot say; each field is named."""
    return refused(
        grpc.StatusCode.INVALID_ARGUMENT,
        ErrorReason.ERROR_REASON_INVALID_FIELD,
        "; ".join(f"{field}: {text}" if field else text for field, text in violations.items()),
        violations=violations,
    )

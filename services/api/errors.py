"""The one table from refusals of the house to gRPC statuses.

A refusal becomes a google.rpc.Status with the code of this table and ErrorInfo; wrong fields add BadRequest, a wait
adds RetryInfo, a resource adds ResourceInfo. Anything that is not in the table is INTERNAL: the client is told the
request id and nothing else, the log has the rest.
"""

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status

from services.domain import errors

DOMAIN = "tutelage"
_UNAVAILABLE_RETRY_S = 1.0
_MESSAGE_CHARACTERS_MAX = 500  # the status travels in metadata, twice, below 8 KiB
_VIOLATIONS_CHARACTERS_MAX = 2500

CODES: dict[type[errors.DomainError], grpc.StatusCode] = {
    errors.InvalidField: grpc.StatusCode.INVALID_ARGUMENT,
    errors.RequestIdReused: grpc.StatusCode.INVALID_ARGUMENT,
    errors.InvalidData: grpc.StatusCode.INVALID_ARGUMENT,
    errors.NotFound: grpc.StatusCode.NOT_FOUND,
    errors.AlreadyExists: grpc.StatusCode.ALREADY_EXISTS,
    errors.WrongState: grpc.StatusCode.FAILED_PRECONDITION,
    errors.WrongOffset: grpc.StatusCode.OUT_OF_RANGE,
    errors.HashMismatch: grpc.StatusCode.INVALID_ARGUMENT,
    errors.EtagMismatch: grpc.StatusCode.ABORTED,
    errors.GateClosed: grpc.StatusCode.FAILED_PRECONDITION,
    errors.SeatLost: grpc.StatusCode.FAILED_PRECONDITION,
    errors.InvalidKey: grpc.StatusCode.UNAUTHENTICATED,
    errors.MissingPermission: grpc.StatusCode.PERMISSION_DENIED,
    errors.RateLimited: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.LimitReached: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.SlowReader: grpc.StatusCode.OUT_OF_RANGE,
    errors.Unavailable: grpc.StatusCode.UNAVAILABLE,
    errors.NoSpace: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.StaleAttempt: grpc.StatusCode.ABORTED,
    errors.FactGap: grpc.StatusCode.OUT_OF_RANGE,
}


def to_status(error: BaseException, *, request_id: str) -> Status:
    """Return what the client is told of an error."""
    if not isinstance(error, errors.DomainError) or type(error) not in CODES:
        return _internal(request_id)
    message = _shortened(error.message)
    status = Status(code=CODES[type(error)].value[0], message=message)
    status.details.extend(_packed(detail) for detail in _details(error))
    return status


def is_known(error: BaseException) -> bool:
    """Whether the table has a row for the error, so that nothing needs to be logged."""
    return type(error) in CODES


def _internal(request_id: str) -> Status:
    message = f"an internal error; report the request id {request_id}" if request_id else "an internal error"
    info = error_details_pb2.ErrorInfo(reason="INTERNAL", domain=DOMAIN, metadata={"request_id": request_id})
    return Status(code=grpc.StatusCode.INTERNAL.value[0], message=message, details=[_packed(info)])


def _details(error: errors.DomainError) -> list[Message]:
    details: list[Message] = [
        error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata),
    ]
    if error.violations:
        details.append(_bad_request(error))
    retry_after_s = _retry_after_s(error)
    if retry_after_s is not None:
        delay = Duration()
        delay.FromMilliseconds(round(retry_after_s * 1000))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    if "resource" in error.metadata:
        details.append(error_details_pb2.ResourceInfo(resource_name=error.metadata["resource"]))
    return details


def _bad_request(error: errors.DomainError) -> error_details_pb2.BadRequest:
    """Return the wrong fields, as many as there is room for."""
    request, room = error_details_pb2.BadRequest(), _VIOLATIONS_CHARACTERS_MAX
    for each in error.violations:
        field, description = _shortened(each.field), _shortened(each.description)
        room -= len(field) + len(description)
        if room < 0:
            break
        request.field_violations.add(field=field, description=description)
    return request


def _retry_after_s(error: errors.DomainError) -> float | None:
    if error.retry_after_s is None and isinstance(error, errors.Unavailable | errors.RateLimited):
        return _UNAVAILABLE_RETRY_S
    return error.retry_after_s


def _packed(detail: Message) -> Any:
    packed = Any()
    packed.Pack(detail)
    return packed


def _shortened(text: str) -> str:
    return text if len(text) <= _MESSAGE_CHARACTERS_MAX else text[:_MESSAGE_CHARACTERS_MAX] + "…"

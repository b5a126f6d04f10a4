"""What can go wrong while sampling, with the status that each is told as.

SamplerError
 ├ InvalidRequest     INVALID_ARGUMENT    INVALID_FIELD   BadRequest
 ├ NoPrincipal        UNAUTHENTICATED     INVALID_KEY
 ├ QueueFull          RESOURCE_EXHAUSTED  LIMIT_REACHED   RetryInfo
 ├ NoRoomForModel     RESOURCE_EXHAUSTED  LIMIT_REACHED
 │  └ ModelsInUse     RESOURCE_EXHAUSTED  LIMIT_REACHED   RetryInfo
 ├ SlowReader         OUT_OF_RANGE        SLOW_READER
 ├ Unavailable        UNAVAILABLE         UNAVAILABLE     RetryInfo
 ├ BrokenModel        INTERNAL            INTERNAL
 └ Refused            what services said, unchanged
"""

from __future__ import annotations

from dataclasses import dataclass

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2


class SamplerError(Exception):
    """A request cannot be served."""

    code = grpc.StatusCode.INTERNAL
    reason = "INTERNAL"
    retry_after_s: float | None = None


class NoPrincipal(SamplerError):
    """The call does not say whom it is for."""

    code = grpc.StatusCode.UNAUTHENTICATED
    reason = "INVALID_KEY"


class QueueFull(SamplerError):
    """Too many samples wait to be drawn."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    reason = "LIMIT_REACHED"
    retry_after_s = 1.0


class NoRoomForModel(SamplerError):
    """The model does not fit into the memory that the sampler may use."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    reason = "LIMIT_REACHED"


class ModelsInUse(NoRoomForModel):
    """The models that are being drawn from leave no memory for another."""

    retry_after_s = 5.0


class SlowReader(SamplerError):
    """The stream was not read for too long."""

    code = grpc.StatusCode.OUT_OF_RANGE
    reason = "SLOW_READER"


class Unavailable(SamplerError):
    """A part of the service cannot be reached just now."""

    code = grpc.StatusCode.UNAVAILABLE
    reason = "UNAVAILABLE"
    retry_after_s = 1.0


class BrokenModel(SamplerError):
    """The files of a published model cannot be used; the cause is for the log, not for the caller."""


class Refused(SamplerError):
    """Services refused the call; what they said goes home unchanged."""

    def __init__(self, status: status_pb2.Status) -> None:
        super().__init__(status.message)
        self.status = status


@dataclass(frozen=True)
class Violation:
    """A field of the request and what would be right."""

    field: str
    description: str


class InvalidRequest(SamplerError):
    """Fields of the request are wrong."""

    code = grpc.StatusCode.INVALID_ARGUMENT
    reason = "INVALID_FIELD"

    def __init__(self, *violations: Violation) -> None:
        super().__init__("; ".join(f"{violation.field}: {violation.description}" for violation in violations))
        self.violations = violations


def to_status(error: SamplerError) -> status_pb2.Status:
    """The error as the google.rpc.Status that goes home to the caller."""
    if isinstance(error, Refused):
        return error.status
    details = [_pack(error_details_pb2.ErrorInfo(reason=error.reason, domain="tutelage"))]
    if isinstance(error, InvalidRequest):
        details.append(_pack(_bad_request(error)))
    if error.retry_after_s is not None:
        delay = Duration(nanos=int(error.retry_after_s % 1 * 1e9), seconds=int(error.retry_after_s))
        details.append(_pack(error_details_pb2.RetryInfo(retry_delay=delay)))
    return status_pb2.Status(code=error.code.value[0], message=str(error), details=details)


def internal_status(request_id: str) -> status_pb2.Status:
    """What is told of a fault of ours: its request id, and nothing else."""
    info = error_details_pb2.ErrorInfo(reason="INTERNAL", domain="tutelage", metadata={"request_id": request_id})
    message = f"a fault of the service; please report request {request_id}"
    return status_pb2.Status(code=grpc.StatusCode.INTERNAL.value[0], message=message, details=[_pack(info)])


def _bad_request(error: InvalidRequest) -> error_details_pb2.BadRequest:
    fields = [
        error_details_pb2.BadRequest.FieldViolation(field=violation.field, description=violation.description)
        for violation in error.violations
    ]
    return error_details_pb2.BadRequest(field_violations=fields)


def _pack(detail: error_details_pb2.ErrorInfo | error_details_pb2.BadRequest | error_details_pb2.RetryInfo) -> Any:
    packed = Any()
    packed.Pack(detail)
    return packed

"""What an error of services means for the call that met it."""

import enum
from dataclasses import dataclass
from typing import cast

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

_DOMAIN = "tutelage"
# The request itself is at fault: repeating it would end alike.
_FOR_GOOD = (
    grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS, grpc.StatusCode.OUT_OF_RANGE,
)  # fmt: skip
# A fault of services, perhaps brought about by this very request; or an older version, in the middle of an upgrade.
_PERHAPS_FOR_GOOD = (
    grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS, grpc.StatusCode.UNIMPLEMENTED,
)  # fmt: skip


class Meaning(enum.Enum):
    """What to do about it."""

    AGAIN = "repeat later"  # services are away, busy, or do not know our secret yet
    DOUBTFUL = "repeat for some minutes"
    STALE = "the attempt is over"
    GAP = "facts are missing before these"
    REFUSED = "never repeat"


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """An error of services, understood."""

    meaning: Meaning
    message: str
    expected_seq: int = 0  # for GAP


class RefusedError(Exception):
    """Services refused a call for good, or called the attempt stale."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


def understand(error: grpc.RpcError) -> Refusal:
    """Reads code and ErrorInfo of an error."""
    code = error.code()
    message = f"{code.name}: {error.details()}"
    info = _error_info(error)
    if info is not None and info.reason == "STALE_ATTEMPT":
        return Refusal(meaning=Meaning.STALE, message=message)
    if info is not None and info.reason == "FACT_GAP":
        expected = info.metadata.get("expected_seq", "")
        return Refusal(meaning=Meaning.GAP, message=message, expected_seq=int(expected) if expected.isdecimal() else 0)
    if code in _FOR_GOOD:
        return Refusal(meaning=Meaning.REFUSED, message=message)
    return Refusal(meaning=Meaning.DOUBTFUL if code in _PERHAPS_FOR_GOOD else Meaning.AGAIN, message=message)


def _error_info(error: grpc.RpcError) -> error_details_pb2.ErrorInfo | None:
    try:
        status = rpc_status.from_call(cast(grpc.Call, error))  # the error of a unary call is that call too
    except ValueError:  # code and details of the status do not match those of the call
        return None
    for detail in status.details if status is not None else ():
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info) and info.domain == _DOMAIN:
            return info
    return None

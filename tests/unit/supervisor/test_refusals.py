"""What each error of services means for the call that met it."""

import grpc
import pytest
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

from trainer_worker.supervisor.refusals import Meaning, understand


class Error(grpc.RpcError):
    """An error as grpc raises it."""

    def __init__(self, code: grpc.StatusCode, *, reason: str = "", domain: str = "tutelage", **metadata: str) -> None:
        self._code = code
        status = status_pb2.Status(code=code.value[0], message="m")
        if reason:
            detail = any_pb2.Any()
            detail.Pack(error_details_pb2.ErrorInfo(reason=reason, domain=domain, metadata=metadata))
            status.details.append(detail)
        self._status = status

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return "m"

    def trailing_metadata(self) -> tuple[tuple[str, bytes], ...]:
        return (("grpc-status-details-bin", self._status.SerializeToString()),)


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        (grpc.StatusCode.UNAVAILABLE, Meaning.AGAIN),
        (grpc.StatusCode.DEADLINE_EXCEEDED, Meaning.AGAIN),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, Meaning.AGAIN),
        (grpc.StatusCode.ABORTED, Meaning.AGAIN),
        (grpc.StatusCode.UNAUTHENTICATED, Meaning.AGAIN),
        (grpc.StatusCode.INTERNAL, Meaning.DOUBTFUL),
        (grpc.StatusCode.UNIMPLEMENTED, Meaning.DOUBTFUL),
        (grpc.StatusCode.INVALID_ARGUMENT, Meaning.REFUSED),
        (grpc.StatusCode.FAILED_PRECONDITION, Meaning.REFUSED),
        (grpc.StatusCode.NOT_FOUND, Meaning.REFUSED),
    ],
)
def test_a_code_alone_says_whether_to_try_again(code: grpc.StatusCode, meaning: Meaning) -> None:
    assert understand(Error(code)).meaning is meaning


def test_a_stale_attempt_is_known_by_its_reason() -> None:
    assert understand(Error(grpc.StatusCode.ABORTED, reason="STALE_ATTEMPT")).meaning is Meaning.STALE


def test_a_gap_is_known_by_its_reason() -> None:
    error = Error(grpc.StatusCode.OUT_OF_RANGE, reason="FACT_GAP", expected_seq="7")
    assert understand(error).meaning is Meaning.GAP


def test_a_reason_of_another_domain_is_none() -> None:
    error = Error(grpc.StatusCode.ABORTED, reason="STALE_ATTEMPT", domain="elsewhere")
    assert understand(error).meaning is Meaning.AGAIN

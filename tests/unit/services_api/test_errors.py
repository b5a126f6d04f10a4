"""The one table from refusals to statuses."""

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status

from services.api.errors import CODES, DOMAIN, to_status
from services.domain import errors
from tutelage.v1.errors_pb2 import ErrorReason

KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, errors.DomainError) and kind is not errors.DomainError
]


def detail(status: Status, kind: type[Message]) -> Message | None:
    for packed in status.details:
        found = kind()
        if packed.Unpack(found):
            return found
    return None


def test_the_table_has_a_row_for_every_refusal_and_no_other():
    assert set(CODES) == set(KINDS)


def test_every_reason_of_the_language_is_one_refusal_of_the_house():
    reasons = {name.removeprefix("ERROR_REASON_") for name in ErrorReason.DESCRIPTOR.values_by_name} - {
        "UNSPECIFIED",
        "INTERNAL",
    }
    assert {kind.reason for kind in KINDS} == reasons


@pytest.mark.parametrize("kind", KINDS)
def test_a_status_has_the_code_the_message_and_error_info(kind):
    status = to_status(kind("why", metadata={"state": "RUNNING"}), request_id="r")
    info = detail(status, error_details_pb2.ErrorInfo)
    assert (status.code, status.message) == (CODES[kind].value[0], "why")
    assert (info.reason, info.domain, dict(info.metadata)) == (kind.reason, DOMAIN, {"state": "RUNNING"})


@pytest.mark.parametrize("kind", KINDS)
def test_the_code_is_the_one_that_the_proto_promises(kind):
    field = ErrorReason.DESCRIPTOR.values_by_name[f"ERROR_REASON_{kind.reason}"]
    assert field.number > 0
    promised = {
        "INVALID_FIELD": "INVALID_ARGUMENT",
        "REQUEST_ID_REUSED": "INVALID_ARGUMENT",
        "INVALID_DATA": "INVALID_ARGUMENT",
        "NOT_FOUND": "NOT_FOUND",
        "ALREADY_EXISTS": "ALREADY_EXISTS",
        "WRONG_STATE": "FAILED_PRECONDITION",
        "WRONG_OFFSET": "OUT_OF_RANGE",
        "HASH_MISMATCH": "INVALID_ARGUMENT",
        "ETAG_MISMATCH": "ABORTED",
        "INVALID_KEY": "UNAUTHENTICATED",
        "MISSING_PERMISSION": "PERMISSION_DENIED",
        "RATE_LIMITED": "RESOURCE_EXHAUSTED",
        "LIMIT_REACHED": "RESOURCE_EXHAUSTED",
        "SLOW_READER": "OUT_OF_RANGE",
        "UNAVAILABLE": "UNAVAILABLE",
        "NO_SPACE": "RESOURCE_EXHAUSTED",
        "STALE_ATTEMPT": "ABORTED",
        "FACT_GAP": "OUT_OF_RANGE",
        "SEAT_LOST": "FAILED_PRECONDITION",
        "GATE_CLOSED": "FAILED_PRECONDITION",
    }
    assert CODES[kind].name == promised[kind.reason]


def test_wrong_fields_are_named_one_by_one():
    status = to_status(errors.InvalidField.of("spec.architecture.heads", "must divide the width"), request_id="r")
    request = detail(status, error_details_pb2.BadRequest)
    assert [each.field for each in request.field_violations] == ["spec.architecture.heads"]


def test_unavailable_always_says_when_to_try_again():
    status = to_status(errors.Unavailable("busy"), request_id="r")
    assert detail(status, error_details_pb2.RetryInfo).retry_delay.ToMilliseconds() > 0


def test_what_was_not_found_is_named():
    status = to_status(errors.NotFound.of("projects/p/jobs/j"), request_id="r")
    assert detail(status, error_details_pb2.ResourceInfo).resource_name == "projects/p/jobs/j"


def test_a_fault_tells_its_request_id_and_nothing_else():
    status = to_status(ValueError("SELECT secret FROM /etc/passwd"), request_id="abc-1")
    assert status.code == grpc.StatusCode.INTERNAL.value[0]
    assert "abc-1" in status.message
    assert b"SELECT" not in status.SerializeToString() and b"passwd" not in status.SerializeToString()


def test_a_status_fits_into_metadata_however_much_is_wrong():
    many = [errors.FieldViolation(f"spec.field_{i}", "x" * 5000) for i in range(500)]
    assert len(to_status(errors.InvalidField.of_all(many), request_id="r").SerializeToString()) < 6000

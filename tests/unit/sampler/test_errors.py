"""How refusals look on the wire."""

import grpc
from google.rpc import error_details_pb2

from trainer_worker.sampler import errors
from tutelage.v1.errors_pb2 import ErrorReason


def every_error() -> list[type[errors.SamplerError]]:
    found = [errors.SamplerError]
    for kind in found:
        found.extend(kind.__subclasses__())
    return found


def test_every_reason_is_one_of_the_proto() -> None:
    assert {f"ERROR_REASON_{kind.reason}" for kind in every_error()} <= set(ErrorReason.keys())


def test_every_error_stands_in_the_drawing_of_the_module() -> None:
    drawn = errors.__doc__ or ""
    assert [kind.__name__ for kind in every_error() if kind.__name__ not in drawn] == []


def test_a_wrong_field_is_named_in_bad_request() -> None:
    status = errors.to_status(errors.InvalidRequest(errors.Violation("top_p", "is 2")))
    bad = error_details_pb2.BadRequest()
    info = error_details_pb2.ErrorInfo()
    assert status.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert status.details[0].Unpack(info) and (info.reason, info.domain) == ("INVALID_FIELD", "tutelage")
    assert status.details[1].Unpack(bad) and bad.field_violations[0].field == "top_p"


def test_what_may_be_tried_again_says_when() -> None:
    retry = error_details_pb2.RetryInfo()
    assert errors.to_status(errors.QueueFull("full")).details[1].Unpack(retry)
    assert retry.retry_delay.ToTimedelta().total_seconds() == 1.0


def test_a_fault_of_ours_tells_its_request_id_and_nothing_else() -> None:
    status = errors.internal_status("r-1")
    assert "r-1" in status.message and len(status.details) == 1

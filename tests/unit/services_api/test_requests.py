"""What every request must be before anybody looks at it."""

import pytest

from services.api.requests import read_request, request_key
from services.domain.errors import InvalidField
from tutelage.v1 import jobs_pb2, training_pb2
from tutelage_internal.v1 import workers_pb2


def refused(data: bytes, kind=jobs_pb2.TrainRequest) -> list[str]:
    with pytest.raises(InvalidField) as caught:
        read_request(data, kind)
    return [violation.field for violation in caught.value.violations]


def unknown_field(number: int = 999) -> bytes:
    """A field with this number and the value 1."""
    tag, encoded = number << 3, b""
    while tag:
        encoded += bytes([(tag & 0x7F) | (0x80 if tag > 0x7F else 0)])
        tag >>= 7
    return encoded + b"\x01"


def test_a_known_request_is_read():
    request = jobs_pb2.TrainRequest(parent="projects/-", labels={"a": "b"})
    assert read_request(request.SerializeToString(), jobs_pb2.TrainRequest) == request


def test_bytes_that_are_no_message_are_refused():
    assert refused(b"\xff\xff\xff") == ["request"]


def test_an_unknown_field_is_refused_by_number():
    assert refused(jobs_pb2.TrainRequest(parent="p").SerializeToString() + unknown_field()) == ["999"]


def test_an_unknown_field_deep_inside_is_refused_with_its_path():
    architecture = training_pb2.Architecture.FromString(unknown_field(77))
    spec = training_pb2.TrainSpec(architecture=architecture)
    request = jobs_pb2.TrainRequest(spec=spec)
    assert refused(request.SerializeToString()) == ["spec.architecture.77"]


def test_an_unknown_field_in_a_list_is_refused_with_its_index():
    status = workers_pb2.AttemptStatus.FromString(unknown_field(50))
    request = workers_pb2.HeartbeatRequest(attempts=[workers_pb2.AttemptStatus(), status])
    assert refused(request.SerializeToString(), workers_pb2.HeartbeatRequest) == ["attempts[1].50"]


def test_an_unknown_enum_number_is_refused_with_its_path():
    spec = training_pb2.TrainSpec(precision=99)
    assert refused(jobs_pb2.TrainRequest(spec=spec).SerializeToString()) == ["spec.precision"]


def test_every_wrong_place_is_named_up_to_a_limit():
    data = b"".join(unknown_field(number) for number in range(1000, 1100))
    assert len(refused(data)) == 20


def test_the_key_of_a_request_ignores_its_id_and_sees_everything_else():
    one = jobs_pb2.TrainRequest(parent="a", request_id="6f2a1f9e-3c55-4a7a-9a5e-7d1f7b8d9c01")
    two = jobs_pb2.TrainRequest(parent="a", request_id="6f2a1f9e-3c55-4a7a-9a5e-7d1f7b8d9c02")
    other = jobs_pb2.TrainRequest(parent="b", request_id="6f2a1f9e-3c55-4a7a-9a5e-7d1f7b8d9c01")
    assert request_key(one).body_sha256 == request_key(two).body_sha256 != request_key(other).body_sha256
    assert request_key(jobs_pb2.TrainRequest(parent="a")).request_id == ""


def test_a_request_id_that_is_no_uuid_is_refused():
    with pytest.raises(InvalidField, match="request_id"):
        request_key(jobs_pb2.TrainRequest(request_id="again"))

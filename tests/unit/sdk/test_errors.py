"""Errors: one class a code, with everything that the service said."""

from typing import Any

import grpc
import pytest

import tutelage
from tests.unit.sdk.service_double import KEY, ServiceDouble, failure
from tutelage._error_table import to_tutelage_error
from tutelage._errors import BY_CODE


def test_the_table_is_total_over_the_codes_of_grpc() -> None:
    codes = {code.name for code in grpc.StatusCode} - {"OK"}
    assert set(BY_CODE) == codes


@pytest.mark.parametrize("code", sorted(BY_CODE))
def test_each_code_arrives_as_its_class(client: Any, service: ServiceDouble, code: str) -> None:
    service.fail("GetCaller", *[failure(grpc.StatusCode[code], "the words")] * 50)
    with pytest.raises(BY_CODE[code]) as caught:
        client.caller(timeout=5)
    assert type(caught.value) is BY_CODE[code]
    assert caught.value.code == code
    assert isinstance(caught.value, tutelage.TutelageError)


def test_the_classes_are_named_after_their_codes() -> None:
    for code, kind in BY_CODE.items():
        assert kind.__name__ == "".join(word.capitalize() for word in code.split("_"))
        assert getattr(tutelage, kind.__name__) is kind


def test_what_the_service_said_is_kept(client: Any, service: ServiceDouble) -> None:
    fields = {"spec.architecture.heads": "must divide width 64; 5 does not", "spec.steps": "must be 1 to 10,000,000"}
    status = failure(
        grpc.StatusCode.INVALID_ARGUMENT, "2 fields are wrong", reason="INVALID_FIELD", fields=fields, a="b"
    )
    service.fail("Train", status)
    with pytest.raises(tutelage.InvalidArgument) as caught:
        client.train("plays")
    error = caught.value
    assert error.reason == "INVALID_FIELD"
    assert error.metadata == {"a": "b"}
    assert {violation.field: violation.description for violation in error.field_violations} == fields
    assert error.request_id == service.calls[0][2]["x-request-id"]
    assert str(error) == (
        "2 fields are wrong\n"
        "  spec.architecture.heads: must divide width 64; 5 does not\n"
        "  spec.steps: must be 1 to 10,000,000"
    )


def test_a_field_that_the_message_names_is_not_said_twice(client: Any, service: ServiceDouble) -> None:
    fields = {"spec.steps": "must be above 0"}
    service.fail("Train", failure(grpc.StatusCode.INVALID_ARGUMENT, "spec.steps: must be above 0", fields=fields))
    with pytest.raises(tutelage.InvalidArgument) as caught:
        client.train("plays")
    assert str(caught.value) == "spec.steps: must be above 0"


def test_a_fault_of_the_service_names_the_request_to_report(client: Any, service: ServiceDouble) -> None:
    service.fail("GetCaller", failure(grpc.StatusCode.INTERNAL, "something broke", reason="INTERNAL"))
    with pytest.raises(tutelage.Internal) as caught:
        client.caller()
    assert service.calls[0][2]["x-request-id"] in str(caught.value)


def test_the_time_to_come_back_is_kept(client: Any, service: ServiceDouble) -> None:
    status = failure(grpc.StatusCode.RESOURCE_EXHAUSTED, reason="RATE_LIMITED", retry_after_s=0.75)
    service.fail("GetCaller", status)
    with pytest.raises(tutelage.ResourceExhausted) as caught:
        client.caller(timeout=0.5)
    assert caught.value.retry_after_s == 0.75


def test_a_server_that_is_not_there_is_named() -> None:
    with (
        tutelage.Client(address="127.0.0.1:1", api_key=KEY, timeout_s=0.5) as client,
        pytest.raises(tutelage.TutelageError, match=r"127\.0\.0\.1:1"),
    ):
        client.caller()


class Broken(Exception):
    """An error of grpc with trailers that nobody can read."""

    def __init__(self, code: grpc.StatusCode, words: str | None, trailers: Any) -> None:
        super().__init__(words)
        self.status, self.words, self.trailers = code, words, trailers

    def code(self) -> grpc.StatusCode:
        return self.status

    def details(self) -> str | None:
        return self.words

    def trailing_metadata(self) -> Any:
        return self.trailers


@pytest.mark.parametrize(
    "trailers", [None, (), (("grpc-status-details-bin", b"\xff\xff"),), (("x-request-id", b"abc"),)]
)
def test_trailers_that_cannot_be_read_hide_nothing(trailers: Any) -> None:
    error = Broken(grpc.StatusCode.NOT_FOUND, "no such job", trailers)
    translated = to_tutelage_error(error, request_id="abc", address="here")
    assert isinstance(translated, tutelage.NotFound)
    assert translated.message == "no such job"
    assert translated.request_id == "abc"
    assert translated.reason == ""


def test_an_error_without_words_gets_its_code() -> None:
    translated = to_tutelage_error(Broken(grpc.StatusCode.ABORTED, None, ()), request_id="", address="here")
    assert str(translated) == "ABORTED"


def test_plain_text_spoken_to_tls_is_explained() -> None:
    words = "failed to connect to all addresses; last error: Ssl handshake failed: WRONG_VERSION_NUMBER"
    translated = to_tutelage_error(Broken(grpc.StatusCode.UNAVAILABLE, words, ()), request_id="", address="far:7460")
    assert "http://far:7460" in str(translated)

"""Calls through the front door: who gets in, and what arrives on the other side."""

import concurrent.futures
import hashlib
import hmac
import threading
import time
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from tests.support.front_door import GATEWAY_SECRET, PRINCIPAL_SECRET, FrontDoor, front_door
from tests.support.rooms import api_key
from tests.support.waiting import wait_for
from tutelage.v1 import datasets_pb2, datasets_pb2_grpc, jobs_pb2, jobs_pb2_grpc, sampling_pb2, sampling_pb2_grpc
from tutelage_internal.v1 import access_pb2, access_pb2_grpc, principal_pb2

READ = ["jobs.read"]
NAMES = iter(f"k{number}" for number in range(1000))


@pytest.fixture(scope="module")
def door() -> Iterator[FrontDoor]:
    """One gateway for the tests of this module; each test has keys of its own."""
    with front_door() as running:
        yield running


@pytest.fixture
def channel(door: FrontDoor) -> Iterator[grpc.Channel]:
    """A connection of the test's own."""
    with door.channel() as opened:
        yield opened


def bearer(key: str) -> list[tuple[str, str]]:
    """Returns the metadata for a key."""
    return [("authorization", f"Bearer {key}")]


def get_job(channel: grpc.Channel, metadata: Any, *, name: str = "projects/-/jobs/a", timeout: float = 10) -> Any:
    """Calls GetJob and returns the answer and the call."""
    stub = jobs_pb2_grpc.JobsStub(channel)
    return stub.GetJob.with_call(jobs_pb2.GetJobRequest(name=name), metadata=metadata, timeout=timeout)


def refusal(action: Any) -> grpc.RpcError:
    """Returns the error with which a call ends."""
    with pytest.raises(grpc.RpcError) as caught:
        action()
    return caught.value


def details(error: grpc.RpcError) -> dict[str, Any]:
    """Returns the details of an error by the name of their type."""
    status = rpc_status.from_call(error)
    found: dict[str, Any] = {}
    for packed in status.details if status else []:
        kind = getattr(error_details_pb2, packed.TypeName().rpartition(".")[2])
        found[kind.__name__] = kind.FromString(packed.value)
    return found


def test_a_call_arrives_with_a_signed_principal_for_its_one_method(door: FrontDoor, channel: grpc.Channel) -> None:
    key = door.rooms.admit(next(NAMES), permissions=READ)
    answer, call = get_job(channel, [*bearer(key), ("x-request-id", "my-id-1")])
    seen = door.rooms.last("GetJob").metadata
    signed = principal_pb2.SignedPrincipal.FromString(seen["x-tutelage-principal-bin"])
    principal = principal_pb2.Principal.FromString(signed.principal)
    assert hmac.digest(bytes.fromhex(PRINCIPAL_SECRET), signed.principal, hashlib.sha256) == signed.mac
    assert (principal.method, principal.request_id) == ("/tutelage.v1.Jobs/GetJob", "my-id-1")
    assert principal.key_id == door.rooms.callers[key].key_id
    assert 0 < principal.expire_time.ToSeconds() - time.time() <= 60
    assert answer.name == "projects/-/jobs/a"
    assert seen["x-request-id"] == "my-id-1"


def test_metadata_of_the_owner_and_the_request_id_come_back(door: FrontDoor, channel: grpc.Channel) -> None:
    key = door.rooms.admit(next(NAMES), permissions=READ)
    _, call = get_job(channel, [*bearer(key), ("x-request-id", "my-id-2")])
    assert dict(call.initial_metadata()) == {"x-room": "services", "x-request-id": "my-id-2"}
    trailers = dict(call.trailing_metadata())
    assert trailers == {"x-said-last": "goodbye", "x-data-bin": b"\x00\xff", "x-request-id": "my-id-2"}


def test_an_indecent_request_id_is_replaced(door: FrontDoor, channel: grpc.Channel) -> None:
    key = door.rooms.admit(next(NAMES), permissions=READ)
    _, call = get_job(channel, [*bearer(key), ("x-request-id", 'a"} {"b')])
    assert len(dict(call.initial_metadata())["x-request-id"]) == 36


def test_what_a_client_forges_does_not_arrive(door: FrontDoor, channel: grpc.Channel) -> None:
    key = door.rooms.admit(next(NAMES), permissions=READ)
    forged = [("x-tutelage-principal-bin", b"forged"), ("x-tutelage-door", "x"), ("x-other", "y"), ("traceparent", "t")]
    get_job(channel, [*bearer(key), *forged])
    seen = door.rooms.last("GetJob").metadata
    assert seen["x-tutelage-principal-bin"] != b"forged"
    assert "authorization" not in seen and "x-tutelage-door" not in seen and "x-other" not in seen
    assert seen["traceparent"] == "t"


@pytest.mark.parametrize(
    "metadata",
    [
        [],
        [("authorization", "Bearer ")],
        [("authorization", "Basic dXNlcjpwYXNz")],
        [("authorization", "Bearer tut_short_5e")],
        bearer(api_key("stranger")),
        [*bearer(api_key("stranger")), *bearer(api_key("stranger"))],
    ],
)
def test_whoever_has_no_valid_key_gets_one_and_the_same_answer(channel: grpc.Channel, metadata: Any) -> None:
    error = refusal(lambda: get_job(channel, metadata))
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED
    assert details(error)["ErrorInfo"].reason == "INVALID_KEY"
    assert error.details() == refusal(lambda: get_job(channel, bearer(api_key("other")))).details()


def test_two_keys_in_one_call_are_refused_though_both_are_good(door: FrontDoor, channel: grpc.Channel) -> None:
    key = door.rooms.admit(next(NAMES), permissions=READ)
    error = refusal(lambda: get_job(channel, [*bearer(key), *bearer(key)]))
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED


def test_the_gateway_proves_itself_to_services_and_asks_once_for_many(door: FrontDoor) -> None:
    key = door.rooms.admit(next(NAMES), permissions=READ)
    before = len(door.rooms.questions)
    door.rooms.answer_after.clear()
    with concurrent.futures.ThreadPoolExecutor(8) as pool, door.channel() as channel:
        calls = [pool.submit(get_job, channel, bearer(key)) for _ in range(8)]
        wait_for(lambda: len(door.rooms.questions) > before, limit_s=5)
        door.rooms.answer_after.set()
        assert all(call.result()[0].name for call in calls)
    assert len(door.rooms.questions) == before + 1
    assert door.rooms.questions[-1]["authorization"] == f"Bearer {GATEWAY_SECRET}"


def test_a_role_without_the_permission_is_refused_by_name(door: FrontDoor, channel: grpc.Channel) -> None:
    key = door.rooms.admit(next(NAMES), permissions=["datasets.read"])
    calls_before = len(door.rooms.seen)
    error = refusal(lambda: get_job(channel, bearer(key)))
    assert error.code() is grpc.StatusCode.PERMISSION_DENIED
    assert details(error)["ErrorInfo"].metadata["permission"] == "jobs.read"
    assert len(door.rooms.seen) == calls_before


def test_unknown_and_internal_methods_are_unimplemented(door: FrontDoor, channel: grpc.Channel) -> None:
    key = door.rooms.admit(next(NAMES), permissions=READ)
    stub = access_pb2_grpc.AccessStub(channel)
    error = refusal(lambda: stub.Authenticate(access_pb2.AuthenticateRequest(api_key=key), metadata=bearer(key)))
    assert error.code() is grpc.StatusCode.UNIMPLEMENTED
    unknown = channel.unary_unary("/tutelage.v1.Jobs/DropTables")
    assert refusal(lambda: unknown(b"", metadata=bearer(key))).code() is grpc.StatusCode.UNIMPLEMENTED


def test_sampling_goes_to_the_sampler(door: FrontDoor, channel: grpc.Channel) -> None:
    key = door.rooms.admit(next(NAMES), permissions=["models.sample"])
    stub = sampling_pb2_grpc.SamplingStub(channel)
    answer = stub.Sample(sampling_pb2.SampleRequest(prompt="x"), metadata=bearer(key), timeout=10)
    assert answer.samples[0].text == "to be"
    assert door.rooms.last("Sample").metadata["x-tutelage-principal-bin"]


def test_an_error_of_the_owner_comes_back_with_its_details(door: FrontDoor, channel: grpc.Channel) -> None:
    key = door.rooms.admit(next(NAMES), permissions=READ)
    error = refusal(lambda: get_job(channel, bearer(key), name="projects/-/jobs/missing"))
    assert (error.code(), error.details()) == (grpc.StatusCode.NOT_FOUND, "there is no such job")
    assert details(error)["ErrorInfo"].reason == "NOT_FOUND"


def test_a_crash_behind_the_door_tells_a_request_id_and_nothing_else(door: FrontDoor, channel: grpc.Channel) -> None:
    key = door.rooms.admit(next(NAMES), permissions=READ)
    error = refusal(lambda: get_job(channel, bearer(key), name="projects/-/jobs/broken"))
    assert error.code() is grpc.StatusCode.INTERNAL
    assert "shadow" not in error.details()
    assert details(error)["ErrorInfo"].metadata["request_id"] in error.details()


def test_a_stream_comes_through_in_order_and_ends(door: FrontDoor, channel: grpc.Channel) -> None:
    key = door.rooms.admit(next(NAMES), permissions=READ)
    events = jobs_pb2_grpc.JobsStub(channel).WatchJob(jobs_pb2.WatchJobRequest(name="a"), metadata=bearer(key))
    assert [event.cursor for event in events] == [1, 2]
    assert dict(events.trailing_metadata())["x-request-id"]


def test_a_stream_that_fails_delivers_what_came_before(door: FrontDoor, channel: grpc.Channel) -> None:
    key = door.rooms.admit(next(NAMES), permissions=READ)
    events = jobs_pb2_grpc.JobsStub(channel).WatchJob(jobs_pb2.WatchJobRequest(name="missing"), metadata=bearer(key))
    assert next(events).cursor == 1
    assert refusal(lambda: next(events)).code() is grpc.StatusCode.NOT_FOUND


def test_an_upload_comes_through(door: FrontDoor, channel: grpc.Channel) -> None:
    key = door.rooms.admit(next(NAMES), permissions=["datasets.create"])
    pieces = [datasets_pb2.WriteUploadRequest(data=b"y" * 1024 * 1024) for _ in range(8)]
    answer = datasets_pb2_grpc.DatasetsStub(channel).WriteUpload(iter(pieces), metadata=bearer(key), timeout=30)
    assert answer.received_bytes == 8 * 1024 * 1024


def test_an_upload_that_is_refused_midway_ends_at_once(door: FrontDoor, channel: grpc.Channel) -> None:
    key = door.rooms.admit(next(NAMES), permissions=["datasets.create"])
    go_on = threading.Event()

    def pieces() -> Iterator[Any]:
        yield datasets_pb2.WriteUploadRequest(name="refuse", data=b"y")
        go_on.wait(20)

    upload = datasets_pb2_grpc.DatasetsStub(channel).WriteUpload
    error = refusal(lambda: upload(pieces(), metadata=bearer(key), timeout=30))
    go_on.set()
    assert (error.code(), error.details()) == (grpc.StatusCode.OUT_OF_RANGE, "elsewhere")


def test_cancelling_reaches_the_owner_of_the_method(door: FrontDoor, channel: grpc.Channel) -> None:
    key = door.rooms.admit(next(NAMES), permissions=READ)
    stub = jobs_pb2_grpc.JobsStub(channel)
    call = stub.GetJob.future(jobs_pb2.GetJobRequest(name="wait"), metadata=[*bearer(key), ("x-request-id", "left")])
    seen = wait_for(lambda: [s for s in door.rooms.seen if s.metadata["x-request-id"] == "left"], limit_s=5)[0]
    call.cancel()
    assert seen.ended.wait(5)
    line = wait_for(lambda: door.call_lines(request_id="left"), limit_s=5)[0]
    assert line["code"] == "CANCELLED"


def test_leaving_a_stream_reaches_the_owner_of_the_method(door: FrontDoor, channel: grpc.Channel) -> None:
    key = door.rooms.admit(next(NAMES), permissions=READ)
    events = jobs_pb2_grpc.JobsStub(channel).WatchJob(jobs_pb2.WatchJobRequest(name="idle"), metadata=bearer(key))
    assert next(events).cursor == 1
    events.cancel()
    assert door.rooms.last("WatchJob").ended.wait(5)


def test_the_deadline_of_the_client_is_passed_on_and_that_of_the_method_caps_it(
    door: FrontDoor, channel: grpc.Channel
) -> None:
    key = door.rooms.admit(next(NAMES), permissions=[*READ, "models.sample"])
    get_job(channel, bearer(key), timeout=7)
    assert 5 < (door.rooms.last("GetJob").time_left_s or 0) < 8
    get_job(channel, bearer(key), timeout=5000)
    assert 25 < (door.rooms.last("GetJob").time_left_s or 0) < 31
    sample = sampling_pb2_grpc.SamplingStub(channel).Sample
    sample(sampling_pb2.SampleRequest(), metadata=bearer(key), timeout=5000)
    assert 290 < (door.rooms.last("Sample").time_left_s or 0) < 302


def test_a_late_call_ends_with_deadline_exceeded_on_both_sides(door: FrontDoor, channel: grpc.Channel) -> None:
    key = door.rooms.admit(next(NAMES), permissions=READ)
    error = refusal(lambda: get_job(channel, bearer(key), name="wait", timeout=0.5))
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert door.rooms.last("GetJob").ended.wait(5)


def test_a_project_that_calls_too_often_is_told_when_to_come_back(door: FrontDoor, channel: grpc.Channel) -> None:
    key = door.rooms.admit(next(NAMES), permissions=READ, rate=2)
    codes = []
    for _ in range(5):
        try:
            get_job(channel, bearer(key))
        except grpc.RpcError as error:
            codes.append(error.code())
            retry = details(error)["RetryInfo"].retry_delay
            assert details(error)["ErrorInfo"].reason == "RATE_LIMITED"
            assert 0 < retry.ToMilliseconds() <= 500
    assert codes == [grpc.StatusCode.RESOURCE_EXHAUSTED]


def test_a_project_holds_only_so_many_streams(door: FrontDoor, channel: grpc.Channel) -> None:
    key = door.rooms.admit(next(NAMES), permissions=READ, streams=1)
    watch = jobs_pb2_grpc.JobsStub(channel).WatchJob
    first = watch(jobs_pb2.WatchJobRequest(name="idle"), metadata=bearer(key))
    assert next(first).cursor == 1
    second = watch(jobs_pb2.WatchJobRequest(name="idle"), metadata=bearer(key))
    assert refusal(lambda: next(second)).code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    first.cancel()
    assert wait_for(lambda: _may_watch(watch, key), limit_s=5)


def _may_watch(watch: Any, key: str) -> bool:
    events = watch(jobs_pb2.WatchJobRequest(name="a"), metadata=bearer(key))
    try:
        return len(list(events)) == 2
    except grpc.RpcError:
        return False


def test_the_access_log_has_one_line_for_each_call_and_no_secret(door: FrontDoor, channel: grpc.Channel) -> None:
    key = door.rooms.admit(next(NAMES), permissions=READ)
    get_job(channel, [*bearer(key), ("x-request-id", "logged-1")], name="projects/-/jobs/very-private")
    lines = wait_for(lambda: door.call_lines(request_id="logged-1"), limit_s=5)
    assert len(lines) == 1
    line = lines[0]
    assert (line["method"], line["code"]) == ("/tutelage.v1.Jobs/GetJob", "OK")
    assert (line["project"], line["key_id"]) == (door.rooms.callers[key].project_id, door.rooms.callers[key].key_id)
    assert line["received_bytes"] > 20 and line["sent_bytes"] > 20 and line["peer"] == "127.0.0.1"
    whole = str(door.lines)
    assert key not in whole and "very-private" not in whole
    assert GATEWAY_SECRET not in whole and PRINCIPAL_SECRET not in whole


def test_a_refused_call_is_logged_too(door: FrontDoor, channel: grpc.Channel) -> None:
    refusal(lambda: get_job(channel, [("x-request-id", "logged-2")]))
    assert wait_for(lambda: door.call_lines(request_id="logged-2", code="UNAUTHENTICATED"), limit_s=5)


def test_nothing_in_the_log_is_not_json(door: FrontDoor) -> None:
    assert not [line for line in door.lines if line.get("message") == "not json"]

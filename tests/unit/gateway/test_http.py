"""What the HTTP door decides without a wire: codes, hosts, bodies."""

import asyncio
import json
from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.routing import Route

from gateway import limits
from gateway.http.app import new_app
from gateway.http.connect import ConnectDoor
from gateway.http.errors import HTTP_STATUS, code_name, connect_error, error_response
from gateway.http.guard import Guard
from gateway.http.translation import json_to_message, message_to_json
from gateway.refusals import Refused, rate_limited
from gateway.server import DOOR_KEY, DOOR_PEER_KEY, caller_address
from tutelage.v1 import jobs_pb2

TRAIN = jobs_pb2.TrainRequest.DESCRIPTOR


def test_every_code_has_a_status_and_a_name() -> None:
    assert set(HTTP_STATUS) == set(grpc.StatusCode) - {grpc.StatusCode.OK}
    assert code_name(grpc.StatusCode.CANCELLED) == "canceled"
    assert code_name(grpc.StatusCode.NOT_FOUND) == "not_found"


def test_a_refusal_that_says_when_to_come_back_says_it_to_http_too() -> None:
    response = error_response(rate_limited("slow down", retry_after_s=1.2), request_id="a")
    assert (response.status_code, response.headers["retry-after"]) == (429, "2")


def test_details_that_cannot_be_read_are_left_out() -> None:
    broken = Refused(grpc.StatusCode.INTERNAL, "x", trailers=(("grpc-status-details-bin", b"\xff\xff"),))
    assert connect_error(broken) == {"code": "internal", "message": "x"}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "localhost:80"}, 200),
        ({"host": "127.0.0.1"}, 200),
        ({"host": "[::1]:80"}, 200),
        ({"host": "ours.example"}, 200),
        ({"host": "OURS.example:80"}, 200),
        ({"host": "evil.example"}, 403),
        ({"host": "evil.example@localhost"}, 200),
        ({"host": "localhost@evil.example"}, 403),
        ({"host": ""}, 403),
        ({}, 403),
        ({"host": "localhost", "origin": "http://localhost"}, 200),
        ({"host": "localhost:1", "origin": "http://localhost:2"}, 403),
        ({"host": "localhost", "origin": "null"}, 403),
        ({"host": "localhost", "origin": "https://friend.example"}, 200),
    ],
)
def test_only_our_hosts_and_origins_pass(headers: dict[str, str], status: int) -> None:
    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    guard = Guard(app, hosts={"localhost", "ours.example"}, origins={"https://friend.example"})
    scope = {"type": "http", "headers": [(name.encode(), value.encode()) for name, value in headers.items()]}
    asyncio.run(guard(scope, None, send))  # type: ignore[arg-type]
    assert sent[0]["status"] == status
    assert b"nosniff" in dict(sent[0]["headers"]).values()


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:10.1.2.3:4711", "10.1.2.3"),
        ("ipv6:%5B::1%5D:4711", "::1"),
        ("unix:", "unix"),
        ("unix:/a/b", "unix"),
    ],
)
def test_the_address_of_a_caller(peer: str, address: str) -> None:
    assert caller_address(peer, (), door_token="t") == address


def test_only_the_door_itself_may_name_another_address() -> None:
    forged = ((DOOR_KEY, "guess"), (DOOR_PEER_KEY, "1.2.3.4"))
    assert caller_address("unix:", forged, door_token="token") == "unix"
    assert caller_address("unix:", ((DOOR_KEY, "token"), (DOOR_PEER_KEY, "1.2.3.4")), door_token="token") == "1.2.3.4"


def test_a_json_body_may_use_both_spellings_of_a_field() -> None:
    for key in ("request_id", "requestId"):
        message = asyncio.run(json_to_message(json.dumps({key: "x"}).encode(), TRAIN))
        assert jobs_pb2.TrainRequest.FromString(message).request_id == "x"
    assert asyncio.run(json_to_message(b"", TRAIN)) == b""


def test_labels_are_any_words_and_not_taken_for_fields() -> None:
    message = asyncio.run(json_to_message(b'{"labels": {"anything": "goes"}}', TRAIN))
    assert jobs_pb2.TrainRequest.FromString(message).labels == {"anything": "goes"}


def test_a_large_answer_is_translated_beside_the_loop_and_alike() -> None:
    large = jobs_pb2.ListJobsResponse(jobs=[jobs_pb2.Job(name=f"projects/p/jobs/{n}") for n in range(5000)])
    serialized = large.SerializeToString()
    assert len(serialized) > limits.TRANSLATE_INLINE_BYTES_MAX
    text = asyncio.run(message_to_json(serialized, jobs_pb2.ListJobsResponse.DESCRIPTOR))
    assert len(json.loads(text)["jobs"]) == 5000


KEYS = ["spec", "architecture", "heads", "labels", "parent", "optimization", "precision", "steps", "validateOnly"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=3), inner),
    max_leaves=12,
)


@given(JSON)
def test_any_json_is_a_message_or_a_refusal(value: Any) -> None:
    try:
        message = asyncio.run(json_to_message(json.dumps(value).encode(), TRAIN))
    except Refused as refusal:
        assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT
    else:
        jobs_pb2.TrainRequest.FromString(message)


@given(st.binary(max_size=40))
def test_any_bytes_are_a_message_or_a_refusal(body: bytes) -> None:
    try:
        asyncio.run(json_to_message(body, TRAIN))
    except Refused as refusal:
        assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT


def test_the_door_has_these_routes_and_no_others() -> None:
    parts: Any = object()
    door = ConnectDoor({}, parts, admit=parts, record=parts, door_token="t")
    app = new_app(door, {}, health=parts, metrics=parts, grpc_address="", hosts=set(), origins=set())
    paths = [route.path for route in app.routes if isinstance(route, Route)]
    assert paths == ["/", "/healthz", "/readyz", "/{service}/{method}", "/metrics"]
    assert len(app.routes) == len(paths)

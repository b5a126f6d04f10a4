"""The HTTP door: curl, browsers and Connect clients get the same calls with the same rules."""

import base64
import json
import shutil
import socket
import struct
import subprocess
from collections.abc import Iterator

import httpx
import pytest
from google.rpc import error_details_pb2

from tests.support.front_door import FrontDoor, front_door
from tests.support.rooms import api_key
from tests.support.waiting import wait_for
from tutelage.v1 import jobs_pb2

GET_JOB = "/tutelage.v1.Jobs/GetJob"
WATCH_JOB = "/tutelage.v1.Jobs/WatchJob"
TRAIN = "/tutelage.v1.Jobs/Train"
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def door() -> Iterator[FrontDoor]:
    """One gateway for all tests of this module."""
    with front_door({"TUTELAGE_GATEWAY_HTTP_HOSTS": "train.example"}) as running:
        running.rooms.admit("curl", permissions=["jobs.read", "jobs.create", "datasets.create"])
        yield running


@pytest.fixture
def client(door: FrontDoor) -> Iterator[httpx.Client]:
    """An HTTP client with a key."""
    headers = {"authorization": f"Bearer {api_key('curl')}"}
    with httpx.Client(base_url=door.url, headers=headers, timeout=20) as opened:
        yield opened


def frames(body: bytes) -> list[tuple[int, bytes]]:
    """Takes the envelopes of a Connect stream apart."""
    found = []
    while body:
        flags, length = struct.unpack_from(">BI", body)
        found.append((flags, body[5 : 5 + length]))
        body = body[5 + length :]
    return found


def envelope(message: bytes) -> bytes:
    """Puts a message into an envelope."""
    return struct.pack(">BI", 0, len(message)) + message


def test_a_unary_call_in_json(door: FrontDoor, client: httpx.Client) -> None:
    answer = client.post(GET_JOB, json={"name": "projects/-/jobs/a"}, headers={"x-request-id": "http-1"})
    assert answer.status_code == 200
    assert answer.json() == {"name": "projects/-/jobs/a", "state": "JOB_STATE_RUNNING"}
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"] == "http-1"
    line = wait_for(lambda: door.call_lines(request_id="http-1"), limit_s=5)
    assert len(line) == 1 and line[0]["peer"] == "127.0.0.1" and line[0]["key_id"]


def test_a_unary_call_in_protobuf(client: httpx.Client) -> None:
    body = jobs_pb2.GetJobRequest(name="a").SerializeToString()
    answer = client.post(GET_JOB, content=body, headers={"content-type": "application/proto"})
    assert answer.headers["content-type"] == "application/proto"
    assert jobs_pb2.Job.FromString(answer.content).name == "a"


def test_a_call_that_changes_nothing_may_be_a_get(client: httpx.Client) -> None:
    assert client.get(GET_JOB, params={"encoding": "json", "message": '{"name":"a"}'}).json()["name"] == "a"
    packed = base64.urlsafe_b64encode(jobs_pb2.GetJobRequest(name="b").SerializeToString()).decode().rstrip("=")
    answer = client.get(GET_JOB, params={"encoding": "proto", "base64": "1", "message": packed, "connect": "v1"})
    assert jobs_pb2.Job.FromString(answer.content).name == "b"
    assert client.get(TRAIN, params={"message": "{}"}).status_code == 405


def test_an_error_has_the_name_the_status_and_the_details(client: httpx.Client) -> None:
    answer = client.post(GET_JOB, json={"name": "projects/-/jobs/missing"})
    error = answer.json()
    assert (answer.status_code, error["code"], error["message"]) == (404, "not_found", "there is no such job")
    detail = error["details"][0]
    packed = base64.b64decode(detail["value"] + "==")
    assert detail["type"] == "google.rpc.ErrorInfo"
    assert error_details_pb2.ErrorInfo.FromString(packed).reason == detail["debug"]["reason"] == "NOT_FOUND"


def test_without_a_key_the_body_is_not_even_judged(door: FrontDoor) -> None:
    answer = httpx.post(f"{door.url}{GET_JOB}", content=b"not json", headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"] == "Bearer"
    request_id = answer.headers["x-request-id"]
    assert wait_for(lambda: door.call_lines(request_id=request_id, code="UNAUTHENTICATED"), limit_s=5)


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        (b'{"nam": "a"}', "nam", "did you mean 'name'?"),
        (b'{"spec": {"architecture": {"headz": 3}}}', "spec.architecture.headz", "no such field"),
        (b'{"spec": {"precision": "FP8"}}', "spec.precision", "FP8"),
        (b'{"spec": {"steps": "many"}}', "spec.steps", "many"),
        (b'{"spec": {"dataset": 5}}', "spec.dataset", ""),
        (b'{"spec": []}', "spec", "object"),
        (b"[]", "", "object"),
        (b"{", "", "not JSON"),
        (b'{"parent": "a", "parent": "b"}', "", "twice"),
        (b'{"spec": {"steps": NaN}}', "", "NaN"),
        (b"[" * 100_000, "", "nested"),
        (b'{"spec":' * 40 + b"1" + b"}" * 40, "", "nested"),
        (b"\xff\xfe{}", "", "not JSON"),
    ],
)
def test_a_bad_body_is_refused_with_the_field(client: httpx.Client, body: bytes, field: str, words: str) -> None:
    path = GET_JOB if field == "nam" else TRAIN
    answer = client.post(path, content=body, headers={"content-type": "application/json"})
    error = answer.json()
    assert (answer.status_code, error["code"]) == (400, "invalid_argument")
    violations = [detail for detail in error["details"] if detail["type"] == "google.rpc.BadRequest"][0]
    violation = violations["debug"]["fieldViolations"][0]
    assert violation.get("field", "") == field
    assert words in violation["description"]


def test_a_stream_in_envelopes(client: httpx.Client) -> None:
    body = envelope(b'{"name": "a"}')
    answer = client.post(WATCH_JOB, content=body, headers={"content-type": "application/connect+json"})
    assert answer.headers["content-type"] == "application/connect+json"
    parts = frames(answer.content)
    assert [flags for flags, _ in parts] == [0, 0, 2]
    assert [json.loads(part)["cursor"] for _, part in parts[:2]] == ["1", "2"]
    assert json.loads(parts[2][1]) == {}


def test_a_stream_in_envelopes_of_protobuf_ends_with_its_error(client: httpx.Client) -> None:
    body = envelope(jobs_pb2.WatchJobRequest(name="missing").SerializeToString())
    answer = client.post(WATCH_JOB, content=body, headers={"content-type": "application/connect+proto"})
    first, end = frames(answer.content)
    assert jobs_pb2.JobEvent.FromString(first[1]).cursor == 1
    error = json.loads(end[1])["error"]
    assert end[0] == 2 and error["code"] == "not_found" and error["details"]


def test_a_stream_in_lines_of_json(client: httpx.Client) -> None:
    with client.stream("POST", WATCH_JOB, json={"name": "a"}) as answer:
        assert answer.headers["content-type"] == "application/x-ndjson"
        assert [json.loads(line)["cursor"] for line in answer.iter_lines()] == ["1", "2"]
    answer = client.post(WATCH_JOB, json={"name": "missing"})
    assert json.loads(answer.text.splitlines()[-1])["error"]["code"] == "not_found"


def test_events_arrive_while_the_stream_goes_on_and_leaving_ends_it_behind_the_door(
    door: FrontDoor, client: httpx.Client
) -> None:
    with client.stream("POST", WATCH_JOB, json={"name": "idle"}) as answer:
        lines = answer.iter_lines()
        assert json.loads(next(lines))["cursor"] == "1"
        seen = door.rooms.last("WatchJob")
        assert not seen.ended.is_set()
    assert seen.ended.wait(5)


def test_leaving_a_unary_call_cancels_it_behind_the_door(door: FrontDoor, client: httpx.Client) -> None:
    headers = {"x-request-id": "http-left"}
    with pytest.raises(httpx.ReadTimeout):
        client.post(GET_JOB, json={"name": "wait"}, headers=headers, timeout=0.5)
    seen = wait_for(lambda: [s for s in door.rooms.seen if s.metadata["x-request-id"] == "http-left"], limit_s=5)[0]
    assert seen.ended.wait(5)
    assert wait_for(lambda: door.call_lines(request_id="http-left", code="CANCELLED"), limit_s=5)


def test_the_deadline_header_is_a_deadline(client: httpx.Client) -> None:
    answer = client.post(GET_JOB, json={"name": "wait"}, headers={"connect-timeout-ms": "300"})
    assert (answer.status_code, answer.json()["code"]) == (504, "deadline_exceeded")
    assert client.post(GET_JOB, json={}, headers={"connect-timeout-ms": "soon"}).status_code == 400


def test_a_client_stream_is_not_for_http(client: httpx.Client) -> None:
    answer = client.post("/tutelage.v1.Datasets/WriteUpload", json={})
    assert answer.status_code == 501
    assert "gRPC" in answer.json()["message"]


@pytest.mark.parametrize("path", ["/tutelage.v1.Jobs/Nope", "/tutelage_internal.v1.Access/Authenticate"])
def test_what_is_no_public_method_is_unimplemented(client: httpx.Client, path: str) -> None:
    answer = client.post(path, json={})
    assert (answer.status_code, answer.json()["code"]) == (501, "unimplemented")


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonx"])
def test_a_content_type_that_a_form_can_send_is_refused(client: httpx.Client, content_type: str) -> None:
    answer = client.post(GET_JOB, content=b"{}", headers={"content-type": content_type})
    assert answer.status_code == 415
    assert "application/json" in answer.json()["message"]


def test_a_body_is_bounded_whether_it_says_its_length_or_not(client: httpx.Client) -> None:
    headers = {"content-type": "application/json"}
    assert client.post(GET_JOB, content=b" " * 5 * MIB, headers=headers).status_code == 413
    pieces = (b" " * MIB for _ in range(5))
    assert client.post(GET_JOB, content=pieces, headers=headers).status_code == 413
    assert client.post(GET_JOB, content=b"x", headers={**headers, "content-encoding": "gzip"}).status_code == 415


def test_foreign_hosts_and_origins_are_refused(door: FrontDoor, client: httpx.Client) -> None:
    def status(**headers: str) -> int:
        return client.post(GET_JOB, json={"name": "a"}, headers=headers).status_code

    assert status(host="rebound.example") == 403
    assert status(host="train.example") == status(host="localhost:7461") == status(host="[::1]") == 200
    assert status(origin="http://evil.example") == status(origin="null") == 403
    assert status(host="train.example", origin="https://train.example") == 200
    assert client.get("/healthz", headers={"host": "rebound.example"}).status_code == 403


def test_no_answer_may_be_framed_sniffed_or_stored(client: httpx.Client) -> None:
    for answer in (client.get("/"), client.post(GET_JOB, json={"name": "a"}), client.get("/nowhere")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "server" not in answer.headers and "access-control-allow-origin" not in answer.headers


def test_a_reader_that_never_reads_stops_the_writer(door: FrontDoor) -> None:
    host, _, port = door.listening["http"].rpartition(":")
    before_bytes = door.rss_bytes()
    body = b'{"name": "forever"}'
    with socket.create_connection((host, int(port))) as line:
        head = f"POST {WATCH_JOB} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {api_key('curl')}\r\n"
        head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        line.sendall(head.encode() + body)
        line.recv(1024)
        seen = door.rooms.last("WatchJob")
        counts = [0, 1]

        def stands_still() -> bool:
            counts.append(seen.messages)
            return counts[-1] == counts[-5:][0] and counts[-1] > 1

        wait_for(stands_still, limit_s=20, every_s=0.1)
        assert seen.messages < 100_000
        assert door.rss_bytes() - before_bytes < 64 * MIB
    assert seen.ended.wait(5)


def test_the_front_page_shows_commands_that_work(door: FrontDoor, client: httpx.Client) -> None:
    page = client.get("/").text
    assert door.listening["grpc"] in page and WATCH_JOB in page
    command = page[page.index("curl -N") :].split("\n\n")[0].replace("projects/-/jobs/JOB", "a")
    assert shutil.which("curl"), "curl is needed for this test"
    done = subprocess.run(
        ["sh", "-c", command + " -s"], env={"TUTELAGE_API_KEY": api_key("curl")}, capture_output=True, timeout=20
    )
    assert [json.loads(line)["cursor"] for line in done.stdout.splitlines()] == ["1", "2"], done.stderr


def test_the_measurements_have_the_names_that_dashboards_know(client: httpx.Client) -> None:
    client.post(GET_JOB, json={"name": "a"})
    text = client.get("/metrics").text
    labels = 'grpc_code="OK",grpc_method="GetJob",grpc_service="tutelage.v1.Jobs",grpc_type="unary"'
    assert f"grpc_server_handled_total{{{labels}}}" in text
    for name in (
        "grpc_server_started_total",
        "grpc_server_handling_seconds_bucket",
        "grpc_server_msg_received_total",
        "grpc_server_msg_sent_total",
        "tutelage_stream_subscribers",
        "tutelage_build_info",
        "tutelage_event_loop_lag_seconds",
        "tutelage_gateway_ready 1.0",
    ):
        assert f"\n{name}" in text, name


def test_a_streams_place_among_the_subscribers_is_given_back(client: httpx.Client) -> None:
    def subscribers() -> float:
        text = client.get("/metrics").text
        return float(text.split("\ntutelage_stream_subscribers ")[1].split("\n")[0])

    wait_for(lambda: subscribers() == 0, limit_s=5)
    with client.stream("POST", WATCH_JOB, json={"name": "idle"}) as answer:
        lines = answer.iter_lines()
        assert next(lines)
        assert subscribers() == 1
    wait_for(lambda: subscribers() == 0, limit_s=5)

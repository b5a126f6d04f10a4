"""The life of the front door: it opens when services answer, says so, and leaves in good order."""

import concurrent.futures
import contextlib
import json
import pathlib
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from tests.flow.test_gateway_calls import READ, bearer, details, get_job, refusal
from tests.support.front_door import FrontDoor, front_door, start_gateway
from tests.support.rooms import Rooms
from tests.support.waiting import wait_for
from tutelage.v1 import jobs_pb2, jobs_pb2_grpc

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture
def door() -> Iterator[FrontDoor]:
    """A gateway of the test's own."""
    with front_door() as running:
        yield running


def health(channel: grpc.Channel, service: str = "") -> int:
    """Asks for the health, without a key."""
    return health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=service), timeout=5).status


def test_without_services_the_door_is_alive_and_not_ready_and_says_when_to_come_back(door: FrontDoor) -> None:
    key = door.rooms.admit("a", permissions=READ)
    with door.channel() as channel:
        assert health(channel) == SERVING
        get_job(channel, bearer(key))
        door.rooms.stop()
        wait_for(lambda: health(channel) == NOT_SERVING, limit_s=10)
        error = refusal(lambda: get_job(channel, bearer(key)))
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert details(error)["ErrorInfo"].reason == "UNAVAILABLE"
        assert details(error)["RetryInfo"].retry_delay.ToMilliseconds() > 0
        assert "sock" not in error.details()
        assert httpx.get(f"{door.url}/healthz").status_code == 200
        assert httpx.get(f"{door.url}/readyz").status_code == 503
        door.rooms.start()
        wait_for(lambda: health(channel) == SERVING, limit_s=10)
        assert get_job(channel, bearer(key))[0].name


def test_sampling_is_not_serving_while_the_sampler_is_away(door: FrontDoor) -> None:
    with door.channel() as channel:
        wait_for(lambda: health(channel, "tutelage.v1.Sampling") == SERVING, limit_s=5)
        door.rooms.stop_sampler()
        wait_for(lambda: health(channel, "tutelage.v1.Sampling") == NOT_SERVING, limit_s=10)
        assert health(channel, "tutelage.v1.Jobs") == SERVING


def test_a_drain_says_not_serving_first_then_ends_streams_and_lets_calls_finish() -> None:
    with front_door({"TUTELAGE_GATEWAY_DRAIN_WAIT_SECONDS": "1"}) as door, door.channel() as channel:
        key = door.rooms.admit("a", permissions=READ)
        stub = jobs_pb2_grpc.JobsStub(channel)
        events = stub.WatchJob(jobs_pb2.WatchJobRequest(name="idle"), metadata=bearer(key))
        assert next(events).cursor == 1
        call = stub.GetJob.future(jobs_pb2.GetJobRequest(name="until-told"), metadata=bearer(key), timeout=20)
        wait_for(lambda: [seen for seen in door.rooms.seen if seen.method == "GetJob"], limit_s=5)
        door.drain()
        wait_for(lambda: health(channel) == NOT_SERVING, limit_s=5)
        assert not events.done(), "the stream goes on while the news spreads"
        error = refusal(lambda: next(events))
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert details(error)["RetryInfo"].retry_delay.ToMilliseconds() > 0
        door.rooms.told.set()
        assert call.result(timeout=10).name == "until-told"
        assert door.process.wait(10) == 0
        assert door.event("stopped")


def test_a_drain_ends_streams_over_http_with_their_error() -> None:
    with front_door() as door:
        headers = {"authorization": f"Bearer {door.rooms.admit('a', permissions=READ)}"}
        url = f"{door.url}/tutelage.v1.Jobs/WatchJob"
        with httpx.stream("POST", url, json={"name": "idle"}, headers=headers, timeout=10) as answer:
            lines = answer.iter_lines()
            assert json.loads(next(lines))["cursor"] == "1"
            door.drain()
            assert json.loads(next(lines))["error"]["code"] == "unavailable"
        assert door.process.wait(10) == 0


def test_both_ports_close_at_once_and_a_call_over_http_still_finishes() -> None:
    with front_door() as door, concurrent.futures.ThreadPoolExecutor(1) as aside:
        headers = {"authorization": f"Bearer {door.rooms.admit('a', permissions=READ)}"}
        url = f"{door.url}/tutelage.v1.Jobs/GetJob"
        call = aside.submit(httpx.post, url, json={"name": "until-told"}, headers=headers, timeout=30)
        wait_for(lambda: [seen for seen in door.rooms.seen if seen.method == "GetJob"], limit_s=5)
        door.drain()
        wait_for(lambda: not listens(door.listening["grpc"]), limit_s=10)
        assert not call.done()
        door.rooms.told.set()
        assert call.result(timeout=10).json()["name"] == "until-told"
        assert door.process.wait(10) == 0


def listens(address: str) -> bool:
    """Whether somebody takes connections there."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return False
    return True


def test_on_a_network_the_numbers_are_on_a_port_of_their_own() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    open_to_all = {"TUTELAGE_GATEWAY_HTTP_LISTEN": "0.0.0.0:0", "TUTELAGE_ALLOW_PLAINTEXT": "1"}
    with front_door({**open_to_all, "TUTELAGE_GATEWAY_METRICS_LISTEN": f"127.0.0.1:{port}"}) as door:
        http_port = door.listening["http"].rpartition(":")[2]
        assert httpx.get(f"http://127.0.0.1:{http_port}/metrics").status_code == 404
        assert "tutelage_build_info" in httpx.get(f"http://127.0.0.1:{port}/metrics").text


def test_a_drain_ends_what_takes_too_long() -> None:
    with front_door({"TUTELAGE_GATEWAY_STOP_GRACE_SECONDS": "1"}) as door, door.channel() as channel:
        key = door.rooms.admit("a", permissions=READ)
        call = jobs_pb2_grpc.JobsStub(channel).GetJob.future(jobs_pb2.GetJobRequest(name="wait"), metadata=bearer(key))
        wait_for(lambda: door.rooms.seen, limit_s=5)
        door.drain()
        assert refusal(call.result).code() is grpc.StatusCode.UNAVAILABLE
        assert door.process.wait(10) == 0


def test_reflection_needs_a_key_and_shows_the_public_language_only(door: FrontDoor) -> None:
    with door.channel() as channel:
        listing = reflection_pb2.ServerReflectionRequest(list_services="")
        assert refusal(lambda: reflect(channel, listing, [])).code() is grpc.StatusCode.UNAUTHENTICATED
        metadata = bearer(door.rooms.admit("a", permissions=[]))
        names = [service.name for service in reflect(channel, listing, metadata).list_services_response.service]
        assert "tutelage.v1.Jobs" in names and "grpc.health.v1.Health" in names
        assert not [name for name in names if "internal" in name]
        inside = reflection_pb2.ServerReflectionRequest(file_containing_symbol="tutelage_internal.v1.Access")
        assert reflect(channel, inside, metadata).error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]
        known = reflection_pb2.ServerReflectionRequest(file_containing_symbol="tutelage.v1.Jobs")
        assert reflect(channel, known, metadata).file_descriptor_response.file_descriptor_proto


def test_reflection_answers_under_its_new_name_too(door: FrontDoor) -> None:
    metadata = bearer(door.rooms.admit("a", permissions=[]))
    with door.channel() as channel:
        ask = channel.stream_stream(
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        question = reflection_pb2.ServerReflectionRequest(list_services="")
        assert next(ask(iter([question]), metadata=metadata, timeout=5)).list_services_response.service


def reflect(channel: grpc.Channel, question: Any, metadata: Any) -> Any:
    """Asks one question about the schema."""
    ask = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo
    return next(ask(iter([question]), metadata=metadata, timeout=5))


@contextlib.contextmanager
def refusing_to_start(**environment: str) -> Iterator[tuple[int, str]]:
    """Yields exit status and last words of a gateway that does not start."""
    with tempfile.TemporaryDirectory() as name:
        process = start_gateway(pathlib.Path(name), Rooms(pathlib.Path(name)), environment)
        _, said = process.communicate(timeout=20)
        yield process.returncode, said


def test_keys_do_not_travel_in_the_open_unless_somebody_insists() -> None:
    with refusing_to_start(TUTELAGE_GATEWAY_LISTEN="0.0.0.0:0") as (status, said):
        assert status == 2 and "TUTELAGE_ALLOW_PLAINTEXT" in said
    with refusing_to_start(TUTELAGE_GATEWAY_HTTP_LISTEN="0.0.0.0:0") as (status, said):
        assert status == 2 and "TUTELAGE_GATEWAY_TLS_CERT" in said
    insisting = {"TUTELAGE_GATEWAY_LISTEN": "0.0.0.0:0", "TUTELAGE_ALLOW_PLAINTEXT": "1"}
    with front_door(insisting) as door:
        assert [line for line in door.lines if line.get("level") == "warning" and "unencrypted" in line["message"]]


def test_a_missing_secret_stops_the_start_with_its_path() -> None:
    with refusing_to_start(TUTELAGE_SECRETS_DIR="/nonexistent") as (status, said):
        assert status == 2 and "/nonexistent/gateway" in said


def test_the_default_is_loopback_and_no_other_socket_listens() -> None:
    with front_door() as door:
        assert {address.rpartition(":")[0] for address in (door.listening["grpc"], door.listening["http"])} == {
            "127.0.0.1"
        }


def test_tls_is_served_on_both_ports(tmp_path: pathlib.Path) -> None:
    cert, key = self_signed(tmp_path)
    with front_door({"TUTELAGE_GATEWAY_TLS_CERT": str(cert), "TUTELAGE_GATEWAY_TLS_KEY": str(key)}) as door:
        api_key = door.rooms.admit("a", permissions=READ)
        credentials = grpc.ssl_channel_credentials(cert.read_bytes())
        port = door.listening["grpc"].rpartition(":")[2]
        with grpc.secure_channel(f"localhost:{port}", credentials) as channel:
            assert get_job(channel, bearer(api_key))[0].name
        url = f"https://localhost:{door.listening['http'].rpartition(':')[2]}"
        answer = httpx.post(
            f"{url}/tutelage.v1.Jobs/GetJob",
            json={"name": "a"},
            headers={"authorization": f"Bearer {api_key}"},
            verify=ssl.create_default_context(cafile=str(cert)),
        )
        assert answer.json()["name"] == "a"


def self_signed(folder: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    """Makes a certificate for localhost."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"]
        + ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(cert)],
        check=True,
        capture_output=True,
    )
    return cert, key


def test_ctrl_c_leaves_as_quietly_as_sigterm(door: FrontDoor) -> None:
    started = time.monotonic()
    door.process.send_signal(signal.SIGINT)
    assert door.process.wait(10) == 0
    assert time.monotonic() - started < 5
    assert not [line for line in door.lines if line.get("message") == "not json"]


def test_an_address_that_is_taken_is_told_by_its_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        for kind in ("LISTEN", "HTTP_LISTEN", "METRICS_LISTEN"):
            with refusing_to_start(**{f"TUTELAGE_GATEWAY_{kind}": address}) as (status, said):
                assert status == 2 and "Traceback" not in said
                assert f"TUTELAGE_GATEWAY_{kind}: nobody can listen at {address}" in said

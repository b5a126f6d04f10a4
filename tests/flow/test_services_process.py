"""The services as a process of their own: they refuse what cannot work, and leave in an orderly way."""

import os
import pathlib
import secrets
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.support.waiting import wait_for

ROOMS = ("gateway", "worker", "sampler", "principal", "services")


@pytest.fixture
def environment(tmp_path: pathlib.Path) -> dict[str, str]:
    """Settings of a house in a folder of its own."""
    (tmp_path / "secrets").mkdir(mode=0o700)
    for room in ROOMS:
        (tmp_path / "secrets" / room).write_text(secrets.token_hex(32))
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("TUTELAGE_")},
        "TUTELAGE_DATABASE_URL": f"sqlite:///{tmp_path / 'tutelage.db'}",
        "TUTELAGE_ARTIFACTS_URL": (tmp_path / "artifacts").as_uri(),
        "TUTELAGE_SECRETS_DIR": str(tmp_path / "secrets"),
        "TUTELAGE_SERVICES_LISTEN": "127.0.0.1:0",
        "TUTELAGE_SERVICES_INTERNAL_LISTEN": f"unix:{tmp_path / 'i.sock'}",
    }


@pytest.fixture
def short_folder(environment: dict[str, str]) -> Iterator[dict[str, str]]:
    """The same, with a socket whose path is short enough for the kernel."""
    path = pathlib.Path(f"/tmp/tut-{secrets.token_hex(4)}.sock")
    yield {**environment, "TUTELAGE_SERVICES_INTERNAL_LISTEN": f"unix:{path}"}
    path.unlink(missing_ok=True)


def services(*arguments: str, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "services", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


def test_an_empty_database_is_not_served(environment: dict[str, str]) -> None:
    done = services("serve", environment=environment)
    assert done.returncode == 2
    assert "run `migrate`" in done.stderr


def test_a_missing_setting_and_a_missing_secret_are_named(environment: dict[str, str]) -> None:
    assert services("migrate", environment=environment).returncode == 0
    (pathlib.Path(environment["TUTELAGE_SECRETS_DIR"]) / "worker").unlink()
    without_secret = services("serve", environment=environment)
    without_url = services("migrate", environment={**environment, "TUTELAGE_DATABASE_URL": ""})
    assert (without_secret.returncode, without_url.returncode) == (2, 2)
    assert "worker cannot be read: No such file" in without_secret.stderr
    assert "TUTELAGE_DATABASE_URL is not set" in without_url.stderr


def test_a_project_is_made_once_and_its_key_is_private(environment: dict[str, str], tmp_path: pathlib.Path) -> None:
    assert services("migrate", environment=environment).returncode == 0
    path = tmp_path / "keys" / "admin"
    keys = []
    for _ in range(2):
        done = services("create-project", "default", "--admin-key-file", str(path), environment=environment)
        assert (done.returncode, done.stdout) == (0, "")
        keys.append(path.read_text())
    assert keys[0] == keys[1]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_text("tut_000000000000_" + "0" * 64)
    services("create-project", "default", "--admin-key-file", str(path), environment=environment)
    assert path.read_text() not in (*keys, "tut_000000000000_" + "0" * 64)


def test_sigterm_drains_and_ends_with_zero(short_folder: dict[str, str]) -> None:
    assert services("migrate", environment=short_folder).returncode == 0
    process = subprocess.Popen([sys.executable, "-m", "services", "serve"], env=short_folder, stderr=subprocess.PIPE)
    try:
        wait_for(lambda: serves(short_folder["TUTELAGE_SERVICES_INTERNAL_LISTEN"]), "the services serve", limit_s=30)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()
        process.communicate()


def serves(address: str) -> bool:
    with grpc.insecure_channel(address) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=1)
        except grpc.RpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

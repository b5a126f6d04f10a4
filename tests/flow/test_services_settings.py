"""Services that cannot work with their settings say which one and why, and end with status 2."""

import os
import pathlib
import secrets
import socket
import subprocess
import sys

import pytest


@pytest.fixture
def environment(tmp_path: pathlib.Path) -> dict[str, str]:
    """Settings with which services would start."""
    (tmp_path / "secrets").mkdir(mode=0o700)
    for room in ("gateway", "worker", "sampler", "principal", "services"):
        (tmp_path / "secrets" / room).write_text(secrets.token_hex(32))
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("TUTELAGE_")},
        "TUTELAGE_DATABASE_URL": f"sqlite:///{tmp_path / 'tutelage.db'}",
        "TUTELAGE_ARTIFACTS_URL": (tmp_path / "artifacts").as_uri(),
        "TUTELAGE_SECRETS_DIR": str(tmp_path / "secrets"),
        "TUTELAGE_SERVICES_LISTEN": "127.0.0.1:0",
        "TUTELAGE_SERVICES_INTERNAL_LISTEN": "127.0.0.1:0",
    }


def refused(command: str, environment: dict[str, str], **changes: str) -> str:
    """Return the last words of services that must refuse to start."""
    done = services(command, {**environment, **changes})
    assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stderr
    return done.stderr


def services(command: str, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    arguments = [sys.executable, "-m", "services", command]
    return subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=60)


def test_migrating_needs_the_database_only(environment: dict[str, str]) -> None:
    bare = {name: value for name, value in environment.items() if not name.startswith("TUTELAGE_")}
    assert "TUTELAGE_DATABASE_URL is not set" in refused("migrate", bare)
    done = services("migrate", {**bare, "TUTELAGE_DATABASE_URL": environment["TUTELAGE_DATABASE_URL"]})
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("nonsense", "TUTELAGE_DATABASE_URL cannot be used: it cannot be read"),
        ("postgresql+psycopg://u:geheim@h:port/x", "TUTELAGE_DATABASE_URL cannot be used: it cannot be read"),
        ("mysql://u:geheim@h/x", "TUTELAGE_DATABASE_URL cannot be used: it must begin with sqlite:///"),
        ("sqlite:////proc/never/x.db", "TUTELAGE_DATABASE_URL cannot be used"),
        ("sqlite:////proc", "UNAVAILABLE: the database does not answer: unable to open database file"),
        ("postgresql+psycopg://u:geheim@127.0.0.1:1/x", "UNAVAILABLE: the database does not answer: connection failed"),
    ],
)
def test_a_database_that_cannot_be_used_is_told(environment: dict[str, str], url: str, reason: str) -> None:
    said = refused("migrate", environment, TUTELAGE_DATABASE_URL=url)
    assert reason in said
    assert "geheim" not in said


def test_what_serving_needs_is_refused_by_name(environment: dict[str, str]) -> None:
    assert services("migrate", environment).returncode == 0
    said = refused("serve", environment, TUTELAGE_ARTIFACTS_URL="/plain")
    assert "TUTELAGE_ARTIFACTS_URL cannot be used: a store is file:///folder" in said
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        for name in ("LISTEN", "INTERNAL_LISTEN", "METRICS_LISTEN"):
            said = refused("serve", environment, **{f"TUTELAGE_SERVICES_{name}": address})
            assert f"TUTELAGE_SERVICES_{name}" in said and address in said

"""Settings: read once, refused with their name."""

import pathlib

import pytest

from services.settings import InvalidSetting, check_listening, read_secret, read_settings

GIVEN = {
    "TUTELAGE_DATABASE_URL": "sqlite:////x.db",
    "TUTELAGE_ARTIFACTS_URL": "file:///x",
    "TUTELAGE_SECRETS_DIR": "/secrets",
}


def test_what_is_not_given_has_a_default() -> None:
    settings = read_settings({**GIVEN, "TUTELAGE_LEASE_SECONDS": "12.5"})
    assert (settings.lease_seconds, settings.heartbeat_seconds, settings.broker_url) == (12.5, 5.0, "")
    assert settings.secrets_dir == pathlib.Path("/secrets")


@pytest.mark.parametrize("name", GIVEN)
def test_what_is_missing_is_named(name: str) -> None:
    with pytest.raises(InvalidSetting, match=f"{name} is not set"):
        read_settings({**GIVEN, name: ""})


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "soon"])
def test_a_time_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(InvalidSetting, match="TUTELAGE_SWEEP_SECONDS must be a number of seconds above 0"):
        read_settings({**GIVEN, "TUTELAGE_SWEEP_SECONDS": value})


@pytest.mark.parametrize("address", ["nonsense", "127.0.0.1", "127.0.0.1:99999", "127.0.0.1:x", "unix:", ":5000"])
@pytest.mark.parametrize("name", ["SERVICES_LISTEN", "SERVICES_INTERNAL_LISTEN", "SERVICES_METRICS_LISTEN"])
def test_an_address_that_is_none_is_refused(name: str, address: str) -> None:
    with pytest.raises(InvalidSetting, match=f"TUTELAGE_{name} is '{address}'"):
        read_settings({**GIVEN, f"TUTELAGE_{name}": address})


@pytest.mark.parametrize("address", ["unix:/x.sock", "127.0.0.1:0", "[::1]:65535", "services.internal:7000"])
def test_an_address_is_a_socket_or_a_host_with_its_port(address: str) -> None:
    assert read_settings({**GIVEN, "TUTELAGE_SERVICES_LISTEN": address}).services_listen == address


@pytest.mark.parametrize("name", ["SERVICES_LISTEN", "SERVICES_INTERNAL_LISTEN"])
def test_serving_needs_both_addresses(name: str) -> None:
    given = {"TUTELAGE_SERVICES_LISTEN": "unix:/a", "TUTELAGE_SERVICES_INTERNAL_LISTEN": "unix:/b"}
    with pytest.raises(InvalidSetting, match=f"TUTELAGE_{name} is not set"):
        check_listening(read_settings({**GIVEN, **given, f"TUTELAGE_{name}": ""}))


def test_a_broker_of_another_kind_is_refused() -> None:
    with pytest.raises(InvalidSetting, match="TUTELAGE_BROKER_URL must begin with redis://"):
        read_settings({**GIVEN, "TUTELAGE_BROKER_URL": "amqp://x"})


def test_a_lease_outlasts_a_lost_heartbeat() -> None:
    with pytest.raises(InvalidSetting, match="at least twice"):
        read_settings({**GIVEN, "TUTELAGE_LEASE_SECONDS": "6"})


def test_secrets_are_read_or_refused(tmp_path: pathlib.Path) -> None:
    (tmp_path / "good").write_text("ab" * 32 + "\n")
    (tmp_path / "short").write_text("ab")
    assert read_secret(tmp_path, "good") == b"\xab" * 32
    with pytest.raises(InvalidSetting, match="64 hexadecimal digits"):
        read_secret(tmp_path, "short")
    with pytest.raises(InvalidSetting, match="cannot be read: No such file"):
        read_secret(tmp_path, "missing")

"""The gateway refuses settings that would not do what somebody meant."""

import pathlib

import pytest

from gateway.settings import DRAIN_WAIT_S, BadSettingsError, Settings, is_local, read_settings


@pytest.fixture
def environ(tmp_path: pathlib.Path) -> dict[str, str]:
    """An environment with which the gateway starts."""
    (tmp_path / "gateway").write_text("a1" * 32)
    (tmp_path / "principal").write_text("b2" * 32 + "\n")
    return {
        "TUTELAGE_SECRETS_DIR": str(tmp_path),
        "TUTELAGE_SERVICES_ADDRESS": "unix:/a",
        "TUTELAGE_SERVICES_INTERNAL_ADDRESS": "unix:/b",
        "TUTELAGE_SAMPLER_ADDRESS": "unix:/c",
    }


def read(environ: dict[str, str], **changes: str) -> Settings:
    """Reads settings with some changes."""
    return read_settings({**environ, **changes})


def test_the_defaults_are_loopback_and_no_wait(environ: dict[str, str]) -> None:
    settings = read(environ)
    assert (settings.listen, settings.http_listen) == ("127.0.0.1:7460", "127.0.0.1:7461")
    assert settings.drain_wait_s == 0 and settings.in_the_open == []


def test_secrets_are_read_and_not_shown(environ: dict[str, str]) -> None:
    settings = read(environ)
    assert settings.principal_secret == "b2" * 32
    assert "a1a1" not in repr(settings) and "b2b2" not in repr(settings)


@pytest.mark.parametrize("name", ["TUTELAGE_SERVICES_ADDRESS", "TUTELAGE_SAMPLER_ADDRESS", "TUTELAGE_SECRETS_DIR"])
def test_what_is_missing_is_named(environ: dict[str, str], name: str) -> None:
    with pytest.raises(BadSettingsError, match=name):
        read(environ, **{name: ""})


def test_a_short_secret_is_no_secret(environ: dict[str, str]) -> None:
    (pathlib.Path(environ["TUTELAGE_SECRETS_DIR"]) / "principal").write_text("hunter2")
    with pytest.raises(BadSettingsError, match="64 hexadecimal"):
        read(environ)


@pytest.mark.parametrize("listen", ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "train.example:1", ":1"])
def test_plaintext_stays_on_this_machine(environ: dict[str, str], listen: str) -> None:
    assert not is_local(listen)
    with pytest.raises(BadSettingsError, match="unencrypted"):
        read(environ, TUTELAGE_GATEWAY_LISTEN=listen)
    settings = read(environ, TUTELAGE_GATEWAY_LISTEN=listen, TUTELAGE_ALLOW_PLAINTEXT="1")
    assert settings.in_the_open == [listen] and settings.drain_wait_s == DRAIN_WAIT_S


@pytest.mark.parametrize("listen", ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost:1", "unix:/a/b"])
def test_what_counts_as_this_machine(listen: str) -> None:
    assert is_local(listen)


@pytest.mark.parametrize("address", ["nonsense", "127.0.0.1", "127.0.0.1:99999", "127.0.0.1:x", "unix:"])
@pytest.mark.parametrize("kind", ["LISTEN", "HTTP_LISTEN", "METRICS_LISTEN"])
def test_an_address_that_is_none_is_refused(environ: dict[str, str], kind: str, address: str) -> None:
    with pytest.raises(BadSettingsError, match=f"TUTELAGE_GATEWAY_{kind} is '{address}'"):
        read(environ, **{f"TUTELAGE_GATEWAY_{kind}": address})


def test_http_needs_a_port(environ: dict[str, str]) -> None:
    with pytest.raises(BadSettingsError, match="must be host:port"):
        read(environ, TUTELAGE_GATEWAY_HTTP_LISTEN="unix:/a")
    with pytest.raises(BadSettingsError, match="TUTELAGE_GATEWAY_LISTEN"):
        read(environ, TUTELAGE_GATEWAY_LISTEN="")


def test_a_certificate_needs_its_key(environ: dict[str, str], tmp_path: pathlib.Path) -> None:
    (tmp_path / "cert").touch()
    with pytest.raises(BadSettingsError, match="TUTELAGE_GATEWAY_TLS_KEY"):
        read(environ, TUTELAGE_GATEWAY_TLS_CERT=str(tmp_path / "cert"))
    with pytest.raises(BadSettingsError, match="no file"):
        read(environ, TUTELAGE_GATEWAY_TLS_CERT="/nonexistent")


def test_names_are_lists_and_times_are_numbers(environ: dict[str, str]) -> None:
    settings = read(environ, TUTELAGE_GATEWAY_HTTP_HOSTS=" a.example, B.example,")
    assert settings.http_hosts == {"a.example", "b.example"}
    with pytest.raises(BadSettingsError, match="TUTELAGE_GATEWAY_STOP_GRACE_SECONDS"):
        read(environ, TUTELAGE_GATEWAY_STOP_GRACE_SECONDS="soon")

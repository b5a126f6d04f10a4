"""The settings of the gateway, read once from the environment."""

import contextlib
import dataclasses
import ipaddress
import pathlib
import re
from collections.abc import Iterator, Mapping

SECRET = re.compile(r"[0-9a-f]{64}")
ADDRESS = re.compile(r"unix:[^\0]+|(?:\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]*):(?P<port>[0-9]{1,5})")
DRAIN_WAIT_S = 5.0
STOP_GRACE_S = 25.0


class BadSettingsError(Exception):
    """The gateway does not start with these settings."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where to listen, whom to call, and with which secrets."""

    listen: str
    http_listen: str
    metrics_listen: str
    services_address: str
    services_internal_address: str
    sampler_address: str
    gateway_secret: str = dataclasses.field(repr=False)
    principal_secret: str = dataclasses.field(repr=False)
    tls_cert: pathlib.Path | None
    tls_key: pathlib.Path | None
    allow_plaintext: bool
    http_hosts: frozenset[str]
    http_origins: frozenset[str]
    drain_wait_s: float
    stop_grace_s: float

    @property
    def in_the_open(self) -> list[str]:
        """The addresses that would carry keys over a network without TLS."""
        listens = [self.listen, self.http_listen]
        return [] if self.tls_cert else [listen for listen in listens if listen and not is_local(listen)]


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Reads the settings. Raises BadSettingsError with the name of the variable that is wrong."""
    listen = environ.get("TUTELAGE_GATEWAY_LISTEN", "127.0.0.1:7460")
    secrets_dir = pathlib.Path(_needed(environ, "TUTELAGE_SECRETS_DIR"))
    settings = Settings(
        listen=listen,
        http_listen=environ.get("TUTELAGE_GATEWAY_HTTP_LISTEN", "127.0.0.1:7461"),
        metrics_listen=environ.get("TUTELAGE_GATEWAY_METRICS_LISTEN", ""),
        services_address=_needed(environ, "TUTELAGE_SERVICES_ADDRESS"),
        services_internal_address=_needed(environ, "TUTELAGE_SERVICES_INTERNAL_ADDRESS"),
        sampler_address=_needed(environ, "TUTELAGE_SAMPLER_ADDRESS"),
        gateway_secret=_secret(secrets_dir, "gateway"),
        principal_secret=_secret(secrets_dir, "principal"),
        tls_cert=_file(environ, "TUTELAGE_GATEWAY_TLS_CERT"),
        tls_key=_file(environ, "TUTELAGE_GATEWAY_TLS_KEY"),
        allow_plaintext=environ.get("TUTELAGE_ALLOW_PLAINTEXT", "") == "1",
        http_hosts=_names(environ, "TUTELAGE_GATEWAY_HTTP_HOSTS"),
        http_origins=_names(environ, "TUTELAGE_GATEWAY_HTTP_ORIGINS"),
        # A load balancer needs a moment to see NOT_SERVING; on one machine there is none.
        drain_wait_s=_seconds(environ, "TUTELAGE_GATEWAY_DRAIN_WAIT_SECONDS", 0 if is_local(listen) else DRAIN_WAIT_S),
        stop_grace_s=_seconds(environ, "TUTELAGE_GATEWAY_STOP_GRACE_SECONDS", STOP_GRACE_S),
    )
    _check(settings)
    return settings


def is_local(listen: str) -> bool:
    """Whether an address can be reached from this machine only."""
    if listen.startswith("unix:"):
        return True
    host = listen.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@contextlib.contextmanager
def taken_is_told(address: str, *, setting: str) -> Iterator[None]:
    """Names the setting whose address cannot be had. Raises BadSettingsError."""
    try:
        yield
    except (OSError, RuntimeError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "it is taken, or not of this machine"
        raise BadSettingsError(f"{setting}: nobody can listen at {address}: {reason}.") from error


def _check_address(address: str, *, setting: str) -> None:
    found = ADDRESS.fullmatch(address)
    if found is None or int(found["port"] or 0) > 65535:
        raise BadSettingsError(f"{setting} is {address!r}; it must be host:port or unix:/path.")


def _check_addresses(settings: Settings) -> None:
    _check_address(settings.listen, setting="TUTELAGE_GATEWAY_LISTEN")
    over_http = {
        "TUTELAGE_GATEWAY_HTTP_LISTEN": settings.http_listen,
        "TUTELAGE_GATEWAY_METRICS_LISTEN": settings.metrics_listen,
    }
    for setting, address in over_http.items():
        if address:
            _check_address(address, setting=setting)
        if address.startswith("unix:"):
            raise BadSettingsError(f"{setting} is {address!r}; it must be host:port.")


def _check(settings: Settings) -> None:
    _check_addresses(settings)
    if bool(settings.tls_cert) != bool(settings.tls_key):
        raise BadSettingsError("Give both TUTELAGE_GATEWAY_TLS_CERT and TUTELAGE_GATEWAY_TLS_KEY, or none of them.")
    if settings.in_the_open and not settings.allow_plaintext:
        raise BadSettingsError(
            f"{' and '.join(settings.in_the_open)} can be reached from other machines, and keys would travel there"
            " unencrypted. Give TUTELAGE_GATEWAY_TLS_CERT and TUTELAGE_GATEWAY_TLS_KEY, listen on 127.0.0.1, or set"
            " TUTELAGE_ALLOW_PLAINTEXT=1 if something in front of the gateway speaks TLS."
        )


def _needed(environ: Mapping[str, str], name: str) -> str:
    if not environ.get(name):
        raise BadSettingsError(f"{name} is not set.")
    return environ[name]


def _secret(folder: pathlib.Path, name: str) -> str:
    path = folder / name
    try:
        secret = path.read_text().strip()
    except OSError as error:
        raise BadSettingsError(f"The secret {path} cannot be read: {error.strerror}.") from error
    if not SECRET.fullmatch(secret):
        raise BadSettingsError(f"The secret {path} must be 64 hexadecimal characters.")
    return secret


def _file(environ: Mapping[str, str], name: str) -> pathlib.Path | None:
    if not environ.get(name):
        return None
    path = pathlib.Path(environ[name])
    if not path.is_file():
        raise BadSettingsError(f"{name}: there is no file {path}.")
    return path


def _names(environ: Mapping[str, str], name: str) -> frozenset[str]:
    return frozenset(part.strip().lower() for part in environ.get(name, "").split(",") if part.strip())


def _seconds(environ: Mapping[str, str], name: str, default: float) -> float:
    try:
        seconds = float(environ.get(name) or default)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 3600:
        raise BadSettingsError(f"{name} must be a number of seconds from 0 to 3600.")
    return seconds

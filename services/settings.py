"""What an operator can set, read from the environment once."""

import dataclasses
import math
import pathlib
import re
from collections.abc import Mapping

_ADDRESS = re.compile(r"unix:[^\0]+|(?:\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):(?P<port>[0-9]{1,5})")
_BROKER = re.compile(r"rediss?(\+socket)?://.+")


class InvalidSetting(ValueError):
    """A setting is missing or cannot be used."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of the services; each is the variable TUTELAGE_ and its name in upper case."""

    database_url: str
    artifacts_url: str
    secrets_dir: pathlib.Path
    services_listen: str = ""
    services_internal_listen: str = ""
    broker_url: str = ""
    services_metrics_listen: str = ""
    lease_seconds: float = 30.0
    heartbeat_seconds: float = 5.0
    rering_seconds: float = 15.0
    sweep_seconds: float = 5.0


def read_database_url(environment: Mapping[str, str]) -> str:
    """Return all that `migrate` needs. Raises: InvalidSetting."""
    url = environment.get("TUTELAGE_DATABASE_URL", "")
    if not url:
        raise InvalidSetting("TUTELAGE_DATABASE_URL is not set")
    return url


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Return the settings in an environment. Raises: InvalidSetting with the name of the variable."""
    values: dict[str, object] = {}
    for field in dataclasses.fields(Settings):
        variable = f"TUTELAGE_{field.name.upper()}"
        text = environment.get(variable, "")
        if text:
            values[field.name] = _read(field, variable, text)
        elif field.default is dataclasses.MISSING:
            raise InvalidSetting(f"{variable} is not set")
    settings = Settings(**values)  # type: ignore[arg-type]
    if settings.lease_seconds < 2 * settings.heartbeat_seconds:
        raise InvalidSetting("TUTELAGE_LEASE_SECONDS must be at least twice TUTELAGE_HEARTBEAT_SECONDS")
    _check(settings)
    return settings


def check_listening(settings: Settings) -> None:
    """Refuse to serve without addresses to listen at. Raises: InvalidSetting."""
    for name in ("services_listen", "services_internal_listen"):
        if not getattr(settings, name):
            raise InvalidSetting(f"TUTELAGE_{name.upper()} is not set")


def _check(settings: Settings) -> None:
    for name in ("services_listen", "services_internal_listen", "services_metrics_listen"):
        address = getattr(settings, name)
        found = _ADDRESS.fullmatch(address)
        if address and (found is None or int(found["port"] or 0) > 65535):
            raise InvalidSetting(f"TUTELAGE_{name.upper()} is {address!r}; it must be host:port or unix:/path")
    if settings.services_metrics_listen.startswith("unix:"):
        raise InvalidSetting("TUTELAGE_SERVICES_METRICS_LISTEN must be host:port")
    if settings.broker_url and not _BROKER.fullmatch(settings.broker_url):
        raise InvalidSetting("TUTELAGE_BROKER_URL must begin with redis://, rediss:// or redis+socket://")


def read_secret(folder: pathlib.Path, name: str) -> bytes:
    """Return a secret of 32 bytes, written as 64 hexadecimal digits. Raises: InvalidSetting."""
    path = folder / name
    try:
        secret = bytes.fromhex(path.read_text().strip())
    except OSError as error:
        raise InvalidSetting(f"the secret {path} cannot be read: {error.strerror}") from None
    except ValueError:
        secret = b""
    if len(secret) != 32:
        raise InvalidSetting(f"the secret {path} must hold 64 hexadecimal digits")
    return secret


def _read(field: "dataclasses.Field[object]", variable: str, text: str) -> object:
    if field.type is pathlib.Path:
        return pathlib.Path(text)
    if field.type is not float:
        return text
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise InvalidSetting(f"{variable} must be a number of seconds above 0, got {text!r}")
    return number

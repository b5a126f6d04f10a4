"""Where the service is: arguments, environment, a profile, or the local stack.

The first of these that names an address wins: arguments; TUTELAGE_ADDRESS; the profile (TUTELAGE_PROFILE, or the
current one of ~/.config/tutelage/config.toml); profile.toml of the data folder of `tutelage up`. A key may come from a
stronger place than the address, never from a weaker one: a key is not sent to an address that it was not given for.
"""

import dataclasses
import ipaddress
import os
import pathlib
from collections.abc import Mapping

from tutelage import _profiles
from tutelage._errors import NotConfigured, TutelageError

HELP = "start a local stack with `tutelage up`, or connect to a server with `tutelage login`"


@dataclasses.dataclass(frozen=True)
class Connection:
    """An address with the key to use there.

    `target` is what gRPC dials; `tls` says whether the line is encrypted; `source` says where the address came from.
    """

    address: str
    api_key: str = dataclasses.field(repr=False)
    source: str
    tls: bool
    ca_file: str = ""
    http_address: str = ""

    @property
    def target(self) -> str:
        """The address as gRPC wants it, without a scheme."""
        return self.address.split("://", 1)[-1].rstrip("/")


def find_connection(
    *,
    address: str | None = None,
    api_key: str | None = None,
    profile: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Connection:
    """Returns the connection to use.

    Raises: NotConfigured if no address or no key for it is found, or a profile that is named does not exist.
    """
    environment = os.environ if environment is None else environment
    key = api_key or None
    if address:
        key = key or environment.get("TUTELAGE_API_KEY")
        return build(address, key=key, source="arguments", values={}, environment=environment)
    if environment.get("TUTELAGE_ADDRESS") and not profile:
        key = key or environment.get("TUTELAGE_API_KEY")
        source = "environment (TUTELAGE_ADDRESS)"
        return build(environment["TUTELAGE_ADDRESS"], key=key, source=source, values={}, environment=environment)
    source, values = find_profile(profile, environment=environment)
    stronger = key or (environment.get("TUTELAGE_API_KEY") if not profile else None)
    return build(
        values.get("address", ""),
        key=stronger or values.get("api_key"),
        source=source,
        values=values,
        environment=environment,
    )


def find_profile(profile: str | None, *, environment: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Returns a profile with the place that it came from."""
    wanted = profile or environment.get("TUTELAGE_PROFILE", "")
    if wanted.endswith(".toml") or "/" in wanted:
        path = pathlib.Path(wanted).expanduser()
        return f"profile {path}", _profiles.read_file(path)
    config = _profiles.read_config(environment=environment)
    name = wanted or str(config.get("current", ""))
    if name:
        return f"profile {name!r}", _profiles.choose(config, name=name)
    local = _profiles.local_profile_path(environment=environment)
    if local.exists():
        return f"local stack ({local})", _profiles.read_file(local)
    raise NotConfigured(f"no server is configured: {HELP}")


def build(
    address: str, *, key: str | None, source: str, values: Mapping[str, str], environment: Mapping[str, str]
) -> Connection:
    """Checks what was found and returns it as a connection."""
    if not address:
        raise NotConfigured(f"{source} names no address: {HELP}")
    if not key:
        raise NotConfigured(f"{source} names {address} but there is no API key for it: set TUTELAGE_API_KEY")
    if any(character.isspace() or not (character.isascii() and character.isprintable()) for character in address + key):
        raise NotConfigured(f"the address or the key of {source} holds spaces or characters that no address or key has")
    tls = values.get("tls", "").lower()
    return Connection(
        address=address,
        api_key=key,
        source=source,
        tls=tls == "true" if tls else wants_tls(address),
        ca_file=environment.get("TUTELAGE_CA_FILE", "") or values.get("ca_file", ""),
        http_address=values.get("http_address", ""),
    )


def wants_tls(address: str) -> bool:
    """Says whether to encrypt: always, but for sockets and this machine, unless http:// asks for plain text.

    A key sent in plain text over a network can be read on the way, so plain text must be asked for.
    """
    scheme, separator, _ = address.partition("://")
    if separator:
        if scheme not in ("http", "https", "grpc", "grpcs"):
            raise TutelageError(f"the address {address} must begin with https:// or http://, or be a bare host:port")
        return scheme in ("https", "grpcs")
    return not address.startswith(("unix:", "unix-abstract:")) and not is_loopback(address)


def is_loopback(address: str) -> bool:
    """Says whether host:port is this machine."""
    host = address.rsplit(":", 1)[0].strip("[]")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

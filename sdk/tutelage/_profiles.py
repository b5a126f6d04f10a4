"""Profiles: addresses with their keys, kept in TOML files that only their owner can read."""

import json
import os
import pathlib
import tempfile
import tomllib
from collections.abc import Mapping
from typing import Any

from tutelage._errors import NotConfigured

FIELDS = ("address", "http_address", "api_key", "tls", "ca_file")


def config_path(*, environment: Mapping[str, str]) -> pathlib.Path:
    """Returns where `tutelage login` keeps profiles."""
    home = environment.get("XDG_CONFIG_HOME") or pathlib.Path.home() / ".config"
    return pathlib.Path(home) / "tutelage" / "config.toml"


def local_profile_path(*, environment: Mapping[str, str]) -> pathlib.Path:
    """Returns where `tutelage up` leaves the profile of the local stack."""
    folder = environment.get("TUTELAGE_DATA_DIR") or pathlib.Path.home() / ".local" / "share" / "tutelage"
    return pathlib.Path(folder).expanduser() / "profile.toml"


def read_config(*, environment: Mapping[str, str]) -> dict[str, Any]:
    """Returns all profiles, or nothing if there is no file yet."""
    path = config_path(environment=environment)
    return read_toml(path) if path.exists() else {}


def read_file(path: pathlib.Path) -> dict[str, str]:
    """Returns the profile that a file holds.

    Raises: NotConfigured if the file does not exist or is not a profile.
    """
    if not path.exists():
        raise NotConfigured(f"there is no profile at {path}")
    return texts(read_toml(path))


def choose(config: Mapping[str, Any], *, name: str) -> dict[str, str]:
    """Returns the named profile.

    Raises: NotConfigured if there is none of that name.
    """
    profiles = config.get("profiles", {})
    if name not in profiles:
        known = ", ".join(sorted(profiles)) or "none"
        raise NotConfigured(f"there is no profile {name!r} (profiles: {known}); make it with `tutelage login`")
    return texts(profiles[name])


def write_profile(name: str, *, values: Mapping[str, str], environment: Mapping[str, str]) -> pathlib.Path:
    """Stores a profile, makes it the current one, and returns the file."""
    path = config_path(environment=environment)
    config = read_config(environment=environment)
    profiles = {key: texts(value) for key, value in config.get("profiles", {}).items()}
    profiles[name] = {key: value for key, value in values.items() if value}
    write_private(path, to_toml(current=name, profiles=profiles))
    return path


def write_private(path: pathlib.Path, content: str) -> None:
    """Replaces a file whole, readable for its owner only from the first byte on."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    with os.fdopen(descriptor, "w") as file:
        file.write(content)
    pathlib.Path(temporary).replace(path)


def to_toml(*, current: str, profiles: Mapping[str, Mapping[str, str]]) -> str:
    """Returns the file's text. A JSON string is a TOML string."""
    lines = [f"current = {json.dumps(current)}"]
    for name, values in profiles.items():
        lines += ["", f"[profiles.{json.dumps(name)}]"]
        lines += [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    return "\n".join(lines) + "\n"


def read_toml(path: pathlib.Path) -> dict[str, Any]:
    """Returns the content of a TOML file."""
    try:
        return tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise NotConfigured(f"{path} cannot be read: {error}") from error


def texts(values: Mapping[str, Any]) -> dict[str, str]:
    """Returns the fields of a profile as texts; what later versions may add is passed over."""
    return {
        key: str(value).lower() if isinstance(value, bool) else str(value)
        for key, value in values.items()
        if key in FIELDS
    }

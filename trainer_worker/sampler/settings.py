"""What the sampler is told by its environment, read once."""

from __future__ import annotations

import os
import pathlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from artifacts import InvalidStoreUrl, check_store_url

_ADDRESS = re.compile(r"unix:[^\0]+|(?:\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):(?P<port>[0-9]{1,5})")


class BadSetting(Exception):
    """A setting is missing or wrong."""


@dataclass(frozen=True)
class Settings:
    """Everything the sampler can be told.

    Units: names in `_bytes` are bytes, in `_s` seconds; `seats` and `waiting_rows` are rows, a row being one sample
    that is drawn.
    """

    listen: str
    services_address: str
    artifacts_url: str
    scratch_dir: pathlib.Path
    secret: str
    threads: int = 1
    models_bytes: int = 2 << 30
    cache_bytes: int = 512 << 20
    seats: int = 32
    waiting_rows: int = 256
    drain_s: float = 25.0
    slow_reader_s: float = 30.0


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Settings from environment variables. Raises: BadSetting, naming the variable."""
    return Settings(
        listen=_address(_required(environment, "TUTELAGE_SAMPLER_LISTEN")),
        services_address=_required(environment, "TUTELAGE_SERVICES_INTERNAL_ADDRESS"),
        artifacts_url=_store_url(_required(environment, "TUTELAGE_ARTIFACTS_URL")),
        scratch_dir=pathlib.Path(_required(environment, "TUTELAGE_SCRATCH_DIR")),
        secret=_read_secret(pathlib.Path(_required(environment, "TUTELAGE_SECRETS_DIR")) / "sampler"),
        threads=threads_granted(environment),
        models_bytes=_whole(environment, "TUTELAGE_SAMPLER_MODELS_BYTES", Settings.models_bytes),
        cache_bytes=_whole(environment, "TUTELAGE_SAMPLER_CACHE_BYTES", Settings.cache_bytes),
        seats=_whole(environment, "TUTELAGE_SAMPLER_SEATS", Settings.seats, most=256),
        waiting_rows=_whole(environment, "TUTELAGE_SAMPLER_WAITING_ROWS", Settings.waiting_rows),
        drain_s=float(_whole(environment, "TUTELAGE_SAMPLER_DRAIN_SECONDS", int(Settings.drain_s))),
        slow_reader_s=float(_whole(environment, "TUTELAGE_SAMPLER_SLOW_READER_SECONDS", int(Settings.slow_reader_s))),
    )


def threads_granted(environment: Mapping[str, str]) -> int:
    """Threads for arithmetic; needed before torch is imported, so it can be read alone."""
    return _whole(environment, "TUTELAGE_SAMPLER_THREADS", Settings.threads, most=max(os.cpu_count() or 1, 1))


def _required(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name, "")
    if not value:
        raise BadSetting(f"{name} is not set")
    return value


def _address(listen: str) -> str:
    found = _ADDRESS.fullmatch(listen)
    if found is None or int(found["port"] or 0) > 65535:
        raise BadSetting(f"TUTELAGE_SAMPLER_LISTEN is {listen!r}; it must be host:port or unix:/path")
    return listen


def _store_url(url: str) -> str:
    try:
        check_store_url(url)
    except InvalidStoreUrl as error:
        raise BadSetting(f"TUTELAGE_ARTIFACTS_URL cannot be used: {error}") from error
    return url


def _whole(environment: Mapping[str, str], name: str, default: int, *, most: int = 1 << 62) -> int:
    text = environment.get(name, "")
    if not text:
        return default
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise BadSetting(f"{name} is {text!r}; it must be a whole number from 1 to {most}")
    return int(text)


def _read_secret(path: pathlib.Path) -> str:
    try:
        secret = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadSetting(f"the sampler's secret cannot be read from {path}: {error}") from error
    if len(secret) != 64 or any(letter not in "0123456789abcdef" for letter in secret):
        raise BadSetting(f"{path} must hold 64 hexadecimal characters")
    return secret

"""What a supervisor is told by its environment."""

import os
import pathlib
import re
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from artifacts import InvalidStoreUrl, check_store_url
from trainer_worker.supervisor.watchdog import SectionLimits

_BROKER = re.compile(r"rediss?(\+socket)?://.+")

SLOTS_MAX = 64  # each slot is a process with its own copy of torch (about 250 MB): more is a mistake in a setting


class SettingsError(ValueError):
    """A setting is missing or wrong."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that a supervisor can be told. Durations are in seconds."""

    services_address: str
    worker_secret: str
    artifacts_url: str
    scratch_dir: pathlib.Path
    broker_url: str = ""
    slots: int = 1
    threads: int = 1
    spare_trainers: int = 0
    poll_s: float = 10.0
    heartbeat_s: float = 5.0
    tick_s: float = 5.0
    report_s: float = 0.25
    max_unheard_s: float = 900.0
    stop_grace_s: float = 60.0
    bell_canary_s: float = 30.0
    spool_bytes_max: int = 256 * 1024 * 1024
    trainer_command: tuple[str, ...] = (sys.executable, "-m", "trainer_worker.trainer")
    limits: SectionLimits = SectionLimits()

    @property
    def threads_per_slot(self) -> int:
        """Threads granted to one trainer: all trainers together take no more than the worker has."""
        return max(1, self.threads // self.slots)

    @property
    def last_checkpoint_s(self) -> float:
        """What a trainer gets of the grace for its last checkpoint; the rest is for reporting it."""
        return self.stop_grace_s - min(5.0, self.stop_grace_s / 4)


def from_environment(environ: Mapping[str, str]) -> Settings:
    """Reads the settings. Raises SettingsError that names the variable."""
    own = Settings(services_address="", worker_secret="", artifacts_url="", scratch_dir=pathlib.Path())
    return Settings(
        services_address=_required(environ, "TUTELAGE_SERVICES_INTERNAL_ADDRESS"),
        worker_secret=_secret(pathlib.Path(_required(environ, "TUTELAGE_SECRETS_DIR")) / "worker"),
        artifacts_url=_store_url(_required(environ, "TUTELAGE_ARTIFACTS_URL")),
        scratch_dir=pathlib.Path(_required(environ, "TUTELAGE_SCRATCH_DIR")).absolute(),
        broker_url=_broker_url(environ.get("TUTELAGE_BROKER_URL", "").strip()),
        slots=_count(environ, "TUTELAGE_WORKER_SLOTS", own.slots, most=SLOTS_MAX),
        threads=_count(environ, "TUTELAGE_WORKER_THREADS", os.cpu_count() or 1, most=4096),
        spare_trainers=_count(environ, "TUTELAGE_SPARE_TRAINERS", own.spare_trainers, least=0, most=1),
        poll_s=_seconds(environ, "TUTELAGE_POLL_SECONDS", own.poll_s),
        heartbeat_s=_seconds(environ, "TUTELAGE_HEARTBEAT_SECONDS", own.heartbeat_s),
        tick_s=_seconds(environ, "TUTELAGE_TICK_SECONDS", own.tick_s),
        report_s=_seconds(environ, "TUTELAGE_REPORT_SECONDS", own.report_s),
        max_unheard_s=_seconds(environ, "TUTELAGE_MAX_UNHEARD_SECONDS", own.max_unheard_s),
        stop_grace_s=_seconds(environ, "TUTELAGE_STOP_GRACE_SECONDS", own.stop_grace_s),
        bell_canary_s=_seconds(environ, "TUTELAGE_BELL_CANARY_SECONDS", own.bell_canary_s),
        spool_bytes_max=_count(environ, "TUTELAGE_SPOOL_BYTES", own.spool_bytes_max, most=1 << 40),
        trainer_command=_command(environ, own.trainer_command),
        limits=_limits(environ),
    )


def _store_url(url: str) -> str:
    try:
        check_store_url(url)
    except InvalidStoreUrl as error:
        raise SettingsError(f"TUTELAGE_ARTIFACTS_URL cannot be used: {error}") from error
    return url


def _broker_url(url: str) -> str:
    if url and not _BROKER.fullmatch(url):
        raise SettingsError("TUTELAGE_BROKER_URL must begin with redis://, rediss:// or redis+socket://")
    return url


def _limits(environ: Mapping[str, str]) -> SectionLimits:
    own = SectionLimits()
    return SectionLimits(
        load_s=_seconds(environ, "TUTELAGE_LOAD_LIMIT_SECONDS", own.load_s),
        first_step_s=_seconds(environ, "TUTELAGE_FIRST_STEP_LIMIT_SECONDS", own.first_step_s),
        step_s=_seconds(environ, "TUTELAGE_STEP_LIMIT_SECONDS", own.step_s),
        evaluate_s=_seconds(environ, "TUTELAGE_EVALUATE_LIMIT_SECONDS", own.evaluate_s),
        checkpoint_s=_seconds(environ, "TUTELAGE_CHECKPOINT_LIMIT_SECONDS", own.checkpoint_s),
    )


def _required(environ: Mapping[str, str], name: str) -> str:
    value = environ.get(name, "").strip()
    if not value:
        raise SettingsError(f"{name} is not set")
    return value


def _secret(path: pathlib.Path) -> str:
    try:
        secret = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"cannot read the worker's secret {path}: {error}") from error
    if not re.fullmatch(r"[0-9a-f]{64}", secret):
        raise SettingsError(f"the worker's secret {path} is not 64 hexadecimal digits")
    return secret


def _seconds(environ: Mapping[str, str], name: str, default: float) -> float:
    text = environ.get(name, "").strip()
    if not text:
        return default
    if not re.fullmatch(r"\d+(\.\d+)?", text) or float(text) <= 0:
        raise SettingsError(f"{name} is {text!r}; it must be a number of seconds above 0")
    return float(text)


def _count(environ: Mapping[str, str], name: str, default: int, *, least: int = 1, most: int) -> int:
    text = environ.get(name, "").strip()
    if not text:
        return default
    if not text.isdecimal() or not least <= int(text) <= most:
        raise SettingsError(f"{name} is {text!r}; it must be a whole number from {least} to {most}")
    return int(text)


def _command(environ: Mapping[str, str], default: tuple[str, ...]) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(environ.get("TUTELAGE_TRAINER_COMMAND", ""))) or default
    except ValueError as error:
        raise SettingsError(f"TUTELAGE_TRAINER_COMMAND cannot be split into words: {error}") from error

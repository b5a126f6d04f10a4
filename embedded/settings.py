"""What `tutelage up` is told: by its arguments, and by the environment for what they leave open."""

import argparse
import dataclasses
import math
import os
import pathlib
from collections.abc import Mapping

PORT_DEFAULT = 7460
HTTP_PORT_DEFAULT = 7461


@dataclasses.dataclass(frozen=True)
class Settings:
    """The choices of one start."""

    data_dir: pathlib.Path
    port: int
    http_port: int
    slots: int | None
    threads: int | None
    sampler: bool
    output: str
    start_seconds: float
    environment: Mapping[str, str]
    worker_grace_s: float
    gateway_grace_s: float
    sampler_grace_s: float


class BadSetting(Exception):
    """A variable of the environment cannot be used; the message names it."""


def read(arguments: list[str], environment: Mapping[str, str]) -> Settings:
    """Returns the settings; a wrong argument ends the process with a message, as command lines do.

    Raises: BadSetting.
    """
    given = _parser(environment).parse_args(arguments)
    return Settings(
        data_dir=given.data_dir.expanduser().absolute(),
        port=given.port,
        http_port=given.http_port,
        slots=given.slots,
        threads=given.threads,
        sampler=not given.no_sampler,
        output=given.output,
        start_seconds=_seconds(environment, "TUTELAGE_START_SECONDS", 120.0),
        environment=dict(environment),
        worker_grace_s=_seconds(environment, "TUTELAGE_STOP_GRACE_SECONDS", 60.0),
        gateway_grace_s=_seconds(environment, "TUTELAGE_GATEWAY_DRAIN_WAIT_SECONDS", 0.0)
        + _seconds(environment, "TUTELAGE_GATEWAY_STOP_GRACE_SECONDS", 25.0),
        sampler_grace_s=_seconds(environment, "TUTELAGE_SAMPLER_DRAIN_SECONDS", 25.0),
    )


def _seconds(environment: Mapping[str, str], name: str, default: float) -> float:
    text = environment.get(name, "").strip()
    if not text:
        return default
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < math.inf:
        raise BadSetting(f"{name} is {text!r}; it must be a number of seconds")
    return seconds


def default_data_dir(environment: Mapping[str, str]) -> pathlib.Path:
    """Returns where data lies unless somebody says otherwise."""
    if chosen := environment.get("TUTELAGE_DATA_DIR"):
        return pathlib.Path(chosen)
    return pathlib.Path.home() / ".local" / "share" / "tutelage"


def _parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tutelage up",
        description="Starts gateway, services, worker, sampler and queue on this machine, and keeps them running.",
        epilog="Ctrl-C saves running jobs and stops everything; they go on at the next start.",
    )
    folder = default_data_dir(environment)
    option = parser.add_argument
    option("--data-dir", type=pathlib.Path, default=folder, metavar="DIR", help="where everything lies (%(default)s)")
    option("--port", type=_port, default=PORT_DEFAULT, help="gRPC port; 0 takes a free one (%(default)s)")
    option("--http-port", type=_port, default=HTTP_PORT_DEFAULT, help="HTTP port; 0 takes a free one (%(default)s)")
    option("--slots", type=_positive, help="jobs that run at the same time (1)")
    option("--threads", type=_positive, help="CPU threads that the worker may use (all cores)")
    option("--no-sampler", action="store_true", help="do not start the sampler: saves memory")
    option("-o", "--output", choices=["text", "json"], default="text", help="how to print the addresses")
    return parser


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError("a port is 0 to 65535")
    return port


def _positive(text: str) -> int:
    number = int(text)
    if not 1 <= number <= (os.cpu_count() or 1) * 64:
        raise argparse.ArgumentTypeError("out of range for this machine")
    return number

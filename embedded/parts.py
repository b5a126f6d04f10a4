"""The parts of the house in the order in which they start, each with its command and its environment."""

import dataclasses
import os
import pathlib
import sys
from collections.abc import Mapping

from embedded import valkey
from embedded.data_folder import SOCKET_PATH_BYTES_MAX, DataFolder
from embedded.settings import Settings

# A part is killed only after the time that it gives itself for what it has begun, and this on top for closing down.
CLOSING_S = 15.0
SERVICES_GRACE_S = 35.0  # calls that run, and a round of a caretaker
GATEWAY_SOCKETS = "tutelage-gateway-*"
GATEWAY_SOCKET_BYTES = len("/tutelage-gateway-01234567/door.sock")


@dataclasses.dataclass(frozen=True)
class Part:
    """One process of the house."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    address: str = ""
    stop_limit_s: float = 20.0
    awaited_last: bool = False


@dataclasses.dataclass(frozen=True)
class House:
    """The parts, in rounds: a round starts when the one before it is ready."""

    rounds: tuple[tuple[Part, ...], ...]
    environment: Mapping[str, str]
    run_dir: pathlib.Path
    address: str
    http_address: str


def plan(settings: Settings, folder: DataFolder, *, port: int, http_port: int) -> House:
    """Returns the house of one data folder."""
    run_dir = folder.run_dir(settings.environment)
    environment = environment_of(settings, folder, run_dir=run_dir, port=port, http_port=http_port)
    services = _python("services", environment, "services", "serve")
    gateway = _python("gateway", _with_sockets_in(run_dir, environment), "gateway")
    sampler = _python("sampler", environment, "trainer_worker.sampler")
    supervisor = _python("supervisor", environment, "trainer_worker.supervisor")
    first: list[Part] = []
    if "TUTELAGE_BROKER_URL" not in settings.environment:
        first.append(Part("valkey", tuple(valkey.command(run_dir, folder.valkey)), _bare(environment)))
    if settings.sampler:
        # It asks nobody anything before its first request, and torch takes long to load: nobody waits for it meanwhile.
        address = environment["TUTELAGE_SAMPLER_ADDRESS"]
        sampler = _awaited(sampler, at=address, grace_s=settings.sampler_grace_s)
        first.append(dataclasses.replace(sampler, awaited_last=True))
    second = [_awaited(services, at=environment["TUTELAGE_SERVICES_INTERNAL_ADDRESS"], grace_s=SERVICES_GRACE_S)]
    third = [
        _awaited(gateway, at=environment["TUTELAGE_GATEWAY_LISTEN"], grace_s=settings.gateway_grace_s),
        _awaited(supervisor, at="", grace_s=settings.worker_grace_s),
    ]
    return House(
        rounds=(tuple(first), tuple(second), tuple(third)),
        environment=environment,
        run_dir=run_dir,
        address=environment["TUTELAGE_GATEWAY_LISTEN"],
        http_address=f"http://{environment['TUTELAGE_GATEWAY_HTTP_LISTEN']}",
    )


def environment_of(
    settings: Settings, folder: DataFolder, *, run_dir: pathlib.Path, port: int, http_port: int
) -> dict[str, str]:
    """Returns the environment of the children: what was given, with the addresses and folders of this house."""
    environment = {
        "TUTELAGE_DATABASE_URL": f"sqlite:///{folder.database}",
        "TUTELAGE_BROKER_URL": valkey.url(run_dir),
        "TUTELAGE_ARTIFACTS_URL": folder.artifacts.as_uri(),
        # Whoever tries things out waits for each first step: a trainer that has loaded torch is worth its memory.
        "TUTELAGE_SPARE_TRAINERS": "1",
        # torch makes this folder as soon as it is imported, otherwise among the temporary files of the machine.
        "TORCHINDUCTOR_CACHE_DIR": str(folder.scratch / "inductor"),
    }
    environment |= settings.environment
    environment |= _addresses(run_dir, port=port, http_port=http_port)
    environment |= {"TUTELAGE_SECRETS_DIR": str(folder.secrets), "TUTELAGE_SCRATCH_DIR": str(folder.scratch)}
    environment |= {"TUTELAGE_DATA_DIR": str(folder.root)}
    # Otherwise the folder that a child starts in would be searched first for modules.
    environment |= {"PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1"}
    if settings.slots:
        environment["TUTELAGE_WORKER_SLOTS"] = str(settings.slots)
    if settings.threads:
        environment["TUTELAGE_WORKER_THREADS"] = str(settings.threads)
    return environment


def _addresses(run_dir: pathlib.Path, *, port: int, http_port: int) -> dict[str, str]:
    services = f"unix:{run_dir / 'services.sock'}"
    internal = f"unix:{run_dir / 'services-internal.sock'}"
    sampler = f"unix:{run_dir / 'sampler.sock'}"
    return {
        "TUTELAGE_SERVICES_LISTEN": services,
        "TUTELAGE_SERVICES_ADDRESS": services,
        "TUTELAGE_SERVICES_INTERNAL_LISTEN": internal,
        "TUTELAGE_SERVICES_INTERNAL_ADDRESS": internal,
        "TUTELAGE_SAMPLER_LISTEN": sampler,
        "TUTELAGE_SAMPLER_ADDRESS": sampler,
        "TUTELAGE_GATEWAY_LISTEN": f"127.0.0.1:{port}",
        "TUTELAGE_GATEWAY_HTTP_LISTEN": f"127.0.0.1:{http_port}",
    }


def _python(name: str, environment: Mapping[str, str], *module: str) -> Part:
    return Part(name, (sys.executable, "-m", *module), environment)


def _awaited(part: Part, *, at: str, grace_s: float) -> Part:
    return dataclasses.replace(part, address=at, stop_limit_s=grace_s + CLOSING_S)


def _with_sockets_in(run_dir: pathlib.Path, environment: Mapping[str, str]) -> Mapping[str, str]:
    """Makes the gateway keep a socket of its own with the others, where the next start finds what a killed one left.

    Its name is longer than ours: where the path would be too long, the socket stays among the temporary files.
    """
    fits = len(os.fsencode(run_dir)) + GATEWAY_SOCKET_BYTES <= SOCKET_PATH_BYTES_MAX
    return {**environment, "TMPDIR": str(run_dir)} if fits else environment


def _bare(environment: Mapping[str, str]) -> dict[str, str]:
    """Returns what a program that is not ours needs of the environment."""
    return {"PATH": environment.get("PATH", os.defpath), "HOME": environment.get("HOME", "/")}

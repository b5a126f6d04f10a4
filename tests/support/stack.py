"""The whole house for tests: `python -m embedded` on a folder of its own, with short times and free ports."""

import contextlib
import dataclasses
import json
import os
import pathlib
import select
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping

from tests.support.waiting import wait_for

# Short enough to see a lease end in a test, long enough for two busy cores.
SHORT_TIMES = {
    "TUTELAGE_LEASE_SECONDS": "4",
    "TUTELAGE_HEARTBEAT_SECONDS": "0.5",
    "TUTELAGE_RERING_SECONDS": "2",
    "TUTELAGE_SWEEP_SECONDS": "0.5",
    "TUTELAGE_POLL_SECONDS": "2",
    "TUTELAGE_STOP_GRACE_SECONDS": "20",
    "TUTELAGE_WORKER_THREADS": "1",
    "TUTELAGE_SPARE_TRAINERS": "0",  # tests that count and kill trainers mean those at work; test_spare.py has one
}
START_LIMIT_S = 120.0
STOP_LIMIT_S = 90.0


@dataclasses.dataclass
class Stack:
    """A running house."""

    process: subprocess.Popen[bytes]
    data_dir: pathlib.Path
    address: str
    http_address: str
    profile: pathlib.Path
    api_key: str

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables with which a client finds the house."""
        return {"TUTELAGE_ADDRESS": self.address, "TUTELAGE_API_KEY": self.api_key}

    def pids(self) -> dict[str, int]:
        """Returns the process ids of the parts that run now, by name."""
        record = json.loads((self.data_dir / "run" / "processes.json").read_text())
        return {name: entry["pid"] for name, entry in record.items()}

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Sends a signal to one part and returns the process id that it had."""
        pid = self.pids()[name]
        os.kill(pid, number)
        return pid

    def wait_for_new_pid(self, name: str, old_pid: int, *, limit_s: float = 20.0) -> int:
        """Waits until a part runs again as another process."""
        return wait_for(lambda: (pid := self.pids().get(name)) not in (None, old_pid) and pid, limit_s=limit_s) or 0

    def log(self, name: str) -> str:
        """Returns what a part has logged."""
        return (self.data_dir / "logs" / f"{name}.log").read_text(errors="replace")

    def all_logs(self) -> str:
        """Returns the ends of all logs, for the message of a failure."""
        paths = sorted((self.data_dir / "logs").glob("*.log"))
        return "\n".join(f"== {path.name}\n{path.read_text(errors='replace')[-3000:]}" for path in paths)

    def stop(self, *, limit_s: float = STOP_LIMIT_S) -> int:
        """Drains the house and returns its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=limit_s)


@contextlib.contextmanager
def running_stack(
    folder: pathlib.Path,
    *,
    sampler: bool = False,
    slots: int = 1,
    database_url: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Stack]:
    """Yields a house that is ready; nothing of it runs afterwards, whatever happened.

    `database_url` puts it on that database instead of SQLite below `folder`. `environment` overrides the short times.
    The same folder may be used again: the house goes on with what is there.
    """
    command = [sys.executable, "-m", "embedded", "--data-dir", str(folder), "--port", "0", "--http-port", "0"]
    command += ["--slots", str(slots), "-o", "json", *([] if sampler else ["--no-sampler"])]
    settings = {**SHORT_TIMES, **({"TUTELAGE_DATABASE_URL": database_url} if database_url else {})}
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "up.log").open("ab") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            env={**_clean(os.environ), **settings, **(environment or {})},
        )
    try:
        yield _announced(process, folder)
    finally:
        _end(process, folder)


def _announced(process: subprocess.Popen[bytes], folder: pathlib.Path) -> Stack:
    """Reads the one line that `up` prints when everything is ready."""
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], START_LIMIT_S)
    line = process.stdout.readline() if ready else b""
    if not line:
        raise AssertionError(f"the house did not start:\n{(folder / 'up.log').read_text(errors='replace')}")
    facts = json.loads(line)
    profile = pathlib.Path(facts["profile"])
    key = tomllib.loads(profile.read_text())["api_key"]
    http_address = facts["http_address"]
    return Stack(process, folder, facts["address"], http_address, profile, key)


def _end(process: subprocess.Popen[bytes], folder: pathlib.Path) -> None:
    """Drains the house, kills what does not go, and looks for what is left."""
    left = _recorded(folder)
    if process.poll() is None:
        process.send_signal(signal.SIGCONT)
        process.send_signal(signal.SIGTERM)
        left |= _recorded(folder)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=STOP_LIMIT_S)
    process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()
    wait_for(lambda: not any(_runs(pid) for pid in left), limit_s=5, what=f"children left running: {left}")


def _recorded(folder: pathlib.Path) -> set[int]:
    with contextlib.suppress(OSError, ValueError):
        return {entry["pid"] for entry in json.loads((folder / "run" / "processes.json").read_text()).values()}
    return set()


def _runs(pid: int) -> bool:
    """Tells whether a process is there and not a zombie."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _clean(environment: Mapping[str, str]) -> dict[str, str]:
    """Returns the environment without what a developer may have set for a house of their own."""
    return {name: value for name, value in environment.items() if not name.startswith("TUTELAGE_")}

"""One child process: started, watched, started again after a death, and stopped."""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import time

from embedded import health, logs, valkey
from embedded.parts import Part

# The first death is answered at once, since jobs wait; the next ones more and more slowly.
BACKOFF_FIRST_S = 0.1
BACKOFF_MAX_S = 10.0
STEADY_AFTER_S = 30.0
CRASH_LOOP_DEATHS = 4


class Child:
    """A part and the process that plays it now."""

    def __init__(self, part: Part, *, logs_dir: pathlib.Path, run_dir: pathlib.Path) -> None:
        """Starts nothing."""
        self.part = part
        self.deaths = 0
        self.restart_at: float | None = None
        self._logs_dir, self._run_dir = logs_dir, run_dir
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0

    @property
    def pid(self) -> int | None:
        """Its process id, or None when it does not run."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Starts the process in a session of its own, so that Ctrl-C in the terminal reaches only the parent.

        Call it from the main thread: the child dies with the thread that started it.
        """
        launcher = [sys.executable, "-m", "embedded.follow_parent", str(os.getpid())]
        environment = {"PYTHONSAFEPATH": "1", **_search_path(), **self.part.environment}
        log = logs.open_for(self.part.name, self._logs_dir)
        try:
            self._process = subprocess.Popen(
                [*launcher, *self.part.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                cwd="/",
                start_new_session=True,
            )
        finally:
            os.close(log)
        self._started_at, self.restart_at = time.monotonic(), None

    def notice_death(self) -> int | None:
        """Returns the exit status if it has died since the last look, and plans its return."""
        if self._process is None or (status := self._process.poll()) is None:
            return None
        self._end_group(signal.SIGKILL)
        self._process = None
        lived_s = time.monotonic() - self._started_at
        self.deaths = 1 if lived_s > STEADY_AFTER_S else self.deaths + 1
        pause_s = min(BACKOFF_FIRST_S * 4 ** (self.deaths - 1), BACKOFF_MAX_S)
        self.restart_at = time.monotonic() + pause_s
        return status

    def is_ready(self) -> bool:
        """Tells whether it does its work: says so itself, or at least runs."""
        if self._process is None or self._process.poll() is not None:
            return False
        if self.part.name == "valkey":
            return valkey.is_answering(self._run_dir)
        return not self.part.address or health.is_serving(self.part.address)

    def stop(self) -> bool:
        """Asks it to end, kills it after its time; tells whether it ended by itself with status 0."""
        if self._process is None:
            return True
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            status = self._process.wait(timeout=self.part.stop_limit_s)
        except subprocess.TimeoutExpired:
            status = -signal.SIGKILL
        self.kill()
        return status == 0

    def kill(self) -> None:
        """Ends it and its process group at once."""
        if self._process is None:
            return
        self._end_group(signal.SIGKILL)
        self._process.wait()
        self._process = None

    def _end_group(self, number: signal.Signals) -> None:
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


def _search_path() -> dict[str, str]:
    """Lets the launcher be found when the code runs from its folder instead of being installed."""
    return {"PYTHONPATH": value} if (value := os.environ.get("PYTHONPATH")) else {}

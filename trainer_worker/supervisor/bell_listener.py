"""Keeps a bell listener running while a place is free, and restarts one that is dead, mute or old."""

import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading

from trainer_worker.supervisor.clock import now_s
from trainer_worker.supervisor.environment import bell_environment
from trainer_worker.supervisor.main_thread import MainThread
from trainer_worker.supervisor.wishes import Wishes

_log = logging.getLogger(__name__)

_MUTE_CANARIES = 3  # it gives a sign with each, even when the broker is away: two missed, and some patience
_START_S = 30.0  # from exec to its first sign, on a machine that has other things to do
_OLD_S = 24 * 3600.0  # Celery and its transport leak a little: a listener has nothing to lose by a restart
_STOP_S = 2.0  # it has nothing to finish
_BACKOFF_S = (0.5, 10.0)
_STEADY_S = 30.0  # one that lived as long as this died of something new


class BellListener:
    """The Celery worker beside the trainers. It passes on ids and may die at any moment."""

    def __init__(self, *, broker_url: str, name: str, canary_s: float, main_thread: MainThread, wishes: Wishes) -> None:
        self._broker_url, self._name, self._canary_s = broker_url, name, canary_s
        self._main_thread, self._wishes = main_thread, wishes
        self._changed = threading.Event()
        self._wanted = self._stopped = False
        self._process: subprocess.Popen[bytes] | None = None
        self._since_s = self._sign_s = self._not_before_s = 0.0
        self._backoff_s = _BACKOFF_S[0]

    def want(self, wanted: bool) -> None:
        """Says whether there is anybody to hear a bell."""
        if self._wanted != wanted:
            self._wanted = wanted
            self._changed.set()

    def stop(self) -> None:
        """Ends the listener for good; `run` returns."""
        self._stopped = True
        self._changed.set()

    def run(self) -> None:
        """Keeps it as wanted. Without a broker there is nothing to do: the worker polls."""
        while self._broker_url and not self._stopped:
            try:
                self._keep()
            except OSError:
                _log.exception("the bell listener cannot be kept")
            self._changed.wait(0.5)
            self._changed.clear()
        self._end()

    def _keep(self) -> None:
        if self._process is None:
            if self._wanted and now_s() >= self._not_before_s:
                self._start()
        elif not self._wanted:
            self._end()
        elif (fault := self._fault(self._process)) is not None:
            _log.warning("the bell listener is started again", extra={"why": fault, "wait_s": self._backoff_s})
            self._end()
            self._back_off()

    def _fault(self, process: subprocess.Popen[bytes]) -> str | None:
        if process.poll() is not None:
            return f"it exited with {process.returncode}"
        if now_s() - self._sign_s > _MUTE_CANARIES * self._canary_s:
            return "it is mute"
        return "it is old" if now_s() - self._since_s > _OLD_S else None

    def _back_off(self) -> None:
        least_s, most_s = _BACKOFF_S
        if now_s() - self._since_s > _STEADY_S:
            self._backoff_s = least_s
        self._not_before_s = now_s() + self._backoff_s
        self._backoff_s = min(self._backoff_s * 2, most_s)

    def _start(self) -> None:
        read_fd, write_fd = os.pipe()
        try:
            self._process = self._main_thread.do(lambda: self._spawn(write_fd))
        except OSError:
            os.close(read_fd)
            self._back_off()
            raise
        finally:
            os.close(write_fd)
        self._since_s = now_s()
        self._sign_s = self._since_s + _START_S
        threading.Thread(target=self._hear, args=(read_fd,), name="bell", daemon=True).start()

    def _spawn(self, write_fd: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "trainer_worker.bell"],
            stdin=subprocess.PIPE,  # closed by our death, which ends it where no signal does
            stdout=sys.stderr,
            env=bell_environment(
                os.environ, broker_url=self._broker_url, bell_fd=write_fd, name=self._name, canary_s=self._canary_s
            ),
            pass_fds=(write_fd,),
            start_new_session=True,  # a Ctrl-C in the terminal is for the supervisor alone
        )

    def _hear(self, fd: int) -> None:
        with open(fd, encoding="ascii", errors="replace") as lines:
            for line in lines:
                word, _, job_uid = line.strip().partition(" ")
                self._sign_s = now_s()
                if word == "bell":
                    self._wishes.add(job_uid)

    def _end(self) -> None:
        if (process := self._process) is None:
            return
        self._process = None
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
        with contextlib.suppress(OSError):
            if process.stdin is not None:
                process.stdin.close()

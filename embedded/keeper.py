"""The parent: starts the parts in order, keeps them alive, and drains them in reverse."""

import contextlib
import os
import pathlib
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator

from embedded import logs, processes
from embedded.child import CRASH_LOOP_DEATHS, Child
from embedded.data_folder import DataFolder, StartRefused
from embedded.parts import House, Part

LOOK_AGAIN_S = 5.0
READY_POLL_S = 0.05
DEATHS_AT_START_MAX = 3
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Keeper:
    """Holds the children of one house."""

    def __init__(self, house: House, folder: DataFolder, *, tell: Callable[[str], None]) -> None:
        """Starts nothing. `tell` gets sentences for the person at the terminal."""
        self._folder, self._tell = folder, tell
        self._rounds = [[self._child(house, part) for part in parts] for parts in house.rounds]
        self._running: list[Child] = []
        self._signals = Signals()

    def start(self, prepare: Callable[[], None], *, limit_s: float) -> None:
        """Starts the rounds one after the other; `prepare` runs once before the first that needs the database.

        Raises: StartRefused if a part does not become ready; Interrupted on a signal to stop.
        """
        for children in self._rounds:
            if any(child.part.name == "services" for child in children):
                prepare()
            for child in children:
                self._running.append(child)
                child.start()
            self._record()
            self._wait_until_ready([child for child in children if not child.part.awaited_last], limit_s=limit_s)
        self._wait_until_ready(self._running, limit_s=limit_s)

    def keep(self) -> None:
        """Starts again what dies, until a signal says to stop."""
        while not self._signals.stop_asked:
            self._replace_the_dead()
            logs.rotate(self._folder.logs)
            due = [child.restart_at for child in self._running if child.restart_at is not None]
            wait_s = min([LOOK_AGAIN_S, *(max(0.0, at - time.monotonic()) for at in due)])
            self._signals.wait(wait_s)

    def stop(self) -> None:
        """Ends the children in reverse order, each within its time; at once after a second signal."""
        self._signals.expect_impatience(self._kill_all)
        for child in reversed(self._running):
            if child.pid is not None and not child.stop():
                self._tell(f"{child.part.name} did not stop in an orderly way; see {self._log_path(child)}")
            self._record()
        self._signals.close()

    def _child(self, house: House, part: Part) -> Child:
        return Child(part, logs_dir=self._folder.logs, run_dir=house.run_dir)

    def _wait_until_ready(self, children: list[Child], *, limit_s: float) -> None:
        deadline = time.monotonic() + limit_s
        waiting = list(children)
        while waiting:
            waiting = [child for child in waiting if not child.is_ready()]
            self._replace_the_dead()
            for child in waiting:
                if child.deaths >= DEATHS_AT_START_MAX:
                    raise StartRefused(self._obituary(child, "does not start"))
                if time.monotonic() > deadline:
                    raise StartRefused(self._obituary(child, f"was not ready after {limit_s:.0f} s"))
            self._signals.wait(READY_POLL_S if waiting else 0)
            if self._signals.stop_asked:
                raise Interrupted

    def _replace_the_dead(self) -> None:
        for child in self._running:
            status = child.notice_death()
            if status is not None:
                self._report_death(child, status)
            if child.restart_at is not None and child.restart_at <= time.monotonic():
                child.start()
            elif status is None:
                continue
            self._record()

    def _report_death(self, child: Child, status: int) -> None:
        if child.deaths == CRASH_LOOP_DEATHS:
            self._tell(self._obituary(child, f"has died {child.deaths} times in a row ({_words(status)})"))
            self._tell(f"{child.part.name} will be tried again every few seconds.")
        elif child.deaths < CRASH_LOOP_DEATHS:
            self._tell(f"{child.part.name} has died ({_words(status)}); starting it again.")

    def _obituary(self, child: Child, what: str) -> str:
        end = logs.last_lines(child.part.name, self._folder.logs)
        shown = "\n".join(f"  | {line}" for line in end.splitlines())
        return f"{child.part.name} {what}. The end of {self._log_path(child)}:\n{shown}"

    def _log_path(self, child: Child) -> pathlib.Path:
        return self._folder.logs / f"{child.part.name}.log"

    def _record(self) -> None:
        pids = {child.part.name: child.pid for child in self._running if child.pid is not None}
        with contextlib.suppress(OSError):  # a full disk must not end the parent: the record only helps the next start
            processes.write(self._folder.processes, pids)

    def _kill_all(self) -> None:
        for child in self._running:
            child.kill()


class Interrupted(Exception):
    """Somebody asked to stop before everything was up."""


class Signals:
    """Signals turned into something to wait for: the death of a child ends a wait as early as Ctrl-C does."""

    def __init__(self) -> None:
        """Takes over the signals of the process."""
        self.stop_asked = False
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        for number in STOP_SIGNALS:
            signal.signal(number, self._ask_to_stop)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)

    def wait(self, limit_s: float) -> None:
        """Waits for a signal."""
        select.select([self._read], [], [], limit_s)
        with contextlib.suppress(BlockingIOError):
            os.read(self._read, 4096)

    def expect_impatience(self, act: Callable[[], None]) -> None:
        """From now on another signal to stop ends the children at once, and this process with status 1."""

        def end(number: int, frame: object) -> None:
            print("Ending everything at once.", file=sys.stderr, flush=True)
            act()
            os._exit(1)

        for number in STOP_SIGNALS:
            signal.signal(number, end)

    def close(self) -> None:
        """Gives the signals back."""
        signal.set_wakeup_fd(-1)
        for number in (*STOP_SIGNALS, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        os.close(self._read)
        os.close(self._write)

    def _ask_to_stop(self, number: int, frame: object) -> None:
        self.stop_asked = True


@contextlib.contextmanager
def kept(house: House, folder: DataFolder, *, tell: Callable[[str], None]) -> Iterator[Keeper]:
    """Yields a keeper whose children are stopped at the end, whatever happens in between."""
    keeper = Keeper(house, folder, tell=tell)
    try:
        yield keeper
    finally:
        keeper.stop()


def _words(status: int) -> str:
    return f"signal {signal.Signals(-status).name}" if status < 0 else f"status {status}"

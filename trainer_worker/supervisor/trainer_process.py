"""One trainer process: started in a session of its own, spoken to, and ended with all its descendants."""

import contextlib
import fcntl
import os
import signal
import threading
from collections.abc import Callable, Mapping, Sequence

from trainer_worker.supervisor import pipe, processes
from trainer_worker.supervisor.orders import Force
from trainer_worker.supervisor.stderr_tail import StderrTail
from tutelage_internal.v1 import pipe_pb2

_FACTS_FD = 3
_RESET_SIGNALS = (signal.SIGPIPE, signal.SIGXFSZ)  # Python ignores them, and an ignored signal survives exec


class TrainerProcess:
    """A running trainer. Its process id stays taken until `bury`, so that a signal can never hit a stranger."""

    def __init__(self, pid: int, *, inbox_fd: int, facts_fd: int, stderr_fd: int) -> None:
        self.pid = pid
        self.facts_fd = facts_fd
        self.stderr = StderrTail(stderr_fd)
        self._inbox_fd = inbox_fd
        self._inbox = bytearray()
        self._spoken_to = False  # the first message must be the Launch, and ticks come from a thread of their own
        self._lock = threading.Lock()
        self._exit_code: int | None = None
        self._applied = Force.NONE

    def say(self, message: pipe_pb2.ToTrainer) -> None:
        """Sends a message without ever waiting: what does not fit into the pipe follows with a later call."""
        with self._lock:
            self._inbox += pipe.frame(message)
            self._spoken_to = True
            self._flush()

    def tick(self) -> None:
        """Tells the trainer that its supervisor lives, unless it is not listening anyway or has not heard its task."""
        with self._lock:
            if self._spoken_to and not self._inbox:
                self._inbox += pipe.frame(pipe_pb2.ToTrainer(tick=pipe_pb2.Tick()))
            self._flush()

    def apply(self, force: Force) -> None:
        """Asks the trainer to end, at most once in each way and never more gently than before."""
        if force <= self._applied or self._exit_code is not None:
            return
        self._applied = force
        if force is Force.STOP:
            self.say(pipe_pb2.ToTrainer(stop=pipe_pb2.Stop()))
        elif force is Force.ABORT:
            _signal(os.kill, self.pid, signal.SIGABRT)
        else:
            _signal(os.killpg, self.pid, signal.SIGKILL)

    def exited(self) -> bool:
        """Whether the trainer itself has ended. It is not reaped by this."""
        if not hasattr(os, "waitid"):  # macOS: reaped here; the group's id stays taken while the group lives
            return self._reap(os.WNOHANG) is not None
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def end_session(self) -> None:
        """Kills what the trainer has left behind, and returns when nothing of it lives.

        That takes milliseconds, or as long as a driver holds a process in uninterruptible sleep.
        """
        pause = threading.Event()
        while processes.kill_session(self.pid):
            pause.wait(0.02)

    def bury(self) -> int:
        """Reaps the trainer, closes its pipes and returns its exit code; negative: the signal."""
        code = self._reap(0)
        with self._lock:
            if self._inbox_fd >= 0:
                os.close(self._inbox_fd)
                self._inbox_fd = -1
        return 0 if code is None else code

    def _reap(self, flags: int) -> int | None:
        if self._exit_code is None:
            pid, status = os.waitpid(self.pid, flags)
            if pid:
                self._exit_code = os.waitstatus_to_exitcode(status)
        return self._exit_code

    def _flush(self) -> None:
        while self._inbox and self._inbox_fd >= 0:
            try:
                del self._inbox[: os.write(self._inbox_fd, self._inbox)]
            except BlockingIOError:
                return
            except OSError:  # it has closed its end: its exit tells the rest
                self._inbox.clear()


def spawn(command: Sequence[str], *, environment: Mapping[str, str]) -> TrainerProcess:
    """Starts a trainer. To be called on the main thread. Raises OSError."""
    with contextlib.ExitStack() as theirs, contextlib.ExitStack() as ours:
        inbox_read, inbox_write = _pipe(theirs, ours)
        facts_write, facts_read = reversed(_pipe(ours, theirs))
        stderr_write, stderr_read = reversed(_pipe(ours, theirs))
        pid = os.posix_spawnp(
            command[0],
            list(command),
            dict(environment),
            file_actions=[
                (os.POSIX_SPAWN_DUP2, inbox_read, 0),
                (os.POSIX_SPAWN_DUP2, stderr_write, 1),
                (os.POSIX_SPAWN_DUP2, stderr_write, 2),
                (os.POSIX_SPAWN_DUP2, facts_write, _FACTS_FD),
            ],
            setsid=True,
            setsigmask=(),
            setsigdef=_RESET_SIGNALS,
        )
        ours.pop_all()
    os.set_blocking(inbox_write, False)
    return TrainerProcess(pid, inbox_fd=inbox_write, facts_fd=facts_read, stderr_fd=stderr_read)


def _pipe(keeper_of_read: contextlib.ExitStack, keeper_of_write: contextlib.ExitStack) -> tuple[int, int]:
    """A pipe whose ends are above the numbers that the child will use, so that no dup2 hits another end."""
    ends = []
    for fd, keeper in zip(os.pipe(), (keeper_of_read, keeper_of_write), strict=True):
        high = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _FACTS_FD + 1)
        os.close(fd)
        keeper.callback(os.close, high)
        ends.append(high)
    return ends[0], ends[1]


def _signal(send: Callable[[int, int], None], pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS answers EPERM for a zombie
        send(pid, number)

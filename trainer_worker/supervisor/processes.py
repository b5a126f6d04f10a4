"""The process table: who lives in a trainer's session, and since when."""

import contextlib
import os
import pathlib
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

_PROC = pathlib.Path("/proc")


@dataclass(frozen=True, kw_only=True)
class Process:
    """One living process."""

    pid: int
    group: int
    session: int
    start: str  # clock ticks since boot, or a date where there is no /proc; only ever compared for equality


def living() -> Iterator[Process]:
    """All processes that are not zombies."""
    return _from_proc() if (_PROC / "self" / "stat").exists() else _from_ps()


def session_of(leader_pid: int) -> list[Process]:
    """The living processes of the session that a trainer began, data loaders included.

    A process that began a session of its own is not found: nothing of ours does that.
    """
    return [process for process in living() if leader_pid in (process.group, process.session)]


def find(pid: int) -> Process | None:
    """One living process."""
    return next((process for process in living() if process.pid == pid), None)


def kill_session(leader_pid: int) -> int:
    """Sends SIGKILL to everything in a session and returns how many processes that were."""
    return kill(session_of(leader_pid))


def kill(victims: list[Process]) -> int:
    """Sends SIGKILL to each and returns how many they are."""
    for victim in victims:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(victim.pid, signal.SIGKILL)
    return len(victims)


def carries(process: Process, *, variable: str) -> bool:
    """Whether a process was started with `NAME=value` in its environment; False where that cannot be read."""
    try:
        return variable.encode() in (_PROC / str(process.pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return False


def boot_id() -> str:
    """Names the time since the machine was started; empty where the kernel does not tell."""
    try:
        return (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _from_proc() -> Iterator[Process]:
    for folder in _PROC.iterdir():
        if folder.name.isdecimal():
            with contextlib.suppress(OSError, ValueError):
                stat = (folder / "stat").read_text(encoding="utf-8", errors="replace")
                # The command stands in parentheses and may hold anything, parentheses too: count from the last one.
                fields = stat[stat.rindex(")") + 2 :].split()
                if fields[0] not in "ZX":
                    yield Process(pid=int(folder.name), group=int(fields[2]), session=int(fields[3]), start=fields[19])


def _from_ps() -> Iterator[Process]:
    command = ["ps", "-axo", "pid=,pgid=,stat=,lstart="]
    for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines():
        pid, group, state, start = line.split(None, 3)
        if not state.startswith("Z"):
            # macOS prints no session number; a trainer's group has the same one.
            yield Process(pid=int(pid), group=int(group), session=int(group), start=start.strip())

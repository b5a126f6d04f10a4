"""The record of running children, by which the next start finds and ends what a killed parent has left behind."""

import contextlib
import json
import os
import pathlib
import signal
import time
from collections.abc import Mapping

from embedded.room_secrets import write_private


def write(path: pathlib.Path, pids: Mapping[str, int]) -> None:
    """Records the children: their ids, and when they started, since ids are used again."""
    record = {name: {"pid": pid, "start_time": start_time(pid)} for name, pid in pids.items()}
    write_private(path, json.dumps(record) + "\n")


def read(path: pathlib.Path) -> dict[str, dict[str, object]]:
    """Returns the record; a missing or damaged one is empty, since it only helps to clean up."""
    with contextlib.suppress(OSError, ValueError):
        record = json.loads(path.read_text())
        if isinstance(record, dict):
            return {name: entry for name, entry in record.items() if isinstance(entry, dict)}
    return {}


def end_left_over(path: pathlib.Path, *, limit_s: float = 10.0) -> list[str]:
    """Kills the recorded processes that still run, with their groups; returns their names."""
    left = {name: entry for name, entry in read(path).items() if _still_runs(entry)}
    for entry in left.values():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(int(str(entry["pid"])), signal.SIGKILL)
    deadline = time.monotonic() + limit_s
    while any(_still_runs(entry) for entry in left.values()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return sorted(left)


def start_time(pid: int) -> str | None:
    """Returns when a process started, in a form that only this boot of this machine gives; None if that is unknown."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    return None if fields[0] == "Z" else f"{boot}/{fields[19]}"


def _still_runs(entry: Mapping[str, object]) -> bool:
    """Tells whether this very process runs. Without /proc nothing is said to, so that no stranger is killed."""
    pid, started = entry.get("pid"), entry.get("start_time")
    return isinstance(pid, int) and pid > 1 and started is not None and start_time(pid) == started

"""The list of running trainers on disk, by which a successor ends what a dead supervisor left."""

import json
import pathlib
import threading
from typing import Any

from trainer_worker.supervisor import processes

MARK_VARIABLE = "TUTELAGE_TRAINER_MARK"


class TrainerRecord:
    """The file that says which trainers run: process id and start time of each, so that no stranger is ever taken.

    Trainers leave by themselves when their supervisor dies. This is for one that cannot, because it holds the GIL where
    there is no PR_SET_PDEATHSIG, and for what it has started.
    """

    def __init__(self, path: pathlib.Path, *, mark: str) -> None:
        self.mark = mark
        self._path = path
        self._lock = threading.Lock()
        self._starts: dict[str, str] = {}

    def add(self, pid: int) -> None:
        """Remembers a trainer that has just been started."""
        process = processes.find(pid)
        with self._lock:
            self._starts[str(pid)] = process.start if process is not None else ""
            self._write()

    def remove(self, pid: int) -> None:
        """Forgets one that is gone, with all its descendants."""
        with self._lock:
            self._starts.pop(str(pid), None)
            self._write()

    def end_predecessors(self) -> int:
        """Kills the trainers that an earlier supervisor recorded and left; returns how many processes they were."""
        record = self._read()
        killed = 0
        for pid, start in record.get("starts", {}).items():
            killed += _end_session(int(pid), start=start, mark=record.get("mark", ""))
        self._write()
        return killed

    def _read(self) -> dict[str, Any]:
        try:
            record = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return record if isinstance(record, dict) and record.get("boot") == processes.boot_id() else {}

    def _write(self) -> None:
        record = {"boot": processes.boot_id(), "mark": self.mark, "starts": self._starts}
        draft = self._path.with_suffix(".new")
        draft.write_text(json.dumps(record), encoding="utf-8")
        draft.replace(self._path)


def _end_session(leader_pid: int, *, start: str, mark: str) -> int:
    leader = processes.find(leader_pid)
    if leader is not None:
        return processes.kill_session(leader_pid) if leader.start == start else 0
    # Without the leader its number may have been given to somebody else meanwhile: only the mark proves kinship.
    variable = f"{MARK_VARIABLE}={mark}"
    return processes.kill([p for p in processes.session_of(leader_pid) if processes.carries(p, variable=variable)])

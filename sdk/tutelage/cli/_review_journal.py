"""The journal of a reviewer: what was decided is on disk before it is sent; nothing is lost, nothing is doubled.

One file a review and key, JSON lines, appended and synced: decisions with the request id that they are sent with, what
became of each, and unfinished judgements. Whoever comes back after a cut line, a kill or a shutdown reads it, sends
again what was not answered, under the same request id, and goes on.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import uuid
from collections.abc import Mapping
from typing import IO, Any, Self

SUBMIT, SKIP, UNDO = "submit", "skip", "undo"
# Unfinished judgements that are kept; their seats may never come back.
DRAFTS_MAX = 20


@dataclasses.dataclass
class Decision:
    """One thing to tell the service: a vote, a skipped seat, or a vote taken back.

    `subject` is the name of a seat or a vote, or the id of the decision whose answer will name it.
    """

    kind: str
    subject: str
    judgement: dict[str, Any] = dataclasses.field(default_factory=dict)
    active_seconds: float = 0.0
    scripted: bool = False
    id: str = dataclasses.field(default_factory=lambda: str(uuid.uuid4()))
    tries: int = dataclasses.field(default=0, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """Returns what the journal keeps of it."""
        content = dataclasses.asdict(self)
        del content["tries"]
        return content


class Journal:
    """The file, with what follows from it: decisions without an answer, answers by decision, unfinished judgements.

    Raises: BusyJournal if another process has it open.
    """

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self.pending: list[Decision] = []
        self.answers: dict[str, str] = {}
        self.drafts: dict[str, dict[str, Any]] = {}
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = lock(path.with_suffix(".lock"))
        self._read()
        self._begin_anew()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()
        self._lock.close()

    def decide(self, decision: Decision) -> None:
        """Keeps a decision; when this returns, no crash can lose it."""
        self._append({"decision": decision.to_dict()})
        self.pending.append(decision)
        self.drafts.pop(decision.subject, None)

    def answer(self, decision: Decision, name: str) -> None:
        """Keeps what a decision became: the name of the vote, or of the seat; nothing for one that was refused."""
        self._append({"answer": decision.id, "name": name})
        self._take({"answer": decision.id, "name": name})

    def draft(self, seat: str, judgement: Mapping[str, Any]) -> None:
        """Keeps an unfinished judgement."""
        self.drafts[seat] = dict(judgement)
        self._append({"draft": seat, "judgement": dict(judgement)})

    def _append(self, record: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(record, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def _read(self) -> None:
        """Reads what is there. A line that a crash cut short says nothing: its decision was never shown as taken."""
        if not self.path.exists():
            return
        for line in self.path.read_bytes().splitlines(keepends=True):
            if not line.endswith(b"\n"):
                return
            with contextlib.suppress(ValueError):
                self._take(json.loads(line))

    def _take(self, record: Mapping[str, Any]) -> None:
        if "decision" in record:
            decision = Decision(**record["decision"])
            self.pending.append(decision)
            self.drafts.pop(decision.subject, None)
        elif "answer" in record:
            self.pending = [decision for decision in self.pending if decision.id != record["answer"]]
            self.answers[record["answer"]] = record["name"]
            if record["answer"] in self.drafts:  # of a seat that had no name before its vote was taken back
                self.drafts[record["name"]] = self.drafts.pop(record["answer"])
        elif "draft" in record:
            self.drafts[record["draft"]] = record["judgement"]

    def _begin_anew(self) -> None:
        """Replaces the file by what still matters, so that it does not grow for ever."""
        new = self.path.with_suffix(".new")
        with new.open("wb") as self._file:
            new.chmod(0o600)
            self.drafts = dict(list(self.drafts.items())[-DRAFTS_MAX:])
            for name, judgement in self.drafts.items():
                self._append({"draft": name, "judgement": judgement})
            for id, name in self.answers.items() if self.pending else ():
                self._append({"answer": id, "name": name})
            for decision in self.pending:
                self._append({"decision": decision.to_dict()})
        new.replace(self.path)
        sync_folder(self.path.parent)
        self._file = self.path.open("ab")


def sync_folder(folder: pathlib.Path) -> None:
    """Lets the names in a folder survive a power cut; without it the new file could lose its name with all in it."""
    with contextlib.suppress(OSError):  # Windows opens no folders
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class BusyJournal(OSError):
    """Another process reviews the same review with the same key on this machine."""


def lock(path: pathlib.Path) -> IO[bytes]:
    """Returns a file that this process alone holds. Raises: BusyJournal."""
    file = path.open("ab")
    try:
        import fcntl
    except ImportError:  # Windows: a journal is not guarded there
        return file
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise BusyJournal("this review is open in another terminal; leave it there with Q") from error
    return file


def journal_path(*, address: str, api_key: str, review: str, environment: Mapping[str, str]) -> pathlib.Path:
    """Returns where the journal of a review is kept; the public part of the key tells reviewers apart."""
    home = environment.get("XDG_STATE_HOME") or pathlib.Path.home() / ".local" / "state"
    who = "\n".join((address, api_key.rpartition("_")[0], review))
    name = hashlib.sha256(who.encode()).hexdigest()[:24]
    return pathlib.Path(home) / "tutelage" / "reviews" / f"{name}.jsonl"

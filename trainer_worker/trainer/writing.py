"""The trainer's side of storing checkpoints: in this process, or in another one while training goes on."""

import contextlib
import json
import pathlib
import select
import subprocess
import sys
from collections.abc import Iterator
from typing import Protocol

from artifacts import NoSpace, Store, StoreUnavailable
from trainer_worker.trainer.snapshots import NotKept, Outcome, Stored, outcome_of, store_snapshot

COMMAND = (sys.executable, "-m", "trainer_worker.trainer.writer")


class Storing(Protocol):
    """Stores one snapshot at a time."""

    def begin(self, prefix: str, snapshot: pathlib.Path) -> None:
        """Takes a snapshot to be stored; the one before it must have come to its end."""

    def outcome(self, *, wait_s: float) -> Outcome | None:
        """What became of the snapshot; None if that is not known after so many seconds."""

    def close(self) -> None:
        """Ends what was started for it."""


class StoringHere:
    """Stores in this process, while training waits."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.found: Outcome | None = None

    def begin(self, prefix: str, snapshot: pathlib.Path) -> None:
        try:
            self.found = Stored(store_snapshot(self.store, prefix, snapshot))
        except (NoSpace, StoreUnavailable) as error:
            self.found = NotKept(why=str(error), full=isinstance(error, NoSpace))

    def outcome(self, *, wait_s: float) -> Outcome | None:
        return self.found

    def close(self) -> None:
        """Nothing was started."""


class StoringProcess:
    """Stores in a process of its own, which is started with the first snapshot, and again if it has died."""

    def __init__(self, artifacts_url: str) -> None:
        self.artifacts_url = artifacts_url
        self.process: subprocess.Popen[bytes] | None = None

    def begin(self, prefix: str, snapshot: pathlib.Path) -> None:
        order = json.dumps({"prefix": prefix, "snapshot": str(snapshot)}).encode() + b"\n"
        if self.process is not None and self.process.poll() is not None:
            self.end()  # it died while there was nothing to do: the next one takes over
        with contextlib.suppress(BrokenPipeError):  # it dies just now: `outcome` finds the end of its output
            process = self.living()
            assert process.stdin is not None
            process.stdin.write(order)
            process.stdin.flush()

    def living(self) -> "subprocess.Popen[bytes]":
        if self.process is None:
            command = [*COMMAND, self.artifacts_url]
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return self.process

    def outcome(self, *, wait_s: float) -> Outcome | None:
        process = self.living()
        assert process.stdout is not None
        readable, _, _ = select.select([process.stdout], [], [], wait_s)
        if not readable:
            return None
        line = process.stdout.readline()
        if line.endswith(b"\n"):
            return outcome_of(line)
        return NotKept(why=f"the process that stores checkpoints {self.end()}", full=False)

    def end(self) -> str:
        """Buries the process, and says how it ended."""
        process, self.process = self.living(), None
        for stream in (process.stdin, process.stdout):
            with contextlib.suppress(BrokenPipeError):
                stream and stream.close()
        process.kill()
        code = process.wait()
        return f"was ended by signal {-code}" if code < 0 else f"exited with {code}"

    def close(self) -> None:
        if self.process is not None:
            self.end()


@contextlib.contextmanager
def closing(storing: Storing) -> Iterator[Storing]:
    """Ends the process of a run when the run ends, however it does."""
    try:
        yield storing
    finally:
        storing.close()

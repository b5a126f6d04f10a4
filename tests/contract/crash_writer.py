"""Writes to a store and is killed before its n-th system call; run as a program by test_artifacts_crash.py.

`python -m tests.contract.crash_writer URL ACT N`. It prints the calls that it got to, and exits 0 if they were fewer
than N. The seam is the `os` module: the store has no fault points of its own.
"""

import os
import pathlib
import signal
import sys
from collections.abc import Callable
from typing import Any

import artifacts

CALLS = ["open", "write", "fchmod", "fsync", "close", "mkdir", "link", "unlink", "rename", "rmdir"]
FILES = {"model.safetensors": b"weights" * 1000, "state.json": b"{}"}


def main(url: str, act: str, kill_at: int) -> None:
    """Does one act on the store."""
    reached: list[str] = []
    for name in CALLS:
        setattr(os, name, counted(name, getattr(os, name), reached, kill_at))
    store = artifacts.open_store(url)
    if act == "put":
        store.put("datasets/d/text", b"hello" * 1000)
    elif act == "write":
        store.write_file_set("checkpoints/j/e1/step-1", fill)
    else:
        store.delete_all("checkpoints/j/e1/step-1")
    sys.stdout.write("\n".join(reached))


def fill(folder: pathlib.Path) -> None:
    """Writes the files of the set."""
    for name, data in FILES.items():
        (folder / name).write_bytes(data)


def counted(name: str, call: Callable[..., Any], reached: list[str], kill_at: int) -> Callable[..., Any]:
    """Returns the call with the guillotine before it."""

    def act(*arguments: Any, **keywords: Any) -> Any:
        if len(reached) + 1 == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        what = str(arguments[0]) if name in {"open", "mkdir", "link", "rename", "unlink"} else ""
        answer = call(*arguments, **keywords)
        if name == "open":
            KINDS[answer] = what
        reached.append(f"{name} {what or KINDS.get(arguments[0], '')}".strip())
        return answer

    return act


KINDS: dict[int, str] = {}

if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))

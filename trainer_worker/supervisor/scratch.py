"""The scratch folder: one supervisor owns it, and finds in it what its predecessor has left."""

import contextlib
import fcntl
import os
import pathlib
import shutil
from collections.abc import Iterator


class ScratchTakenError(Exception):
    """Another supervisor uses this scratch folder."""


class ScratchUnusableError(Exception):
    """The scratch folder cannot be made or written."""


@contextlib.contextmanager
def owned(scratch_dir: pathlib.Path) -> Iterator[None]:
    """Holds the folder's lock for as long as this process lives. Raises ScratchTakenError, ScratchUnusableError."""
    try:
        scratch_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        fd = os.open(scratch_dir / "supervisor.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ScratchUnusableError(f"{scratch_dir}: {error.strerror}") from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise ScratchTakenError(f"another supervisor uses {scratch_dir}") from error
    try:
        yield
    finally:
        os.close(fd)


def clear_attempts(scratch_dir: pathlib.Path) -> None:
    """Removes what attempts have left: facts of a dead supervisor will be computed again, and never reported twice."""
    for name in ("attempts", "temporary"):
        shutil.rmtree(scratch_dir / name, ignore_errors=True)
    for name in ("attempts", "temporary", "cache", "inductor"):
        (scratch_dir / name).mkdir(exist_ok=True, mode=0o700)

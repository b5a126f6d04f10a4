"""The logs of the children: one file each, of bounded size, with one older file beside it."""

import contextlib
import os
import pathlib
import shutil

SIZE_BYTES_MAX = 10 * 2**20


def open_for(name: str, folder: pathlib.Path) -> int:
    """Opens a log for a child. It appends, so that the file may be cut under its hands."""
    return os.open(folder / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def rotate(folder: pathlib.Path, *, size_bytes_max: int = SIZE_BYTES_MAX) -> None:
    """Copies each log that has grown too large aside and empties it.

    The child keeps its open file and needs to know nothing; lines that it writes between copy and cut are lost.
    """
    for path in folder.glob("*.log"):
        with contextlib.suppress(OSError):
            if path.stat().st_size > size_bytes_max:
                shutil.copyfile(path, path.with_suffix(".log.1"))
                os.truncate(path, 0)


def last_lines(name: str, folder: pathlib.Path, *, count: int = 15) -> str:
    """Returns the end of a log, for a person to read."""
    path = folder / f"{name}.log"
    with contextlib.suppress(OSError), path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 16384))
        return "\n".join(file.read().decode(errors="replace").splitlines()[-count:])
    return ""

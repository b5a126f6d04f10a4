"""The secrets by which the rooms of one house know one another, made once."""

import contextlib
import os
import pathlib
import secrets

ROOMS = ("gateway", "worker", "sampler", "principal", "services")
SECRET_BYTES = 32


def make_missing(folder: pathlib.Path) -> None:
    """Writes every secret that is not there yet; none is ever changed."""
    for room in ROOMS:
        if not (folder / room).exists():
            _write_once(folder / room, secrets.token_hex(SECRET_BYTES))


def write_private(path: pathlib.Path, text: str) -> None:
    """Replaces a file by one that only its owner can read, in one step."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()
    file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(file, "w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)


def _write_once(path: pathlib.Path, text: str) -> None:
    """A crash between the steps leaves no empty secret: the name appears with the content."""
    write_private(path, text)

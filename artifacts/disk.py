"""Durable steps on a POSIX file system, each one system call or a few, none of them following a symbolic link.

Folders are walked by file descriptor, segment by segment, so that a link put in the way is refused and not followed.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import pathlib
import re
import stat
from collections.abc import Iterator
from typing import BinaryIO

from artifacts.errors import ArtifactError, NoSpace

CHUNK_BYTES = 1 << 20
NO_FOLLOW = os.O_NOFOLLOW | os.O_CLOEXEC
FULL = (errno.ENOSPC, errno.EDQUOT)
# Libraries in Rust (safetensors, tokenizers) wrap the error of the system in their own, with its number in the words.
FULL_IN_WORDS = re.compile(rf"\(os error ({errno.ENOSPC}|{errno.EDQUOT})\)")


@contextlib.contextmanager
def no_space_is_told() -> Iterator[None]:
    """Turns a full disk or quota into NoSpace, whoever met it."""
    try:
        yield
    except ArtifactError:
        raise
    except Exception as error:
        if (isinstance(error, OSError) and error.errno in FULL) or FULL_IN_WORDS.search(str(error)):
            raise NoSpace(f"no room left for artifacts: {error}") from error
        raise


@contextlib.contextmanager
def opened_folder(root: pathlib.Path, segments: list[str], *, create: bool) -> Iterator[int]:
    """Yields a descriptor of a folder below root. Raises: FileNotFoundError, NotADirectoryError for a link or file."""
    if create:
        root.mkdir(parents=True, exist_ok=True)
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for segment in segments:
            if create:
                make_folder(segment, inside=folder)
            inner = os.open(segment, os.O_RDONLY | os.O_DIRECTORY | NO_FOLLOW, dir_fd=folder)
            os.close(folder)
            folder = inner
        yield folder
    finally:
        os.close(folder)


def make_folder(name: str, *, inside: int) -> None:
    """Makes a folder that survives a power cut; one that is there is left alone."""
    try:
        os.mkdir(name, dir_fd=inside)
    except FileExistsError:
        return
    flush(inside)


def create_file(name: str, data: bytes | BinaryIO, *, inside: int) -> tuple[int, str]:
    """Writes a new read-only file durably; returns its size and SHA-256."""
    file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | NO_FOLLOW, 0o600, dir_fd=inside)
    try:
        digest, size_bytes = hashlib.sha256(), 0
        for chunk in chunks(data):
            digest.update(chunk)
            size_bytes += len(chunk)
            write_all(file, chunk)
        os.fchmod(file, 0o444)
        flush(file)
    finally:
        os.close(file)
    return size_bytes, digest.hexdigest()


def write_all(file: int, data: bytes) -> None:
    """Writes every byte, however few the system takes at once."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]


def chunks(data: bytes | BinaryIO) -> Iterator[bytes]:
    """Yields data in pieces that fit into memory."""
    if isinstance(data, bytes | bytearray | memoryview):
        yield bytes(data)
        return
    while chunk := data.read(CHUNK_BYTES):
        yield chunk


def seal_file(name: str, *, inside: int) -> tuple[int, str]:
    """Makes a file that somebody else has written read-only and durable; returns its size and SHA-256."""
    file = os.open(name, os.O_RDONLY | NO_FOLLOW, dir_fd=inside)
    try:
        measured = measure(file)
        os.fchmod(file, 0o444)
        flush(file)
    finally:
        os.close(file)
    return measured


def measure_file(name: str, *, inside: int) -> tuple[int, str]:
    """Returns size and SHA-256 of a file. Raises: FileNotFoundError, OSError for a link."""
    file = os.open(name, os.O_RDONLY | NO_FOLLOW, dir_fd=inside)
    try:
        return measure(file)
    finally:
        os.close(file)


def measure(file: int) -> tuple[int, str]:
    """Returns size and SHA-256 of an open regular file, read from its beginning."""
    if not stat.S_ISREG(os.fstat(file).st_mode):
        raise ArtifactError("not a regular file")
    digest, size_bytes = hashlib.sha256(), 0
    while chunk := os.read(file, CHUNK_BYTES):
        digest.update(chunk)
        size_bytes += len(chunk)
    return size_bytes, digest.hexdigest()


def flush(descriptor: int) -> None:
    """Hands a file or folder to the disk; on macOS only F_FULLFSYNC reaches the platter."""
    if hasattr(fcntl, "F_FULLFSYNC"):
        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
    else:
        os.fsync(descriptor)

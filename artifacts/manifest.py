"""The manifest of a file set: the name, size and hash of every file, and one hash over them all."""

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterable
from typing import Any

from artifacts.errors import CorruptFileSet, InvalidKey
from artifacts.keys import check_file_name
from artifacts.promise import FileSet, StoredFile

NAME = "manifest.json"
SIZE_BYTES_MAX = 16 * 2**20  # a hundred thousand files; a checkpoint has five
SHA256 = re.compile(r"[0-9a-f]{64}")


def write(entries: Iterable[StoredFile]) -> bytes:
    """Returns the bytes of a manifest; the same files give the same bytes."""
    files = [dataclasses.asdict(entry) for entry in sorted(entries)]
    return json.dumps({"files": files}, separators=(",", ":")).encode()


def read(data: bytes, *, prefix: str) -> list[StoredFile]:
    """Returns the files of a manifest. Raises: CorruptFileSet if it is none, or names what no store would write."""
    try:
        document = json.loads(data)
        entries = [_entry(item) for item in document["files"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CorruptFileSet(f"the manifest of {prefix} cannot be read: {error}") from error
    if not entries or len({entry.name for entry in entries}) != len(entries):
        raise CorruptFileSet(f"the manifest of {prefix} names no file, or one of them twice")
    return entries


def describe(data: bytes, *, prefix: str) -> FileSet:
    """Returns the file set that a manifest speaks of. Raises: CorruptFileSet."""
    size_bytes = sum(entry.size_bytes for entry in read(data, prefix=prefix))
    return FileSet(prefix, hashlib.sha256(data).hexdigest(), size_bytes)


def expect(data: bytes, *, prefix: str, sha256: str) -> list[StoredFile]:
    """Returns the files of the manifest with this hash. Raises: CorruptFileSet if it is another one."""
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise CorruptFileSet(f"the manifest of {prefix} has the hash {found}, not {sha256}")
    return read(data, prefix=prefix)


def _entry(item: dict[str, Any]) -> StoredFile:
    name, size_bytes, sha256 = item["name"], item["size_bytes"], item["sha256"]
    if type(size_bytes) is not int or size_bytes < 0 or not SHA256.fullmatch(sha256):
        raise InvalidKey(f"size or hash of {name!r} is wrong")
    if check_file_name(name) == NAME:
        raise InvalidKey("a manifest does not name itself")
    return StoredFile(name, size_bytes, sha256)

"""Unpacks the files of a model from an uncompressed tar archive, and nothing else that such a file can hold.

An archive comes from a stranger: it may hold paths that lead elsewhere, links, devices, holes that unpack to terabytes,
headers that fill the memory, and the same name twice.
"""

import os
import pathlib
import re
import tarfile
from collections.abc import Generator, Iterator
from typing import BinaryIO

from trainer_worker.trainer.engine.errors import UnusableData

CHUNK_BYTES = 1 << 20
HEADER_BYTES_MAX = 1 << 20  # a name of 255 characters takes less than 1 kB
FILES_MAX = 1_000  # a model of 8 B weights has four shards, the largest published ones about 200
DEPTH_MAX = 8
SEGMENT = re.compile(r"[^\x00-\x1f\x7f/\\]{1,200}")
SEGMENT_BYTES_MAX = 255  # what file systems take
COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PK": "zip",
}


class Guarded:
    """A file of which nobody reads more at once than a header or a piece may have."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.seek, self.tell, self.close = file.seek, file.tell, file.close

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= max(HEADER_BYTES_MAX, CHUNK_BYTES):
            raise UnusableData(f"the archive has a header of {size:,} bytes, and {HEADER_BYTES_MAX:,} are allowed")
        return self.file.read(size)


def unpack(archive: pathlib.Path, folder: pathlib.Path) -> Generator[None, None, None]:
    """Writes the files of an archive into an empty folder; yields after each piece, as a sign of life.

    Raises: UnusableData naming the member that is not allowed, or if the file is no uncompressed tar archive.
    """
    refuse_compressed(archive)
    seen: dict[str, bool] = {}  # path → whether it is a folder
    try:
        with archive.open("rb") as file, tarfile.open(fileobj=Guarded(file), mode="r:") as members:  # type: ignore[call-overload]
            for member in members:
                path = checked(member, seen)
                if member.isfile():
                    (folder / path).parent.mkdir(parents=True, exist_ok=True)
                    yield from copied(members, member, folder / path)
    except (tarfile.TarError, ValueError, OverflowError, RecursionError) as error:
        raise UnusableData(f"the archive cannot be read: {error}") from error
    if False not in seen.values():
        raise UnusableData("the archive holds no files")


def refuse_compressed(archive: pathlib.Path) -> None:
    with archive.open("rb") as file:
        beginning = file.read(8)
    for magic, name in COMPRESSED.items():
        if beginning.startswith(magic):
            help = "Pack the files with `tar -cf`, without compression: weights hardly become smaller."
            raise UnusableData(f"the archive is compressed with {name}", help=help)


def checked(member: tarfile.TarInfo, seen: dict[str, bool]) -> str:
    """The path of a member, below the folder. Raises: UnusableData naming it if it is not allowed."""
    shown = ascii(member.name)[:200]
    if not member.isfile() and not member.isdir():
        raise UnusableData(f"the archive holds {shown}, which is neither a file nor a folder")
    if member.issparse() or member.size < 0:
        raise UnusableData(f"the archive holds {shown}, which has holes")
    segments = [segment for segment in member.name.split("/") if segment != "."]
    if member.isdir() and not any(segments):
        return "."
    if not 1 <= len(segments) <= DEPTH_MAX or not all(map(is_name, segments)):
        raise UnusableData(f"the archive holds {shown}, which is not a path inside a folder")
    path = "/".join(segments)
    if path in seen and not (member.isdir() and seen[path]):
        raise UnusableData(f"the archive holds {shown} twice")
    above = ["/".join(segments[:end]) for end in range(1, len(segments))]
    if not all(seen.setdefault(parent, True) for parent in above):
        raise UnusableData(f"the archive holds {shown} inside of a file")
    seen[path] = member.isdir()
    if len(seen) > FILES_MAX:
        raise UnusableData(f"the archive holds more than {FILES_MAX:,} files")
    return path


def is_name(segment: str) -> bool:
    """Whether a file or folder can be called so, and nothing else is meant by it."""
    return bool(SEGMENT.fullmatch(segment)) and segment != ".." and len(os.fsencode(segment)) <= SEGMENT_BYTES_MAX


def copied(members: tarfile.TarFile, member: tarfile.TarInfo, path: pathlib.Path) -> Iterator[None]:
    left = member.size
    source = members.extractfile(member)
    with path.open("xb") as target:
        while left and source is not None:
            piece = source.read(min(left, CHUNK_BYTES))
            if not piece:
                raise UnusableData(f"the archive ends inside of {ascii(member.name)[:200]}")
            left -= target.write(piece)
            yield


def folder_with(folder: pathlib.Path, names: tuple[str, ...]) -> pathlib.Path:
    """The one folder, of those nearest to the top, that holds a file of one of these names.

    Raises: UnusableData if there is none, or more than one.
    """
    found = {path.parent for name in names for path in folder.rglob(name) if path.is_file()}
    if not found:
        raise UnusableData(f"the archive holds no {' or '.join(names)}")
    depth = min(len(path.parts) for path in found)
    nearest = sorted(path for path in found if len(path.parts) == depth)
    if len(nearest) > 1:
        held = ", ".join(str(path.relative_to(folder)) for path in nearest[:5])
        raise UnusableData(f"the archive holds {len(nearest)} models: {held}", help="Upload one archive for each.")
    return nearest[0]

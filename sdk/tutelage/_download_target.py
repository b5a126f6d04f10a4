"""A file that is being downloaded: checked by its hash, and there under its name only when it is whole."""

import hashlib
import pathlib
from typing import BinaryIO

from tutelage._errors import DataLoss, local_refusal
from tutelage._values.jobs import JobFile

PIECE_BYTES = 1024 * 1024


class DownloadTarget:
    """One file of a job in a folder. What an earlier try left half done is gone on with.

    Raises: InvalidArgument for a name that leads out of the folder, FileExistsError if a file of that name with other
    content is there and `overwrite` is not set.
    """

    def __init__(self, folder: pathlib.Path, file: JobFile, *, overwrite: bool) -> None:
        self.file = file
        self.path = place_of(folder, file.filename)
        self._part = self.path.with_name(f".{self.path.name}.{file.sha256[:16]}.part")
        self._digest = hashlib.sha256()
        self._open: BinaryIO | None = None
        self.is_there = self.path.is_file() and sha256_of(self.path) == file.sha256
        if self.path.exists() and not self.is_there and not overwrite:
            raise FileExistsError(f"{self.path} is there already with other content")
        self.received_bytes = file.size_bytes if self.is_there else self._begin()

    def _begin(self) -> int:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self._part.exists() and self._part.stat().st_size > self.file.size_bytes:
            self._part.unlink()
        self._open = self._part.open("ab+")
        self._open.seek(0)
        received_bytes = 0
        while piece := self._open.read(PIECE_BYTES):
            self._digest.update(piece)
            received_bytes += len(piece)
        return received_bytes

    def write(self, data: bytes) -> None:
        """Takes in the next bytes."""
        assert self._open is not None, "nothing is missing from a file that is there"
        if self.received_bytes + len(data) > self.file.size_bytes:
            self.drop()
            raise DataLoss(f"{self.file.filename} is longer than the {self.file.size_bytes:,} bytes that were promised")
        self._open.write(data)
        self._digest.update(data)
        self.received_bytes += len(data)

    def finish(self) -> pathlib.Path:
        """Gives the file its name and returns its path. Raises: DataLoss if the bytes are not those promised."""
        if not self.is_there:
            self.close()
            if self._digest.hexdigest() != self.file.sha256:
                self.drop()
                raise DataLoss(f"{self.file.filename} did not arrive as it was sent: its sha256 differs; try again")
            self._part.replace(self.path)
        return self.path

    def drop(self) -> None:
        """Throws away what has arrived, which is damaged."""
        self.close()
        self._part.unlink(missing_ok=True)

    def close(self) -> None:
        """Lets go of the file. What has arrived stays, for the next try."""
        if self._open is not None:
            self._open.close()


def place_of(folder: pathlib.Path, filename: str) -> pathlib.Path:
    """Returns where a file goes. The name comes from the service: it may not lead anywhere else."""
    parts = filename.split("/")
    strange = any(part in ("", ".", "..") or not part.isprintable() or set(part) & set("\\\\:") for part in parts)
    path = folder.joinpath(*parts) if not strange else folder
    if strange or folder.resolve() not in path.resolve().parents:
        raise local_refusal("filename", f"the service names a file {filename!r}, which would not lie in {folder}")
    return path


def sha256_of(path: pathlib.Path) -> str:
    """Returns the hash of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

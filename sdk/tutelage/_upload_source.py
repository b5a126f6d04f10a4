"""The bytes of an upload, readable from any place, by any thread, as often as it takes."""

import hashlib
import io
import os
import pathlib
import shutil
import tempfile
import threading
import uuid
from collections.abc import Iterator
from typing import BinaryIO

# The service takes messages of at most 1 MiB.
PIECE_BYTES = 1024 * 1024
SPOOL_BYTES_MAX = 8 * 1024 * 1024
NAMESPACE = uuid.UUID("2f6ed6d4-30f1-4c9a-9a35-7c4c6b5f9c57")


class UploadSource:
    """An open file with its size and hash. A path is opened, bytes are wrapped, a pipe is copied to a file first."""

    def __init__(self, source: str | os.PathLike[str] | bytes | BinaryIO) -> None:
        self.filename = ""
        self._lock = threading.Lock()
        self._file = self._open(source)
        self.size_bytes = self._file.seek(0, io.SEEK_END)
        self._file.seek(0)
        digest = hashlib.file_digest(self._file, "sha256")  # type: ignore[arg-type]
        self.sha256 = digest.hexdigest()

    def _open(self, source: str | os.PathLike[str] | bytes | BinaryIO) -> BinaryIO:
        if isinstance(source, bytes):
            return io.BytesIO(source)
        if isinstance(source, str | os.PathLike):
            self.filename = sendable_name(source)
            return pathlib.Path(source).open("rb")
        name = getattr(source, "name", "")
        self.filename = sendable_name(name) if isinstance(name, str) and not name.startswith("<") else ""
        spool = tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES_MAX)  # noqa: SIM115 - closed by close()
        shutil.copyfileobj(source, spool)
        return spool  # type: ignore[return-value]

    def close(self) -> None:
        """Lets go of the file. A file that the caller opened stays open: its content was copied."""
        self._file.close()

    def pieces(self, offset: int) -> Iterator[tuple[int, bytes]]:
        """Yields offset and bytes of each message from an offset on.

        An abandoned call may still read while the next one begins, so that each reading says where.
        """
        while offset < self.size_bytes:
            with self._lock:
                self._file.seek(offset)
                data = self._file.read(min(PIECE_BYTES, self.size_bytes - offset))
            if not data:
                raise OSError(
                    f"the file became shorter while it was uploaded: {offset} of {self.size_bytes} bytes are left"
                )
            yield offset, data
            offset += len(data)

    def request_id(self, dataset_id: str, *, validation_fraction: float | None) -> str:
        """Returns an id that is the same for the same upload in another process, which can then continue it."""
        content = (dataset_id, self.sha256, self.size_bytes, self.filename, validation_fraction)
        return str(uuid.uuid5(NAMESPACE, repr(content)))


def sendable_name(path: str | os.PathLike[str]) -> str:
    """Returns the last part of a path. A name may hold bytes that are not UTF-8; a message may not."""
    return os.fsencode(pathlib.Path(path).name).decode("utf-8", "replace")

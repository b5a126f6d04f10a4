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

from tutelage._errors import local_refusal
from tutelage._model_files import open_model_folder

# The service takes messages of at most 1 MiB.
PIECE_BYTES = 1024 * 1024
SPOOL_BYTES_MAX = 8 * 1024 * 1024
FORMATS = ("text", "jsonl", "parquet", "model-files", "tokenizer")
BY_SUFFIX = {".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet", ".tar": "model-files"}
NAMESPACE = uuid.UUID("2f6ed6d4-30f1-4c9a-9a35-7c4c6b5f9c57")


class UploadSource:
    """An open file with its size, hash and format.

    A path is opened, a folder is read as an archive, bytes are wrapped, a pipe is copied to a file first. Raises:
    InvalidArgument for a format that does not exist or a folder that holds no model.
    """

    def __init__(self, source: str | os.PathLike[str] | bytes | BinaryIO, *, format: str | None = None) -> None:
        self.filename = ""
        if format is not None and format not in FORMATS:
            raise local_refusal("format", f"{format!r} is none of {', '.join(FORMATS)}")
        self._lock = threading.Lock()
        self._file = self._open(source)
        self.size_bytes = self._file.seek(0, io.SEEK_END)
        self._file.seek(0)
        digest = hashlib.file_digest(self._file, "sha256")  # type: ignore[arg-type]
        self.sha256 = digest.hexdigest()
        is_folder = isinstance(source, str | os.PathLike) and pathlib.Path(source).is_dir()
        self.format = format or ("model-files" if is_folder else format_of(self.filename))

    def _open(self, source: str | os.PathLike[str] | bytes | BinaryIO) -> BinaryIO:
        if isinstance(source, bytes):
            return io.BytesIO(source)
        if isinstance(source, str | os.PathLike):
            path = pathlib.Path(source)
            self.filename = sendable_name(path.absolute())
            return open_model_folder(path) if path.is_dir() else path.open("rb")
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
        content = (dataset_id, self.sha256, self.size_bytes, self.filename, validation_fraction, self.format)
        return str(uuid.uuid5(NAMESPACE, repr(content)))


def format_of(filename: str) -> str:
    """Returns what a file of this name holds; text, unless the name says otherwise."""
    if filename == "tokenizer.json":
        return "tokenizer"
    return BY_SUFFIX.get(pathlib.PurePath(filename).suffix.lower(), "text")


def sendable_name(path: str | os.PathLike[str]) -> str:
    """Returns the last part of a path. A name may hold bytes that are not UTF-8; a message may not."""
    return os.fsencode(pathlib.Path(path).name).decode("utf-8", "replace")

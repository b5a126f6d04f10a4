"""The files of a model as one uncompressed tar archive, which is read out of the folder and never lies on the disk."""

import bisect
import errno
import io
import pathlib
from typing import BinaryIO

from tutelage._errors import local_refusal

CONFIGS = ("config.json", "adapter_config.json")
# What belongs to a model in a folder of Hugging Face; the rest (READMEs, training state) stays where it is.
SUFFIXES = (".json", ".safetensors", ".jinja")
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
BLOCK = 512
NAME_BYTES_MAX = 100
SIZE_BYTES_MAX = 8**11
BUFFER_BYTES = 1024 * 1024


def is_model_folder(path: pathlib.Path) -> bool:
    """Says whether a folder looks like one of a model, or of a PEFT adapter."""
    return path.is_dir() and any((path / name).is_file() for name in CONFIGS)


def open_model_folder(path: pathlib.Path) -> BinaryIO:
    """Returns the archive of a folder: its files sorted by name, without owners and times.

    The same files so make the same bytes, and an upload that broke off goes on. Raises: InvalidArgument for a folder
    that holds no model, or its weights in pickle files only.
    """
    if not is_model_folder(path):
        raise local_refusal("source", f"{path} holds neither {' nor '.join(CONFIGS)}: it is no folder of a model")
    there = (file for file in path.iterdir() if file.suffix in SUFFIXES and file.name[0] != "." and file.is_file())
    files = sorted(there)
    if not any(file.suffix == ".safetensors" for file in files):
        pickled = sorted(file.name for file in path.iterdir() if file.suffix in PICKLES)
        found = f"; {pickled[0]} is a pickle file, which can run code: save it as safetensors" if pickled else ""
        raise local_refusal("source", f"{path} holds no .safetensors file{found}")
    return io.BufferedReader(FolderArchive(files), BUFFER_BYTES)


class FolderArchive(io.RawIOBase):
    """A tar archive of some files, read in place."""

    def __init__(self, files: list[pathlib.Path]) -> None:
        super().__init__()
        self._starts: list[int] = []
        self._parts: list[tuple[int, bytes | pathlib.Path]] = []
        self._size = 0
        self._place = 0
        self._open: tuple[pathlib.Path, BinaryIO] | None = None
        for file in files:
            size = file.stat().st_size
            self._append(BLOCK, header(file.name, size))
            self._append(size, file)
            self._append(-size % BLOCK, bytes(-size % BLOCK))
        self._append(2 * BLOCK, bytes(2 * BLOCK))

    def _append(self, size: int, content: bytes | pathlib.Path) -> None:
        if size:
            self._starts.append(self._size)
            self._parts.append((size, content))
            self._size += size

    def readable(self) -> bool:
        """Says that it can be read."""
        return True

    def seekable(self) -> bool:
        """Says that it can be read from any place."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Goes to a place."""
        self._place = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        return self._place

    def tell(self) -> int:
        """Returns the place."""
        return self._place

    def readinto(self, buffer: "memoryview") -> int:  # type: ignore[override]
        """Reads at most as much as the buffer holds, and no further than one part goes."""
        if self._place >= self._size:
            return 0
        number = bisect.bisect_right(self._starts, self._place) - 1
        size, content = self._parts[number]
        offset = self._place - self._starts[number]
        wanted = min(len(buffer), size - offset)
        piece = content[offset : offset + wanted] if isinstance(content, bytes) else self._read(content, offset, wanted)
        buffer[: len(piece)] = piece
        self._place += len(piece)
        return len(piece)

    def _read(self, path: pathlib.Path, offset: int, size: int) -> bytes:
        if self._open is None or self._open[0] != path:
            self._let_go()
            self._open = (path, path.open("rb"))
        file = self._open[1]
        file.seek(offset)
        if not (piece := file.read(size)):
            raise OSError(errno.EIO, "the file became shorter while it was read", str(path))
        return piece

    def _let_go(self) -> None:
        if self._open is not None:
            self._open[1].close()
            self._open = None

    def close(self) -> None:
        """Closes the file that was read last."""
        self._let_go()
        super().close()


def header(name: str, size: int) -> bytes:
    """Returns the block that goes before a file: a plain one of nobody, without a time.

    Source: POSIX.1-1988, "ustar interchange format". Raises: InvalidArgument for what does not fit into it.
    """
    encoded = name.encode("utf-8", "surrogateescape")
    if len(encoded) > NAME_BYTES_MAX or size >= SIZE_BYTES_MAX:
        raise local_refusal("source", f"{name!r} of {size:,} bytes does not fit into an archive")
    numbers = (0o644, 0, 0)  # mode, owner, group
    block = encoded.ljust(NAME_BYTES_MAX, b"\0") + b"".join(b"%07o\0" % number for number in numbers)
    block += b"%011o\0%011o\0" % (size, 0)  # size, time
    rest = b"0" + bytes(100) + b"ustar\x0000"  # a plain file, no link
    rest = rest.ljust(BLOCK - len(block) - 8, b"\0")
    checksum = sum(block) + sum(rest) + 8 * ord(" ")
    return block + b"%06o\0 " % checksum + rest

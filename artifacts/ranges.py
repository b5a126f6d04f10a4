"""A part of a stream, read as if it were a file."""

import io
from typing import BinaryIO


class RangeReader(io.RawIOBase):
    """Reads at most so many bytes of a file, from where it stands, and closes it."""

    def __init__(self, file: BinaryIO, length: int) -> None:
        """Takes the file over."""
        self._file, self._left = file, length

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: "memoryview[int] | bytearray") -> int:  # type: ignore[override]
        """Fills the buffer as far as the part goes."""
        data = self._file.read(min(len(buffer), self._left))
        buffer[: len(data)] = data
        self._left -= len(data)
        return len(data)

    def close(self) -> None:
        """Closes the file too."""
        self._file.close()
        super().close()


class ChunkReader(io.RawIOBase):
    """Reads pieces that arrive one by one."""

    def __init__(self, pieces: "object") -> None:
        """Takes anything that can be iterated over and yields bytes."""
        self._pieces = iter(pieces)  # type: ignore[call-overload]
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: "memoryview[int] | bytearray") -> int:  # type: ignore[override]
        """Gives what is there, or waits for the next piece that is not empty."""
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = memoryview(bytes(piece))
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count

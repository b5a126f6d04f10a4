"""What every store promises, whatever keeps the bytes."""

import dataclasses
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO, Protocol


@dataclasses.dataclass(frozen=True)
class Stored:
    """Bytes that lie under a key; `sha256` is hexadecimal."""

    key: str
    size_bytes: int
    sha256: str


@dataclasses.dataclass(frozen=True)
class FileSet:
    """Files that were stored together; `size_bytes` counts them without their manifest."""

    prefix: str
    manifest_sha256: str
    size_bytes: int


@dataclasses.dataclass(frozen=True, order=True)
class StoredFile:
    """One file of a file set; `sha256` is hexadecimal."""

    name: str
    size_bytes: int
    sha256: str


class Store(Protocol):
    """Keeps bytes that never change.

    A writer that dies at any moment leaves the old state: nothing half-written is ever visible, and nothing is left
    under the key. Methods block; call them in threads from async code. Every method may raise StoreUnavailable, and
    InvalidKey for a key outside the grammar.
    """

    def put(self, key: str, data: bytes | BinaryIO) -> Stored:
        """Stores bytes durably under a free key. Raises: AlreadyStored, NoSpace."""
        ...

    def open(self, key: str, *, offset: int = 0, length: int | None = None) -> BinaryIO:
        """Opens bytes for reading from `offset`, at most `length` of them. Raises: NotStored."""
        ...

    def size(self, key: str) -> int:
        """Returns the number of bytes under a key. Raises: NotStored."""
        ...

    def keys(self, prefix: str) -> Iterator[str]:
        """Yields in order the keys in the folder `prefix`, or `prefix` itself if it is a key; all keys for ''."""
        ...

    def delete(self, key: str) -> None:
        """Removes bytes; a key that holds nothing is no error."""
        ...

    def delete_all(self, prefix: str) -> None:
        """Removes everything in the folder `prefix`; '' is refused. A file set disappears as a whole."""
        ...

    def free_bytes(self) -> int | None:
        """Returns the room that is left, or None where that is unknown."""
        ...

    def write_file_set(self, prefix: str, fill: Callable[[pathlib.Path], None]) -> FileSet:
        """Stores the files that `fill` writes into an empty folder, all of them or none.

        Raises: AlreadyStored, NoSpace, InvalidKey for a file name outside the grammar, and what `fill` raises.
        """
        ...

    def find_file_set(self, prefix: str) -> FileSet | None:
        """Returns what the manifest says, or None if there is none. Raises: CorruptFileSet if it cannot be read."""
        ...

    def files(self, prefix: str, *, manifest_sha256: str) -> Sequence[StoredFile]:
        """Returns the files that the manifest names. Raises: NotStored, CorruptFileSet if it is another manifest."""
        ...

    def open_file(self, prefix: str, file: StoredFile, *, offset: int = 0) -> BinaryIO:
        """Opens one file of a file set for reading from `offset`; it is not hashed again. Raises: NotStored."""
        ...

    def read_file_set(self, prefix: str, *, manifest_sha256: str, scratch: pathlib.Path) -> pathlib.Path:
        """Returns a folder with the files, every one hashed again; do not write into it.

        A store elsewhere downloads below `scratch`, and finds its own earlier download there.
        Raises: NotStored, CorruptFileSet, NoSpace.
        """
        ...

    def remove_leftovers(self, *, older_than_s: float) -> int:
        """Removes what writers that died have left behind out of sight; returns how many pieces."""
        ...

"""A store in a local directory.

Everything is written in the hidden folder `.staging` of the same file system, handed to the disk, and then given its
name by one link or rename. Committed files are 0444 and never written again: readers may map them into memory.
"""

import contextlib
import errno
import os
import pathlib
import shutil
import stat
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO, cast

from artifacts import disk, manifest
from artifacts.errors import AlreadyStored, ArtifactError, CorruptFileSet, InvalidKey, NotStored, StoreUnavailable
from artifacts.keys import check_file_name, check_key, check_prefix
from artifacts.promise import FileSet, Stored, StoredFile
from artifacts.ranges import RangeReader

STAGING = ".staging"
TAKEN = (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR)


class DirectoryStore:
    """Keeps bytes below one folder of the local file system."""

    def __init__(self, root: pathlib.Path) -> None:
        """Touches nothing; the folder is made by the first write."""
        self._root = root

    def put(self, key: str, data: bytes | BinaryIO) -> Stored:
        """See Store."""
        *parents, name = check_key(key).split("/")
        with _told(key), self._staging() as staging:
            self._refuse_taken(key)
            temporary = uuid.uuid4().hex
            try:
                size_bytes, sha256 = disk.create_file(temporary, data, inside=staging)
                with disk.opened_folder(self._root, parents, create=True) as parent:
                    os.link(temporary, name, src_dir_fd=staging, dst_dir_fd=parent, follow_symlinks=False)
                    disk.flush(parent)
            finally:
                _remove_file(temporary, inside=staging)
        return Stored(key, size_bytes, sha256)

    def open(self, key: str, *, offset: int = 0, length: int | None = None) -> BinaryIO:
        """See Store."""
        file = self._open_file(key)
        file.seek(offset)
        return file if length is None else cast(BinaryIO, RangeReader(file, length))

    def size(self, key: str) -> int:
        """See Store."""
        with self._open_file(key) as file:
            return os.fstat(file.fileno()).st_size

    def keys(self, prefix: str) -> Iterator[str]:
        """See Store."""
        top = self._path(check_prefix(prefix))
        if top.is_file() and not top.is_symlink():
            yield prefix
        found = (path for path in top.rglob("[!.]*") if path.is_file() and not path.is_symlink())
        names = (path.relative_to(self._root).as_posix() for path in found)
        yield from sorted(name for name in names if not name.startswith(STAGING))

    def delete(self, key: str) -> None:
        """See Store."""
        *parents, name = check_key(key).split("/")
        with contextlib.suppress(FileNotFoundError), _told(key), self._folder(parents) as parent:
            os.unlink(name, dir_fd=parent)
            disk.flush(parent)

    def delete_all(self, prefix: str) -> None:
        """See Store. The folder leaves sight by one rename, then its files are removed."""
        *parents, name = check_key(prefix.removesuffix("/")).split("/")
        temporary = uuid.uuid4().hex
        with contextlib.suppress(FileNotFoundError), _told(prefix), self._folder(parents) as parent:
            with self._staging() as staging:
                os.rename(name, temporary, src_dir_fd=parent, dst_dir_fd=staging)
            disk.flush(parent)
        _remove(self._root / STAGING / temporary)

    def free_bytes(self) -> int | None:
        """See Store."""
        place = next(folder for folder in (self._root, *self._root.parents) if folder.exists())
        facts = os.statvfs(place)
        return facts.f_bavail * facts.f_frsize

    def write_file_set(self, prefix: str, fill: Callable[[pathlib.Path], None]) -> FileSet:
        """See Store."""
        *parents, name = check_key(prefix).split("/")
        temporary = uuid.uuid4().hex
        with _told(prefix), self._staging() as staging:
            self._refuse_taken(prefix)
            os.mkdir(temporary, dir_fd=staging)
            try:
                written = self._fill(prefix, temporary, fill)
                with disk.opened_folder(self._root, parents, create=True) as parent:
                    os.rename(temporary, name, src_dir_fd=staging, dst_dir_fd=parent)
                    disk.flush(parent)
            finally:
                _remove(self._root / STAGING / temporary)
        return written

    def find_file_set(self, prefix: str) -> FileSet | None:
        """See Store."""
        try:
            return manifest.describe(self._read_manifest(prefix), prefix=prefix)
        except NotStored:
            return None

    def files(self, prefix: str, *, manifest_sha256: str) -> Sequence[StoredFile]:
        """See Store."""
        return sorted(manifest.expect(self._read_manifest(prefix), prefix=prefix, sha256=manifest_sha256))

    def open_file(self, prefix: str, file: StoredFile, *, offset: int = 0) -> BinaryIO:
        """See Store."""
        return self.open(f"{prefix}/{check_file_name(file.name)}", offset=offset)

    def read_file_set(self, prefix: str, *, manifest_sha256: str, scratch: pathlib.Path) -> pathlib.Path:
        """See Store. The folder is the store's own: `scratch` is not used."""
        entries = manifest.expect(self._read_manifest(prefix), prefix=prefix, sha256=manifest_sha256)
        with disk.opened_folder(self._root, prefix.split("/"), create=False) as folder:
            verify(folder, entries, prefix=prefix)
        return self._path(prefix)

    def remove_leftovers(self, *, older_than_s: float) -> int:
        """See Store."""
        removed = 0
        for path in (self._root / STAGING).glob("*"):
            with contextlib.suppress(FileNotFoundError):
                if path.lstat().st_mtime <= time.time() - older_than_s:
                    _remove(path)
                    removed += 1
        return removed

    def _fill(self, prefix: str, temporary: str, fill: Callable[[pathlib.Path], None]) -> FileSet:
        """Fills a staging folder and makes it durable, manifest last."""
        fill(self._root / STAGING / temporary)
        with disk.opened_folder(self._root, [STAGING, temporary], create=False) as folder:
            entries = [seal(entry, inside=folder) for entry in sorted(os.scandir(folder), key=lambda item: item.name)]
            content = manifest.write(entries)
            disk.create_file(manifest.NAME, content, inside=folder)
            disk.flush(folder)
        return manifest.describe(content, prefix=prefix)

    def _read_manifest(self, prefix: str) -> bytes:
        with self._open_file(f"{check_key(prefix)}/{manifest.NAME}") as file:
            return file.read(manifest.SIZE_BYTES_MAX)

    def _open_file(self, key: str) -> BinaryIO:
        *parents, name = check_key(key).split("/")
        try:
            with disk.opened_folder(self._root, parents, create=False) as parent:
                file = os.open(name, os.O_RDONLY | disk.NO_FOLLOW, dir_fd=parent)
        except OSError as error:
            raise _absent(key, error) from error
        if not stat.S_ISREG(os.fstat(file).st_mode):
            os.close(file)
            raise NotStored(f"{key} is a folder")
        return os.fdopen(file, "rb")

    def _folder(self, segments: list[str]) -> contextlib.AbstractContextManager[int]:
        return disk.opened_folder(self._root, segments, create=False)

    @contextlib.contextmanager
    def _staging(self) -> Iterator[int]:
        with disk.opened_folder(self._root, [STAGING], create=True) as staging:
            yield staging

    def _refuse_taken(self, key: str) -> None:
        """Refuses early, before much is written; link and rename decide."""
        if os.path.lexists(self._path(key)):
            raise AlreadyStored(f"{key} is stored already")

    def _path(self, key: str) -> pathlib.Path:
        return self._root.joinpath(*key.split("/"))


def seal(item: "os.DirEntry[str]", *, inside: int) -> StoredFile:
    """Makes one file of a filled folder durable. Raises: InvalidKey for what does not belong into a file set."""
    if check_file_name(item.name) == manifest.NAME or not item.is_file(follow_symlinks=False):
        raise InvalidKey(f"a file set holds plain files and writes its own manifest; {item.name!r} is neither")
    return StoredFile(item.name, *disk.seal_file(item.name, inside=inside))


def verify(folder: int, entries: list[StoredFile], *, prefix: str) -> None:
    """Hashes every file of a folder again. Raises: CorruptFileSet at the first that is not as the manifest says."""
    names = {entry.name for entry in entries} | {manifest.NAME}
    if strangers := set(os.listdir(folder)) - names:
        raise CorruptFileSet(f"{prefix} holds files that its manifest does not name: {sorted(strangers)[:5]}")
    for entry in entries:
        try:
            found = disk.measure_file(entry.name, inside=folder)
        except OSError as error:
            raise CorruptFileSet(f"{entry.name} of {prefix} cannot be read: {os.strerror(error.errno or 0)}") from error
        if found != (entry.size_bytes, entry.sha256):
            raise CorruptFileSet(f"{entry.name} of {prefix} has {found[0]} bytes and the hash {found[1]}, not {entry}")


@contextlib.contextmanager
def _told(key: str) -> Iterator[None]:
    """Turns errors of the file system into the store's own."""
    try:
        with disk.no_space_is_told():
            yield
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno in TAKEN:
            raise AlreadyStored(f"{key} is stored already, or a part of it is") from error
        if error.errno == errno.ELOOP:
            raise ArtifactError(f"there is a symbolic link in the way of {key}") from error
        raise StoreUnavailable(f"{key} cannot be written: {os.strerror(error.errno or 0)}") from error


def _absent(key: str, error: OSError) -> ArtifactError:
    if isinstance(error, FileNotFoundError | NotADirectoryError) or error.errno == errno.ELOOP:
        return NotStored(f"{key} is not stored")
    return StoreUnavailable(f"{key} cannot be read: {os.strerror(error.errno or 0)}")


def _remove_file(name: str, *, inside: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=inside)


def _remove(path: pathlib.Path) -> None:
    """Removes a file or folder out of sight, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)

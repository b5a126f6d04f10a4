"""A store in an S3 bucket.

One object is put conditionally (`If-None-Match`). Large ones are uploaded in parts under a hidden staging key and then
copied to their own, on the same condition: Amazon S3 decides it when the copy is completed; other servers may let two
copies that end in the same instant both pass, and the bytes of one of them stay. The files of a file set lie under
their hashes, so that two writers of one prefix cannot spoil one another; the manifest comes last, conditionally, and
makes the set visible.
"""

import contextlib
import hashlib
import io
import itertools
import os
import pathlib
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO, cast

import obstore
from obstore.store import S3Store

from artifacts import disk, manifest
from artifacts.directory import STAGING, seal, verify
from artifacts.errors import AlreadyStored, CorruptFileSet, NotStored, StoreUnavailable
from artifacts.keys import check_key, check_prefix
from artifacts.promise import FileSet, Stored, StoredFile
from artifacts.ranges import ChunkReader

PART_BYTES = 8 * 2**20  # S3 allows 10,000 parts: 80 GB, well above the 5 GB that one conditional copy may have
PARTS_AT_ONCE = 4


class BucketStore:
    """Keeps bytes in a bucket."""

    def __init__(self, bucket: S3Store) -> None:
        """Connects at the first call."""
        self._bucket = bucket

    def put(self, key: str, data: bytes | BinaryIO) -> Stored:
        """See Store."""
        check_key(key)
        pieces = disk.chunks(data)
        beginning = _take(pieces, size_bytes=PART_BYTES + 1)
        with _told(key):
            if len(beginning) <= PART_BYTES:
                obstore.put(self._bucket, key, beginning, mode="create")
                return Stored(key, len(beginning), hashlib.sha256(beginning).hexdigest())
            self._refuse_taken(key)
            return self._put_large(key, itertools.chain([beginning], pieces))

    def open(self, key: str, *, offset: int = 0, length: int | None = None) -> BinaryIO:
        """See Store."""
        wanted = self.size(key) - offset if length is None else min(length, self.size(key) - offset)
        if wanted <= 0:
            return io.BytesIO()
        with _told(key):
            answer = obstore.get(self._bucket, key, options={"range": (offset, offset + wanted)})
            return cast(BinaryIO, io.BufferedReader(ChunkReader(answer.stream())))

    def size(self, key: str) -> int:
        """See Store."""
        with _told(key):
            return int(obstore.head(self._bucket, check_key(key))["size"])

    def keys(self, prefix: str) -> Iterator[str]:
        """See Store."""
        bare = check_prefix(prefix)
        with _told(prefix):
            found = [item["path"] for page in obstore.list(self._bucket, prefix=bare or None) for item in page]
        if bare and bare not in found:
            with contextlib.suppress(NotStored):
                self.size(bare)
                found.append(bare)
        yield from sorted(path for path in found if not path.startswith(STAGING))

    def delete(self, key: str) -> None:
        """See Store."""
        with contextlib.suppress(NotStored), _told(key):
            obstore.delete(self._bucket, check_key(key))

    def delete_all(self, prefix: str) -> None:
        """See Store. Manifests go first, so that no file set is ever seen in part."""
        bare = check_key(prefix.removesuffix("/"))
        found = sorted(self.keys(bare), key=lambda key: not key.endswith(manifest.NAME))
        for _, group in itertools.groupby(found, key=lambda key: key.endswith(manifest.NAME)):
            with _told(prefix):
                obstore.delete(self._bucket, list(group))

    def free_bytes(self) -> int | None:
        """See Store. A bucket does not say."""
        return None

    def write_file_set(self, prefix: str, fill: Callable[[pathlib.Path], None]) -> FileSet:
        """See Store. The files are written to the folder for temporary files first."""
        check_key(prefix)
        self._refuse_taken(f"{prefix}/{manifest.NAME}")
        with disk.no_space_is_told(), tempfile.TemporaryDirectory(prefix="tutelage-") as temporary:
            folder = pathlib.Path(temporary)
            fill(folder)
            with disk.opened_folder(folder, [], create=False) as descriptor:
                entries = [seal(item, inside=descriptor) for item in sorted(os.scandir(folder), key=lambda i: i.name)]
            content = manifest.write(entries)
            written = manifest.describe(content, prefix=prefix)
            for entry in entries:
                self._upload(prefix, entry, folder)
            with _told(prefix):
                obstore.put(self._bucket, f"{prefix}/{manifest.NAME}", content, mode="create")
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
        return self.open(_file_key(prefix, file), offset=offset)

    def read_file_set(self, prefix: str, *, manifest_sha256: str, scratch: pathlib.Path) -> pathlib.Path:
        """See Store."""
        content = self._read_manifest(prefix)
        entries = manifest.expect(content, prefix=prefix, sha256=manifest_sha256)
        target = scratch / f"fileset-{manifest_sha256}"
        if not target.exists():
            with disk.no_space_is_told():
                self._download_all(prefix, content, entries, target)
        with disk.opened_folder(target, [], create=False) as folder:
            try:
                verify(folder, entries, prefix=prefix)
            except CorruptFileSet:
                shutil.rmtree(target, ignore_errors=True)
                raise
        return target

    def remove_leftovers(self, *, older_than_s: float) -> int:
        """See Store. Parts of uploads that were never completed are the bucket's own business (lifecycle rule)."""
        with _told(STAGING):
            found = [item for page in obstore.list(self._bucket, prefix=STAGING) for item in page]
            old = [item["path"] for item in found if item["last_modified"].timestamp() <= time.time() - older_than_s]
            if old:
                obstore.delete(self._bucket, old)
        return len(old)

    def _put_large(self, key: str, pieces: Iterator[bytes]) -> Stored:
        counted = _Counted(pieces)
        staging = f"{STAGING}/{uuid.uuid4().hex}"
        try:
            obstore.put(self._bucket, staging, counted, chunk_size=PART_BYTES, max_concurrency=PARTS_AT_ONCE)
            obstore.copy(self._bucket, staging, key, overwrite=False)
        finally:
            with contextlib.suppress(FileNotFoundError, obstore.exceptions.BaseError):
                obstore.delete(self._bucket, staging)
        return Stored(key, counted.size_bytes, counted.digest.hexdigest())

    def _upload(self, prefix: str, entry: StoredFile, folder: pathlib.Path) -> None:
        """Uploads one file under its hash; one that is there already, by its size, is left alone."""
        key = _file_key(prefix, entry)
        with _told(key):
            with contextlib.suppress(NotStored):
                if self.size(key) == entry.size_bytes:
                    return
            with (folder / entry.name).open("rb") as file:
                obstore.put(self._bucket, key, file, chunk_size=PART_BYTES, max_concurrency=PARTS_AT_ONCE)
            if self.size(key) != entry.size_bytes:
                raise StoreUnavailable(f"{key} arrived with another size")

    def _download_all(self, prefix: str, content: bytes, entries: list[StoredFile], target: pathlib.Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = pathlib.Path(tempfile.mkdtemp(prefix="download-", dir=target.parent))
        try:
            (temporary / manifest.NAME).write_bytes(content)
            for entry in entries:
                self._download(prefix, entry, temporary)
            with contextlib.suppress(FileExistsError):
                temporary.rename(target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def _download(self, prefix: str, entry: StoredFile, folder: pathlib.Path) -> None:
        key = _file_key(prefix, entry)
        try:
            with _told(key), disk.opened_folder(folder, [], create=False) as descriptor:
                answer = obstore.get(self._bucket, key)
                source = cast(BinaryIO, io.BufferedReader(ChunkReader(answer.stream())))
                found = disk.create_file(entry.name, source, inside=descriptor)
        except NotStored as error:
            raise CorruptFileSet(f"{entry.name} of {prefix} is gone") from error
        if found != (entry.size_bytes, entry.sha256):
            raise CorruptFileSet(f"{entry.name} of {prefix} has {found[0]} bytes and the hash {found[1]}, not {entry}")

    def _read_manifest(self, prefix: str) -> bytes:
        with self.open(f"{check_key(prefix)}/{manifest.NAME}", length=manifest.SIZE_BYTES_MAX) as file:
            return file.read()

    def _refuse_taken(self, key: str) -> None:
        """Refuses early, before much is sent; the conditional put decides."""
        with contextlib.suppress(NotStored):
            self.size(key)
            raise AlreadyStored(f"{key} is stored already")


class _Counted:
    """Counts and hashes what passes."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self.digest, self.size_bytes = pieces, hashlib.sha256(), 0

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            self.digest.update(piece)
            self.size_bytes += len(piece)
            yield piece


def _take(pieces: Iterator[bytes], *, size_bytes: int) -> bytes:
    """Returns at least so many bytes from the front, or all there are."""
    taken = bytearray()
    while len(taken) < size_bytes and (piece := next(pieces, None)) is not None:
        taken += piece
    return bytes(taken)


def _file_key(prefix: str, entry: StoredFile) -> str:
    return f"{prefix}/{entry.sha256}/{entry.name}"


@contextlib.contextmanager
def _told(key: str) -> Iterator[None]:
    """Turns errors of the bucket into the store's own; its words may hold a host name and stay in the log."""
    try:
        yield
    except FileNotFoundError as error:
        raise NotStored(f"{key} is not stored") from error
    except (obstore.exceptions.AlreadyExistsError, obstore.exceptions.PreconditionError) as error:
        raise AlreadyStored(f"{key} is stored already") from error
    except obstore.exceptions.BaseError as error:
        raise StoreUnavailable(f"the bucket failed at {key}: {type(error).__name__}") from error

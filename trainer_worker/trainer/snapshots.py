"""What the trainer and the writer of its checkpoints have in common: a folder to be stored, and what became of it.

A snapshot is a folder on the disk of the worker that holds the files of a checkpoint. Nothing about it is durable: what
dies with the trainer is cleared away with its other temporary files.
"""

import contextlib
import dataclasses
import errno
import json
import os
import pathlib
import shutil

from artifacts import AlreadyStored, FileSet, Store
from trainer_worker.trainer.engine.faultpoints import faultpoint


@dataclasses.dataclass(frozen=True)
class Stored:
    """A snapshot that lies complete in the artifact store."""

    files: FileSet


@dataclasses.dataclass(frozen=True)
class NotKept:
    """A snapshot that was not stored. `full`: there was no room for it."""

    why: str
    full: bool


Outcome = Stored | NotKept


def store_snapshot(store: Store, prefix: str, snapshot: pathlib.Path) -> FileSet:
    """Stores the files of a snapshot under a prefix, all or none. The snapshot stays.

    What this attempt has stored under the prefix before is the same state, and stands.
    Raises: artifacts.NoSpace, artifacts.StoreUnavailable.
    """

    def fill(folder: pathlib.Path) -> None:
        for path in sorted(snapshot.iterdir()):
            link_or_copy(path, folder / path.name)
        faultpoint("writer_filled")

    try:
        return store.write_file_set(prefix, fill)
    except AlreadyStored:
        files = store.find_file_set(prefix)
        if files is None:
            raise
        return files


def link_or_copy(source: pathlib.Path, target: pathlib.Path) -> None:
    """On the same file system nothing is copied: a second name for the same bytes is enough."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP):
            raise
        shutil.copyfile(source, target)


def remove(snapshot: pathlib.Path) -> None:
    with contextlib.suppress(OSError):
        shutil.rmtree(snapshot)


def outcome_line(outcome: Outcome) -> bytes:
    """An outcome as one line of JSON, for the pipe between writer and trainer."""
    return json.dumps(dataclasses.asdict(outcome)).encode() + b"\n"


def outcome_of(line: bytes) -> Outcome:
    """The outcome in a line. Raises: ValueError, KeyError, TypeError if it is none."""
    values = json.loads(line)
    return Stored(FileSet(**values["files"])) if "files" in values else NotKept(**values)

"""The folder that holds everything of one house, and the lock that keeps it to one parent."""

import contextlib
import fcntl
import hashlib
import os
import pathlib
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping

SOCKET_PATH_BYTES_MAX = 100  # the kernel refuses more than 107
LONGEST_SOCKET_NAME = "services-internal.sock"
FOLDERS = ("artifacts", "keys", "logs", "run", "scratch", "secrets", "valkey")


class StartRefused(Exception):
    """The house cannot be started as asked; the message says what would help."""


class DataFolder:
    """The paths of one data folder."""

    def __init__(self, root: pathlib.Path) -> None:
        """Touches nothing."""
        self.root = root
        self.database = root / "tutelage.db"
        self.artifacts = root / "artifacts"
        self.secrets = root / "secrets"
        self.admin_key = root / "keys" / "admin"
        self.profile = root / "profile.toml"
        self.processes = root / "run" / "processes.json"
        self.logs = root / "logs"
        self.scratch = root / "scratch"
        self.valkey = root / "valkey"

    def prepare(self) -> None:
        """Makes the folders, readable by their owner only. Raises: StartRefused."""
        try:
            for folder in (self.root, *(self.root / name for name in FOLDERS)):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StartRefused(f"the data folder {self.root} cannot be used: {error.strerror}") from error

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the folder; the kernel lets go of it when this process ends, however it ends.

        Raises: StartRefused with the id of the process that holds it.
        """
        with (self.root / "lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                raise StartRefused(
                    f"{self.root} is in use by process {lock.read().strip() or 'unknown'}: "
                    "stop that one first, or choose another folder with --data-dir"
                ) from None
            lock.truncate(0)
            lock.write(f"{os.getpid()}\n")
            lock.flush()
            yield

    def run_dir(self, environment: Mapping[str, str]) -> pathlib.Path:
        """Returns the folder of the sockets, a short one elsewhere if paths would be too long. Raises: StartRefused."""
        inside = self.root / "run"
        if len(os.fsencode(inside / LONGEST_SOCKET_NAME)) <= SOCKET_PATH_BYTES_MAX:
            return inside
        digest = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:12]
        for parent in (environment.get("XDG_RUNTIME_DIR"), tempfile.gettempdir(), "/tmp"):
            folder = pathlib.Path(parent or "/nonexistent") / f"tutelage-{os.getuid()}-{digest}"
            if len(os.fsencode(folder / LONGEST_SOCKET_NAME)) <= SOCKET_PATH_BYTES_MAX and folder.parent.is_dir():
                return _private(folder)
        raise StartRefused(f"{self.root} is too long a path for sockets: choose a shorter --data-dir")

    def remove_run_dir(self, run_dir: pathlib.Path) -> None:
        """Removes a folder of sockets that lies elsewhere; the one inside goes with the data folder."""
        if run_dir != self.root / "run":
            shutil.rmtree(run_dir, ignore_errors=True)


def _private(folder: pathlib.Path) -> pathlib.Path:
    """Makes a folder in a place that others may write to, and refuses one that is not ours alone."""
    folder.mkdir(mode=0o700, exist_ok=True)
    facts = folder.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid() or facts.st_mode & 0o077:
        raise StartRefused(f"{folder} is not a private folder of this user: remove it")
    return folder

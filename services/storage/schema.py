"""Brings a database to the present schema."""

import pathlib

import alembic.command
import alembic.config
import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from services.domain.errors import Unavailable

_MIGRATIONS = pathlib.Path(__file__).parent / "migrations"
RETRY_AFTER_S = 1.0
_LOCK = 0x7475_7465  # "tute": one migration at a time on PostgreSQL; SQLite's write lock does the same


def migrate(engine: sa.Engine) -> str:
    """Run the migrations that are missing, all or none, and return the revision. Several may be started at once.

    Raises: Unavailable.
    """
    check_answers(engine)
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text("SET LOCAL lock_timeout = 0"))
            connection.execute(sa.text("SET LOCAL statement_timeout = 0"))
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        config = _config()
        config.attributes["connection"] = connection
        alembic.command.upgrade(config, "head")
    return newest_revision()


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

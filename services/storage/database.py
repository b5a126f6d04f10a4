"""The engine: one database, SQLite or PostgreSQL, and how a transaction begins on each.

SQLite: write-ahead log; synchronous FULL, or an accepted job could vanish with the power; a writer takes the lock when
it begins, so that it never has to be refused in the middle. PostgreSQL: every wait has a limit, because a process that
is frozen inside a transaction would otherwise stop all others.
"""

import pathlib
from typing import Any

import sqlalchemy as sa

BUSY_TIMEOUT_S = 5.0
STATEMENT_TIMEOUT_S = 30.0
IDLE_TIMEOUT_S = 15.0
POOL_SIZE = 32  # threads that run verbs at the same time, and the caretakers
POOL_TIMEOUT_S = 5.0

_READS = "tutelage_reads"


def create_engine(url: str) -> sa.Engine:
    """Return an engine for `sqlite:////absolute/path` or `postgresql+psycopg://…`. Connects when first used.

    Raises: ValueError for another URL, without the password that may be in it.
    """
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        raise ValueError("it cannot be read as the URL of a database") from None
    if parsed.get_backend_name() == "sqlite":
        return _sqlite_engine(parsed)
    if parsed.drivername == "postgresql+psycopg":
        return _postgresql_engine(parsed)
    raise ValueError("it must begin with sqlite:/// or postgresql+psycopg://")


def reading(engine: sa.Engine) -> sa.Engine:
    """Return the same engine, whose transactions only read."""
    return (
        engine.execution_options(**{_READS: True}, postgresql_readonly=True, isolation_level="REPEATABLE READ")
        if (engine.dialect.name == "postgresql")
        else engine.execution_options(**{_READS: True})
    )


def _sqlite_engine(url: sa.URL) -> sa.Engine:
    if url.database and url.database != ":memory:":
        pathlib.Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(
        url,
        pool_size=POOL_SIZE,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT_S,
        hide_parameters=True,
        connect_args={"timeout": BUSY_TIMEOUT_S},
    )
    sa.event.listen(engine, "connect", _prepare_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself: `_begin_sqlite` does
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "temp_store = MEMORY"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: sa.Connection) -> None:
    if connection.get_execution_options().get(_READS):
        connection.exec_driver_sql("PRAGMA query_only = ON")
        connection.exec_driver_sql("BEGIN")
    else:
        connection.exec_driver_sql("PRAGMA query_only = OFF")
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _postgresql_engine(url: sa.URL) -> sa.Engine:
    limits = {
        "lock_timeout": BUSY_TIMEOUT_S,
        "statement_timeout": STATEMENT_TIMEOUT_S,
        "idle_in_transaction_session_timeout": IDLE_TIMEOUT_S,
    }
    options = " ".join(f"-c {name}={int(limit_s * 1000)}" for name, limit_s in limits.items())
    return sa.create_engine(
        url,
        pool_size=POOL_SIZE,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT_S,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args={"options": options, "connect_timeout": 5, "application_name": "tutelage"},
    )


def database_now(dialect: str) -> sa.ColumnElement[int]:
    """Return the expression for the time of the database in microseconds; not that of the transaction's start."""
    if dialect == "sqlite":  # unixepoch('subsec') would need SQLite 3.42
        return sa.cast((sa.func.julianday("now") - 2440587.5) * 86_400_000_000.0, sa.BigInteger)
    return sa.cast(sa.extract("epoch", sa.func.clock_timestamp()) * 1_000_000, sa.BigInteger)

"""A unit of work: one transaction with every keeper in it."""

import contextlib
import datetime
import functools
import logging
import threading
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from services.domain.errors import DomainError, NoSpace, Unavailable
from services.storage.aliases import Aliases
from services.storage.api_keys import ApiKeys
from services.storage.attempts import Attempts
from services.storage.audit import Audit
from services.storage.checkpoints import Checkpoints
from services.storage.counted_votes import CountedVotes
from services.storage.database import BUSY_TIMEOUT_S, create_engine, database_now, reading
from services.storage.datasets import Datasets
from services.storage.duels import Duels
from services.storage.events import Events
from services.storage.feedback_sets import FeedbackSets
from services.storage.jobs import Jobs
from services.storage.lineages import Lineages
from services.storage.metrics import Metrics
from services.storage.models import Models
from services.storage.outbox import Outbox
from services.storage.projects import Projects
from services.storage.requests import Requests
from services.storage.reviews import Reviews
from services.storage.seats import Seats
from services.storage.tables.columns import Instant
from services.storage.uploads import Uploads
from services.storage.votes import Votes
from services.storage.workers import Workers

RETRY_AFTER_S = 1.0

_log = logging.getLogger(__name__)


class SqlUnitOfWork:
    """Keepers over one connection. What is not committed is rolled back when the connection is returned."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self.jobs = Jobs(connection)
        self.attempts = Attempts(connection)
        self.events = Events(connection)
        self.metrics = Metrics(connection)
        self.checkpoints = Checkpoints(connection)
        self.outbox = Outbox(connection)
        self.workers = Workers(connection)
        self.requests = Requests(connection)
        self.datasets = Datasets(connection)
        self.uploads = Uploads(connection)
        self.models = Models(connection)
        self.projects = Projects(connection)
        self.api_keys = ApiKeys(connection)
        self.audit = Audit(connection)
        self.aliases = Aliases(connection)
        self.counted_votes = CountedVotes(connection)
        self.duels = Duels(connection)
        self.lineages = Lineages(connection)
        self.reviews = Reviews(connection)
        self.seats = Seats(connection)
        self.votes = Votes(connection)
        self.feedback_sets = FeedbackSets(connection)

    def now(self) -> datetime.datetime:
        """Return the time of the database."""
        return self._connection.execute(_select_now(self._connection.dialect.name)).scalar_one()

    def commit(self) -> None:
        """Make it so."""
        self._connection.commit()


@functools.cache
def _select_now(dialect: str) -> sa.Select[Any]:
    """Return the question for the time, which every transaction asks, and which is put together once."""
    return sa.select(sa.type_coerce(database_now(dialect), Instant))


class SqlStorage:
    """Opens units of work on one database."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine
        self._reading = reading(engine)
        self._turn = threading.Lock() if engine.dialect.name == "sqlite" else None

    @classmethod
    def at(cls, url: str) -> "SqlStorage":
        """Return the storage behind a database URL; connects when first used."""
        return cls(create_engine(url))

    @contextlib.contextmanager
    def read(self) -> Iterator[SqlUnitOfWork]:
        """Open a unit of work that only reads."""
        with _translated(), self._reading.connect() as connection:
            yield SqlUnitOfWork(connection)

    @contextlib.contextmanager
    def write(self) -> Iterator[SqlUnitOfWork]:
        """Open a unit of work that may write; begun at once, so that SQLite's lock is held from the start."""
        with _translated(), self._taking_turns(), self.engine.connect() as connection:
            connection.begin()
            yield SqlUnitOfWork(connection)

    def close(self) -> None:
        """Give every connection back."""
        self.engine.dispose()

    @contextlib.contextmanager
    def _taking_turns(self) -> Iterator[None]:
        """Let one thread of this process write to SQLite after the other.

        It has one writer anyway. Whoever finds it busy sleeps and looks again, up to a tenth of a second later, while
        others come in between; a lock wakes the one that waits at once.
        """
        if self._turn is None:
            yield
            return
        if not self._turn.acquire(timeout=BUSY_TIMEOUT_S):
            raise Unavailable("the database is busy just now", retry_after_s=RETRY_AFTER_S)
        try:
            yield
        finally:
            self._turn.release()


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Turn what a database says when it cannot serve into the words of the house."""
    try:
        yield
    except DomainError:
        raise
    except (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.TimeoutError) as error:
        _tell_operators(error)
        if _is_full(error):
            raise NoSpace("the database has no room left") from error
        raise Unavailable("the database does not answer just now", retry_after_s=RETRY_AFTER_S) from error
    except sa.exc.DBAPIError as error:
        _tell_operators(error)
        if error.connection_invalidated:
            raise Unavailable("the database has closed the connection", retry_after_s=RETRY_AFTER_S) from error
        raise


def _tell_operators(error: sa.exc.SQLAlchemyError) -> None:
    """Write down what the driver says. Callers are not told, and the values of the statement are nobody's business."""
    cause = getattr(error, "orig", None) or error
    _log.error("the database: %s: %s", type(cause).__name__, " ".join(str(cause).split()))


def _is_full(error: sa.exc.SQLAlchemyError) -> bool:
    cause = getattr(error, "orig", None)
    return getattr(cause, "sqlstate", "") == "53100" or "database or disk is full" in str(cause)

"""The whole of what verbs may use: storage, the bell, files, clock and dice."""

import contextlib
import dataclasses
import datetime
from typing import Protocol

from artifacts import Store
from services.domain.seals import Keys
from services.ports.feedback import FeedbackSets
from services.ports.jobs import Attempts, Checkpoints, Events, Jobs, Metrics, Outbox, Requests, Workers
from services.ports.judging import Aliases, CountedVotes, Duels, Lineages
from services.ports.reviews import Reviews, Seats, Votes
from services.ports.subjects import ApiKeys, Audit, Datasets, Models, Projects, Uploads


class UnitOfWork(Protocol):
    """One transaction with every keeper in it."""

    @property
    def jobs(self) -> Jobs: ...
    @property
    def attempts(self) -> Attempts: ...
    @property
    def events(self) -> Events: ...
    @property
    def metrics(self) -> Metrics: ...
    @property
    def checkpoints(self) -> Checkpoints: ...
    @property
    def outbox(self) -> Outbox: ...
    @property
    def workers(self) -> Workers: ...
    @property
    def requests(self) -> Requests: ...
    @property
    def datasets(self) -> Datasets: ...
    @property
    def uploads(self) -> Uploads: ...
    @property
    def models(self) -> Models: ...
    @property
    def projects(self) -> Projects: ...
    @property
    def api_keys(self) -> ApiKeys: ...
    @property
    def audit(self) -> Audit: ...
    @property
    def aliases(self) -> Aliases: ...
    @property
    def counted_votes(self) -> CountedVotes: ...
    @property
    def duels(self) -> Duels: ...
    @property
    def lineages(self) -> Lineages: ...
    @property
    def reviews(self) -> Reviews: ...
    @property
    def seats(self) -> Seats: ...
    @property
    def votes(self) -> Votes: ...
    @property
    def feedback_sets(self) -> FeedbackSets: ...

    def now(self) -> datetime.datetime:
        """Return the time of the database, in UTC: leases of all replicas are measured with this one clock."""
        ...

    def commit(self) -> None: ...


class Storage(Protocol):
    """Opens units of work. Raises: Unavailable when the database does not answer, NoSpace when it is full."""

    def read(self) -> contextlib.AbstractContextManager[UnitOfWork]:
        """Open one that only reads, and sees one state of everything."""
        ...

    def write(self) -> contextlib.AbstractContextManager[UnitOfWork]:
        """Open one that may write; what is not committed did not happen."""
        ...


class Dispatcher(Protocol):
    """Rings the doorbell of the workers. A bell carries a job's uid and no authority: it may be lost or doubled."""

    def ring(self, job_uid: str) -> None:
        """Ring once, without retries and within seconds. Raises: Unavailable."""
        ...


class Clock(Protocol):
    """Tells the time of this host; leases use the database's."""

    def now(self) -> datetime.datetime: ...

    def monotonic_s(self) -> float: ...


class Chance(Protocol):
    """Where what is new and what is random comes from."""

    def uid(self) -> str:
        """Return a UUID that was never used."""
        ...

    def seed(self) -> int:
        """Return a number of 32 bits."""
        ...

    def jitter(self) -> float:
        """Return a number from -1 to 1."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class Leases:
    """How long a worker may be silent; told to it with each assignment."""

    lease_s: float = 30.0
    heartbeat_s: float = 5.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class House:
    """Everything that a verb may use; made once, by `services.wiring`."""

    storage: Storage
    dispatcher: Dispatcher
    store: Store
    clock: Clock
    chance: Chance
    keys: Keys
    leases: Leases
    version: str

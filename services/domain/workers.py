"""Workers and queues: the machines behind the jobs."""

import dataclasses
import datetime
import enum


@dataclasses.dataclass(frozen=True, kw_only=True)
class WorkerInfo:
    """A supervisor, as it describes itself."""

    id: str
    slots: int
    slots_used: int
    device: str
    version: str
    draining: bool = False


class WorkerState(enum.Enum):
    """Whether a worker takes jobs."""

    READY = "READY"
    DRAINING = "DRAINING"
    LOST = "LOST"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Worker:
    """A supervisor as the house knows it; `jobs` are those of the caller's project that it holds, by name."""

    info: WorkerInfo
    state: WorkerState
    create_time: datetime.datetime
    heartbeat_time: datetime.datetime
    jobs: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Its resource name."""
        return f"workers/{self.info.id}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Queue:
    """A line of jobs, counted over all projects."""

    id: str
    waiting_jobs: int
    held_jobs: int
    oldest_wait_s: float

    @property
    def name(self) -> str:
        """Its resource name."""
        return f"queues/{self.id}"


def worker_state(
    *, draining: bool, heartbeat_time: datetime.datetime, now: datetime.datetime, lease_s: float
) -> WorkerState:
    """Return the state of a worker: lost when it was not heard from for longer than a lease."""
    if (now - heartbeat_time).total_seconds() > lease_s:
        return WorkerState.LOST
    return WorkerState.DRAINING if draining else WorkerState.READY

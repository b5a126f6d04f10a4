"""The machines behind the service."""

import dataclasses
import datetime
from collections.abc import Mapping

from tutelage._values.training import Preset
from tutelage._values.value import Value, WireEnum


class WorkerState(WireEnum):
    """Whether a worker takes jobs."""

    UNSPECIFIED = "UNSPECIFIED"
    """Never sent."""
    READY = "READY"
    """Takes jobs."""
    DRAINING = "DRAINING"
    """Finishes what it has and takes no more."""
    LOST = "LOST"
    """Was not heard from for longer than a lease."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServerInfo(Value):
    """What a server offers."""

    version: str
    """Version of the software."""
    presets: tuple[Preset, ...]
    """Ready-made shapes."""
    limits: Mapping[str, float]
    """Limits by name, as in services/domain/limits.py."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Worker(Value):
    """A supervisor and its trainers."""

    name: str
    """`workers/{worker}`."""
    state: WorkerState
    """Whether it takes jobs."""
    slots: int
    """Jobs that it can run at the same time."""
    slots_used: int
    """Jobs that it runs now."""
    device: str
    """Device, such as "cpu" or "cuda:NVIDIA H200"."""
    version: str
    """Version of the software."""
    heartbeat_time: datetime.datetime | None
    """When it was last heard from."""
    create_time: datetime.datetime | None
    """When it started."""
    jobs: tuple[str, ...]
    """Jobs of the caller's project that it holds, by name."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Queue(Value):
    """A line of jobs."""

    name: str
    """`queues/{queue}`."""
    waiting_jobs: int
    """Jobs that wait."""
    held_jobs: int
    """Jobs that a worker holds."""
    oldest_wait_seconds: float
    """Age of the job that has waited longest, in seconds."""

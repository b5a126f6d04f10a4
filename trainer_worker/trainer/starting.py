"""How long a trainer takes to its first step, part by part, from its birth or from its job if it was born before."""

import os
import pathlib
import time
from collections.abc import Iterator

from trainer_worker.trainer.telling import Told, info
from tutelage_internal.v1 import pipe_pb2

STAT = pathlib.Path("/proc/self/stat")


class Start:
    """Marks where the start has come to; tells it once the first step is done."""

    def __init__(self) -> None:
        self.parts = {"python_seconds": age_s()}
        self.since = time.monotonic()
        self.beginning = "the trainer was started"
        self.told = False

    def mark(self, part: str) -> None:
        """Ends a part of the start."""
        now = time.monotonic()
        self.parts[f"{part}_seconds"], self.since = now - self.since, now

    def begin_again(self) -> None:
        """Forgets what was done, and waited, before there was a job: nobody has waited for that."""
        self.parts, self.since = {}, time.monotonic()
        self.beginning = "a trainer that was started in advance got its job"

    def watch(self, told: Told) -> Iterator[Told]:
        """Finds the ends of the last parts in what the recipe tells."""
        if self.told or not isinstance(told, pipe_pb2.Progress):
            return
        if told.section == pipe_pb2.SECTION_FIRST_STEP:
            self.mark("preparation")
        elif told.section == pipe_pb2.SECTION_STEP:
            self.mark("first_step")
            self.told = True
            yield self.note()

    def note(self) -> Told:
        total_s = sum(self.parts.values())
        details = {part: f"{seconds:.3f}" for part, seconds in self.parts.items()}
        message = f"The first step was done {total_s:.1f} s after {self.beginning}."
        return info("started", message, details | {"total_seconds": f"{total_s:.3f}"})


def age_s() -> float:
    """How long this process has lived, in seconds; 0 where the kernel does not say."""
    try:
        started_ticks = int(STAT.read_text().rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return 0.0
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - started_ticks / os.sysconf("SC_CLK_TCK"))

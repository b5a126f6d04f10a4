"""The three clocks of a supervisor."""

import time


def now_s() -> float:
    """Seconds that do not pass while the machine sleeps: for hangs and graces, which are about work being done."""
    return time.monotonic()


def boottime_s() -> float:
    """Seconds that pass while the machine sleeps too: for silence, because a lease runs on while a laptop is closed."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.clock_gettime(time.CLOCK_MONOTONIC)  # macOS, whose monotonic clock counts sleep


class LastHeard:
    """When services were last known to hear this worker.

    Counted from the sending of a call that was answered: the lease was prolonged no earlier than that.
    """

    def __init__(self) -> None:
        self._sent_s = boottime_s()

    def answered(self, sent_s: float) -> None:
        """Notes that a call sent at `sent_s` (of `boottime_s`) has been answered."""
        self._sent_s = max(self._sent_s, sent_s)

    def silence_s(self) -> float:
        """Seconds since then."""
        return boottime_s() - self._sent_s

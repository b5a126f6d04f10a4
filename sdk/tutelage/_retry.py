"""When to call again, and after how long.

Only calls that may be repeated safely are: reads, and mutations that carry a request_id. They are repeated when the
service was not reached (UNAVAILABLE), or when it says itself when to come back (RetryInfo). Source: AIP-194.
"""

import random
import time

from tutelage._errors import (
    Aborted,
    Cancelled,
    DeadlineExceeded,
    Internal,
    OutOfRange,
    ResourceExhausted,
    TutelageError,
    Unavailable,
    Unknown,
)

# How long calls are repeated while the service is away. A gateway that was killed is back within this, even on a busy
# machine; the command line is less patient, because a person with a wrong address is waiting.
RETRY_S = 12.0
FIRST_BACKOFF_S = 0.1
BACKOFF_S_MAX = 5.0


class Backoff:
    """Growing waits with jitter, so that clients that lost one server do not come back all at once."""

    def __init__(self) -> None:
        self.failures = 0

    def reset(self) -> None:
        """Begins again with the shortest wait, after something worked."""
        self.failures = 0

    def next_wait_s(self, error: TutelageError) -> float:
        """Returns how long to wait after a failure, in seconds; never less than the service asks for."""
        longest = min(FIRST_BACKOFF_S * 2**self.failures, BACKOFF_S_MAX)
        self.failures += 1
        return max(random.uniform(longest / 2, longest), error.retry_after_s or 0.0)


class Patience:
    """How long to go on without any success."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.until = time.monotonic() + seconds

    def renew(self) -> None:
        """Starts the time again, after something worked."""
        self.until = time.monotonic() + self.seconds

    def left_s(self) -> float:
        """Returns the seconds that are left, never below zero."""
        return max(self.until - time.monotonic(), 0.0)

    def covers(self, wait_s: float) -> bool:
        """Says whether there is time left after such a wait."""
        return time.monotonic() + wait_s < self.until


def may_call_again(error: TutelageError) -> bool:
    """Says whether a call that is safe to repeat should be repeated."""
    if isinstance(error, Unavailable):
        return True
    return isinstance(error, ResourceExhausted | Aborted) and error.retry_after_s is not None


def is_broken_line(error: TutelageError) -> bool:
    """Says whether a stream ended for a reason of the line, so that resuming it makes sense.

    CANCELLED, INTERNAL and UNKNOWN count when no part of the service said them: so gRPC reports a reset stream.
    """
    if isinstance(error, OutOfRange):
        return error.reason == "SLOW_READER"
    if isinstance(error, DeadlineExceeded):
        return True
    if isinstance(error, Cancelled | Internal | Unknown):
        return not error.details.from_service
    return may_call_again(error)

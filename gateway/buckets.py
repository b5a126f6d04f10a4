"""Token buckets: so many at once, and so many a second after that."""

import collections
import dataclasses
import time
from collections.abc import Callable

# What is told where no token will ever come: ask again in a minute, the rate may have been raised by then.
NEVER_S = 60.0


@dataclasses.dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_at_s: float


class Buckets:
    """One bucket a name. The one that was used least recently is forgotten, and with that full again."""

    def __init__(self, names_max: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._names_max = names_max
        self._clock = clock
        self._buckets: collections.OrderedDict[str, _Bucket] = collections.OrderedDict()

    def take(self, name: str, *, rate: float, burst: float) -> float:
        """Takes one token and returns 0; or takes none and returns the seconds until there is one."""
        wait_s = self.wait_s(name, rate=rate, burst=burst)
        if not wait_s:
            self._buckets[name].tokens -= 1
        return wait_s

    def give_back(self, name: str, *, rate: float, burst: float) -> None:
        """Puts one token back."""
        bucket = self._filled(name, rate=rate, burst=burst)
        bucket.tokens = min(burst, bucket.tokens + 1)

    def wait_s(self, name: str, *, rate: float, burst: float) -> float:
        """Returns the seconds until there is a token, and takes none."""
        bucket = self._filled(name, rate=rate, burst=burst)
        if bucket.tokens >= 1:
            return 0.0
        return (1 - bucket.tokens) / rate if rate > 0 else NEVER_S

    def _filled(self, name: str, *, rate: float, burst: float) -> _Bucket:
        now_s = self._clock()
        bucket = self._buckets.setdefault(name, _Bucket(tokens=burst, filled_at_s=now_s))
        bucket.tokens = min(burst, bucket.tokens + (now_s - bucket.filled_at_s) * rate)
        bucket.filled_at_s = now_s
        self._buckets.move_to_end(name)
        if len(self._buckets) > self._names_max:
            self._buckets.popitem(last=False)
        return bucket

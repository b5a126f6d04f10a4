"""A project calls as often as it may, and holds as many streams as it may."""

import collections
import contextlib
import time
from collections.abc import Callable, Iterator

from gateway import limits
from gateway.buckets import Buckets
from gateway.calls import Call
from gateway.interceptors import Proceed
from gateway.refusals import rate_limited


class RateLimit:
    """Counts the calls and the open streams of each project, in this process."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._buckets = Buckets(limits.PROJECTS_REMEMBERED_MAX, clock=clock)
        self._streams: collections.Counter[str] = collections.Counter()

    async def __call__(self, call: Call, proceed: Proceed) -> None:
        """Refuses the call if the project has used up its rate or its streams."""
        self._take(call)
        if not call.is_stream:
            await proceed(call)
            return
        with self._stream(call):
            await proceed(call)

    def _take(self, call: Call) -> None:
        assert call.caller is not None, "rate limit comes after authenticate"
        rate = call.caller.requests_per_second
        burst = max(1.0, rate * limits.RATE_BURST_S)
        wait_s = self._buckets.take(call.caller.project_id, rate=rate, burst=burst)
        if wait_s > 0:
            raise rate_limited(f"This project may make {rate:g} calls per second.", retry_after_s=wait_s)

    @contextlib.contextmanager
    def _stream(self, call: Call) -> Iterator[None]:
        assert call.caller is not None, "rate limit comes after authenticate"
        project, most = call.caller.project_id, call.caller.streams_max
        if self._streams[project] >= most:
            raise rate_limited(
                f"Streams that this project may hold open at the same time: {most}.",
                retry_after_s=limits.STREAMS_RETRY_S,
            )
        self._streams[project] += 1
        try:
            yield
        finally:
            self._streams[project] -= 1
            if not self._streams[project]:
                del self._streams[project]

"""Reads new events once for everybody who watches.

Each watched job has one feed with its newest events, already encoded. A watcher takes from the feed what comes after
its cursor, and reads older events from SQL page by page, at its own pace: nothing is queued for it, so a slow watcher
costs no memory. The feed is read anew when a report of this process wakes it, and twice a second for the reports of
others: one question for all watched jobs, then one read for each that has moved on.
"""

import asyncio
import collections
import concurrent.futures
import dataclasses
import itertools
import logging
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from typing import Any

from services.domain.errors import DomainError, SlowReader

POLL_S = 0.5
ALIVE_S = 15.0
BEHIND_MAX = 256
STANDSTILL_S = 10.0
_RING_EVENTS = 1024
_BATCH_EVENTS = 256
_PAGE_EVENTS = 1000
_ROUND_PAUSE_S = 0.02
_THREADS = 2
_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class Encoded:
    """An event as it is sent; `final` if nothing comes after it."""

    cursor: int
    data: bytes
    final: bool = False


ReadEvents = Callable[[str, int, int], Sequence[Encoded]]
ReadHeads = Callable[[Collection[str]], Mapping[str, int]]


class Follower:
    """Where one watcher is. While it is being written to, `standing_since` says since when."""

    def __init__(self, *, cursor: int, end: Callable[[DomainError], None]) -> None:
        self.cursor = cursor
        self.standing_since: float | None = None
        self.end = end


class _Feed:
    """The newest events of one job, for all who follow it."""

    def __init__(self, *, position: int) -> None:
        self.position = position
        self.followers: set[Follower] = set()
        self.moved = asyncio.Event()
        self._ring: collections.deque[Encoded] = collections.deque(maxlen=_RING_EVENTS)

    def extend(self, events: Sequence[Encoded]) -> None:
        if events:
            self._ring.extend(events)
            self.position = events[-1].cursor
            moved, self.moved = self.moved, asyncio.Event()
            moved.set()

    def after(self, cursor: int) -> list[Encoded] | None:
        """Return what comes after a cursor, or None if that is older than the feed."""
        if cursor >= self.position:
            return []
        if not self._ring or self._ring[0].cursor > cursor + 1:
            return None
        first = cursor + 1 - self._ring[0].cursor
        return list(itertools.islice(self._ring, first, first + _BATCH_EVENTS))


class Tailer:
    """Feeds every watcher of this process."""

    def __init__(
        self,
        *,
        read_events: ReadEvents,
        read_heads: ReadHeads,
        poll_s: float = POLL_S,
        alive_s: float = ALIVE_S,
        standstill_s: float = STANDSTILL_S,
    ) -> None:
        self._read_events = read_events
        self._read_heads = read_heads
        self._poll_s = poll_s
        self._alive_s = alive_s
        self._standstill_s = standstill_s
        self._feeds: dict[str, _Feed] = {}
        self._woken: set[str] = set()
        self._bell = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._threads = concurrent.futures.ThreadPoolExecutor(_THREADS, thread_name_prefix="tailer")

    def wake(self, job_uid: str) -> None:
        """Tell that a job has something new; callable from any thread."""
        self._loop.call_soon_threadsafe(self._ring_bell, job_uid)

    async def follow(
        self, job_uid: str, *, follower: Follower, last_cursor: int
    ) -> AsyncGenerator[Encoded | None, None]:
        """Yield every event after the follower's cursor, and None as a sign of life; end after the final one.

        `last_cursor` is where the job stood when it was looked up.
        """
        feed = self._join(job_uid, follower, last_cursor=last_cursor)
        try:
            while True:
                moved = feed.moved
                batch = feed.after(follower.cursor)
                if batch is None:
                    batch = list(await self._in_thread(self._read_events, job_uid, follower.cursor, _PAGE_EVENTS))
                for event in batch:
                    yield self._standing(follower, event)
                    follower.standing_since, follower.cursor = None, event.cursor
                    if event.final:
                        return
                if not batch and not await self._moved(moved):
                    yield None
        finally:
            self._leave(job_uid, follower)

    async def run(self) -> None:
        """Read what is new, for as long as the process serves."""
        next_poll_s = self._loop.time()
        while True:
            await self._until_something_to_do(next_poll_s)
            woken, self._woken = self._woken, set()
            self._bell.clear()
            try:
                if self._loop.time() >= next_poll_s:
                    next_poll_s = self._loop.time() + self._poll_s
                    woken |= await self._moved_on()
                    self._end_those_that_stand_still()
                for job_uid in woken:
                    await self._read_on(job_uid)
            except DomainError as error:
                told = {"reason": error.reason, "error": error.message}
                _log.warning("events could not be read", extra={"fields": told})
            except Exception:
                _log.exception("events could not be read")
            await asyncio.sleep(_ROUND_PAUSE_S)

    def close(self) -> None:
        """Let the threads go."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _join(self, job_uid: str, follower: Follower, *, last_cursor: int) -> _Feed:
        feed = self._feeds.get(job_uid)
        if feed is None:
            feed = self._feeds[job_uid] = _Feed(position=last_cursor)
            self._bell.set()
        feed.followers.add(follower)
        return feed

    def _leave(self, job_uid: str, follower: Follower) -> None:
        feed = self._feeds.get(job_uid)
        if feed is not None:
            feed.followers.discard(follower)
            if not feed.followers:
                del self._feeds[job_uid]

    def _standing(self, follower: Follower, event: Encoded) -> Encoded:
        follower.standing_since = self._loop.time()
        return event

    async def _moved(self, moved: asyncio.Event) -> bool:
        try:
            async with asyncio.timeout(self._alive_s):
                await moved.wait()
        except TimeoutError:
            return False
        return True

    async def _until_something_to_do(self, next_poll_s: float) -> None:
        """Wait for the bell, and for the next poll only if somebody watches."""
        limit = max(next_poll_s - self._loop.time(), 0) if self._feeds else None
        try:
            async with asyncio.timeout(limit):
                await self._bell.wait()
        except TimeoutError:
            return

    async def _moved_on(self) -> set[str]:
        watched = {job_uid: feed.position for job_uid, feed in self._feeds.items()}
        if not watched:
            return set()
        heads = await self._in_thread(self._read_heads, list(watched))
        return {job_uid for job_uid, head in heads.items() if head > watched[job_uid]}

    async def _read_on(self, job_uid: str) -> None:
        while (feed := self._feeds.get(job_uid)) is not None:
            events = await self._in_thread(self._read_events, job_uid, feed.position, _PAGE_EVENTS)
            feed.extend(events)
            if len(events) < _PAGE_EVENTS:
                return

    def _end_those_that_stand_still(self) -> None:
        now = self._loop.time()
        for feed in self._feeds.values():
            for follower in list(feed.followers):
                since, behind = follower.standing_since, feed.position - follower.cursor
                if since is not None and behind > BEHIND_MAX and now - since > self._standstill_s:
                    follower.end(SlowReader.of(cursor=follower.cursor))

    def _ring_bell(self, job_uid: str) -> None:
        if job_uid in self._feeds:
            self._woken.add(job_uid)
            self._bell.set()

    def _in_thread(self, function: Callable[..., Any], *values: Any) -> "asyncio.Future[Any]":
        return self._loop.run_in_executor(self._threads, function, *values)

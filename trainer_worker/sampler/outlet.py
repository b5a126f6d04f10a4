"""Where drawn tokens wait for the one who asked for them: filled by a thread, emptied by the event loop."""

from __future__ import annotations

import asyncio
import threading

from trainer_worker.sampler.row import Drawn

# Enough that a reader with hiccups never slows its own rows; with 20 alternatives to each token about 3 MB.
BACKLOG_TOKENS_MAX = 1024


class Outlet:
    """The drawn tokens of one request, by sample."""

    def __init__(self, samples: int, *, backlog_tokens_max: int | None) -> None:
        """Made on the event loop that will read. Without a limit, everything is kept until it is read."""
        self._loop = asyncio.get_running_loop()
        self._something_new = asyncio.Event()
        self._lock = threading.Lock()
        self._waiting: list[list[Drawn]] = [[] for _ in range(samples)]
        self._waiting_tokens = 0
        self._backlog_tokens_max = backlog_tokens_max
        self._unfinished = samples
        self._error: Exception | None = None
        self.gone = False

    @property
    def backlogged(self) -> bool:
        """Whether drawing should wait for the reader."""
        return self._backlog_tokens_max is not None and self._waiting_tokens >= self._backlog_tokens_max

    def deliver(self, index: int, drawn: Drawn) -> None:
        """Called by the thread that draws."""
        with self._lock:
            self._waiting[index].append(drawn)
            self._waiting_tokens += 1
            self._unfinished -= drawn.finish is not None
        self._announce()

    def fail(self, error: Exception) -> None:
        """Called by the thread that draws: no more will come."""
        self._error = error
        self._announce()

    def close(self) -> None:
        """Nobody reads any more; the rows leave before their next step."""
        self.gone = True

    async def read(self) -> list[list[Drawn]] | None:
        """What is new in each sample, as soon as anything is; None at the end. Raises: what `fail` was told."""
        while True:
            new, ended = self._take()
            if any(new):
                return new
            if self._error is not None:
                raise self._error
            if ended:
                return None
            await self._something_new.wait()
            self._something_new.clear()

    def _take(self) -> tuple[list[list[Drawn]], bool]:
        with self._lock:
            new, self._waiting = self._waiting, [[] for _ in self._waiting]
            self._waiting_tokens = 0
            return new, self._unfinished == 0

    def _announce(self) -> None:
        # A loop that is closed has no readers.
        if not self.gone and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._something_new.set)

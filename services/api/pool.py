"""Threads in which verbs run, bounded: what finds no place is refused at once, with a time to try again.

A cancelled call does not stop its verb, which commits or rolls back; until then it keeps its place.
"""

import asyncio
import concurrent.futures
import functools
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from services.domain.errors import Unavailable

R = TypeVar("R")
_RETRY_AFTER_S = 0.5


class VerbPool:
    """Runs verbs in a fixed number of threads, with a short queue before them."""

    def __init__(self, *, name: str, threads: int, waiting_max: int) -> None:
        self._name = name
        self._places = threads + waiting_max
        self._taken = 0
        self._lock = threading.Lock()
        self._executor = concurrent.futures.ThreadPoolExecutor(max_workers=threads, thread_name_prefix=name)

    async def run(self, verb: Callable[..., R], *args: Any, **values: Any) -> R:
        """Run a verb and return its answer. Raises: Unavailable if there is no place, and what the verb raises."""
        return await asyncio.wrap_future(self.submit(functools.partial(verb, *args, **values)))

    def submit(self, verb: Callable[[], R]) -> concurrent.futures.Future[R]:
        """Start a verb without waiting for it. Raises: Unavailable if there is no place."""
        with self._lock:
            if self._taken >= self._places:
                message = f"the service is busy: {self._taken} calls are being worked on"
                raise Unavailable(message, retry_after_s=_RETRY_AFTER_S)
            self._taken += 1
        future = self._executor.submit(verb)
        future.add_done_callback(self._leave)
        return future

    def taken(self) -> int:
        """Return how many verbs run or wait."""
        return self._taken

    def close(self) -> None:
        """Wait for the verbs that run, and drop those that wait."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _leave(self, _: concurrent.futures.Future[Any]) -> None:
        with self._lock:
            self._taken -= 1

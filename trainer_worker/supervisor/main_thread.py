"""The main thread's desk: children are started here, because a child's death signal follows the thread that made it.

PR_SET_PDEATHSIG fires when the *thread* that spawned the child ends. Threads of attempts come and go; the main thread
lives exactly as long as the supervisor.
"""

import concurrent.futures
import queue
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class MainThread:
    """Work handed to the main thread by others, done in order."""

    def __init__(self) -> None:
        # A SimpleQueue, because signal handlers put into it too, and its `put` may interrupt itself.
        self._work: queue.SimpleQueue[tuple[concurrent.futures.Future[Any], Callable[[], Any]] | None] = (
            queue.SimpleQueue()
        )

    def do(self, work: Callable[[], T]) -> T:
        """Has `work` done on the main thread, and returns or raises what it does. Called from other threads."""
        future: concurrent.futures.Future[T] = concurrent.futures.Future()
        self._work.put((future, work))
        return future.result()

    def hand_in(self, work: Callable[[], Any]) -> None:
        """Has `work` done later, and does not wait. May be called from a signal handler."""
        self._work.put((concurrent.futures.Future(), work))

    def serve(self) -> None:
        """Does what is handed in, until `leave`."""
        while (item := self._work.get()) is not None:
            future, work = item
            try:
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)

    def leave(self) -> None:
        """Ends `serve` after what was handed in before."""
        self._work.put(None)

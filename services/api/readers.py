"""Sending long answers in pieces, to a bounded number of readers.

A piece is read when the one before it was taken, so that a slow reader holds one.
"""

import collections
import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from services.api.pool import VerbPool
from services.api.streams import write_within
from services.domain.errors import Unavailable

READERS_MAX = 64  # each holds a piece of 1 MiB
READERS_OF_PROJECT_MAX = 16  # so that one project, whose readers may be slow, leaves places to the others
SLOW_READER_S = 30.0  # for one piece, as a stream of the sampler; whoever takes nothing holds a place


class Source(Protocol):
    """What pieces are read from."""

    def close(self) -> None: ...


class Readers:
    """Counts who reads, by project."""

    def __init__(self) -> None:
        self._readers = collections.Counter[str]()

    @contextlib.contextmanager
    def place(self, project_id: str) -> Iterator[None]:
        """Hold a place of a project. Raises: Unavailable if there is none."""
        if self._readers.total() >= READERS_MAX or self._readers[project_id] >= READERS_OF_PROJECT_MAX:
            most = f"{READERS_OF_PROJECT_MAX} for one project and {READERS_MAX} for all"
            raise Unavailable(
                f"too many files are being sent, at most {most}; try again in a moment", retry_after_s=2.0
            )
        self._readers[project_id] += 1
        try:
            yield
        finally:
            self._readers[project_id] -= 1
            if not self._readers[project_id]:
                del self._readers[project_id]


async def send_pieces(
    source: Source, *, read: Callable[[], bytes], tell: Callable[[bytes], bytes], pool: VerbPool, context: Any
) -> None:
    """Write everything that `read` returns until it returns nothing, each piece in the message that `tell` makes."""
    try:
        while data := await pool.run(read):
            await write_within(context, tell(data), limit_s=SLOW_READER_S)
    finally:
        # In a thread: a call that is cancelled leaves a piece being read, and closing waits for that.
        with contextlib.suppress(Unavailable):
            pool.submit(source.close)

"""Calls that stay open, and how the house ends them from its side.

A stream is ended by giving it an error and cancelling its task: whatever it waits for, it wakes up and tells the
error.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from typing import Any

from services.domain.errors import DomainError, InvalidKey, SlowReader
from services.domain.projects import Caller

_RECHECK_S = 3.0
_log = logging.getLogger(__name__)

FindWorkingKeys = Callable[[Collection[str]], Awaitable[Collection[str]]]


async def write_within(context: Any, message: bytes, *, limit_s: float) -> None:
    """Write a message to a stream. Raises: SlowReader if the client has not taken the ones before it by then."""
    try:
        async with asyncio.timeout(limit_s):
            await context.write(message)
    except TimeoutError:
        raise SlowReader(f"the stream was not read for {limit_s:g} s; ask for the rest") from None


class Stream:
    """One open call of a caller. It is `endless` if only the client or the house ends it, as a watcher's is."""

    def __init__(self, caller: Caller, *, task: "asyncio.Task[object]", endless: bool = False) -> None:
        self.caller = caller
        self.endless = endless
        self.error: DomainError | None = None
        self._task = task

    def end(self, error: DomainError) -> None:
        """Make the call end with this error."""
        if self.error is None and not self._task.done():
            self.error = error
            self._task.cancel()

    def take_error(self) -> DomainError | None:
        """Return the error that ended the call, and forget the cancellation that told it."""
        if self.error is not None:
            self._task.uncancel()
        return self.error


class OpenStreams:
    """All open calls of this process; ends those whose key stops to work."""

    def __init__(self, *, recheck_s: float = _RECHECK_S) -> None:
        self._streams: set[Stream] = set()
        self._recheck_s = recheck_s

    def __len__(self) -> int:
        return len(self._streams)

    def add(self, stream: Stream) -> None:
        """Watch a stream."""
        self._streams.add(stream)

    def remove(self, stream: Stream) -> None:
        """Watch it no more."""
        self._streams.discard(stream)

    def end_endless(self, error: DomainError) -> None:
        """End the streams that would never end by themselves."""
        for stream in [stream for stream in self._streams if stream.endless]:
            stream.end(error)

    async def watch_keys(self, find_working: FindWorkingKeys) -> None:
        """Ask every few seconds, once for all streams, which of their keys still work. Runs until cancelled."""
        while True:
            await asyncio.sleep(self._recheck_s)
            key_ids = {stream.caller.key.id for stream in self._streams}
            if not key_ids:
                continue
            try:
                self._end_without_key(key_ids - set(await find_working(key_ids)))
            except DomainError as error:
                _log.warning("keys of open streams could not be checked", extra={"fields": {"reason": error.reason}})
            except Exception:  # were this loop to end, a revoked key would go on watching
                _log.exception("keys of open streams could not be checked")

    def _end_without_key(self, dead: set[str]) -> None:
        for stream in [stream for stream in self._streams if stream.caller.key.id in dead]:
            stream.end(InvalidKey("the key of this call was revoked or has expired"))

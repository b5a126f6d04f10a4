"""Text as it grows out of tokens: whole characters only, and nothing that might begin a stop text."""

from __future__ import annotations

import codecs
from collections.abc import Sequence


class GrowingText:
    """Takes the bytes of tokens and gives the text that is certain.

    Stop texts are looked for in the bytes, so that it does not matter where tokens begin and end. The stop text that is
    complete first ends the text; of several that are complete at the same byte, the one that began first.
    """

    def __init__(self, stops: Sequence[bytes] = ()) -> None:
        self._stops = stops
        self._held = b""
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self.stopped = False

    def grow(self, token: bytes) -> str:
        """Text that is certain now. Sets `stopped` once a stop text came; what comes after it is dropped."""
        if self.stopped:
            return ""
        self._held += token
        found = self._first_stop()
        if found is not None:
            self.stopped = True
            certain, self._held = self._held[:found], b""
            return self._decoder.decode(certain, final=True)
        return self._release(len(self._held) - self._undecided())

    def end(self) -> str:
        """The text that was held back; bytes that form no character become U+FFFD."""
        if self.stopped:
            return ""
        certain, self._held = self._held, b""
        return self._decoder.decode(certain, final=True)

    def _release(self, count: int) -> str:
        certain, self._held = self._held[:count], self._held[count:]
        return self._decoder.decode(certain)

    def _first_stop(self) -> int | None:
        """Where the stop text begins, if one is complete."""
        places = [(self._held.find(stop), stop) for stop in self._stops]
        ends = [(place + len(stop), place) for place, stop in places if place >= 0]
        return min(ends)[1] if ends else None

    def _undecided(self) -> int:
        """How many bytes at the end might begin a stop text."""
        longest = max((len(stop) for stop in self._stops), default=1) - 1
        for count in range(min(longest, len(self._held)), 0, -1):
            tail = self._held[-count:]
            if any(stop.startswith(tail) for stop in self._stops):
                return count
        return 0

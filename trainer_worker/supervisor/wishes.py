"""The jobs that bells have named and that nobody has asked for yet."""

import collections
import threading

_WISHES_MAX = 16  # more would only be asked for in vain: one claim without a wish finds whatever there is


class Wishes:
    """A short list without repetition: a thousand bells for one job are one wish."""

    def __init__(self, *, rung: threading.Event) -> None:
        self._rung = rung
        self._lock = threading.Lock()
        self._job_uids: collections.deque[str] = collections.deque(maxlen=_WISHES_MAX)

    def add(self, job_uid: str) -> None:
        """Takes the job of a bell."""
        with self._lock:
            if job_uid not in self._job_uids:
                self._job_uids.append(job_uid)
        self._rung.set()

    def take(self) -> str:
        """The oldest wish, or an empty text."""
        with self._lock:
            return self._job_uids.popleft() if self._job_uids else ""

    def count(self) -> int:
        """Wishes left."""
        with self._lock:
            return len(self._job_uids)

    def forget(self, count: int) -> None:
        """Drops the oldest wishes: a claim made after them found nothing at all."""
        with self._lock:
            for _ in range(min(count, len(self._job_uids))):
                self._job_uids.popleft()

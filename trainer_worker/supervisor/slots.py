"""The places for jobs: which attempts this worker holds."""

import threading

from trainer_worker.supervisor.attempt import Attempt


class Slots:
    """A fixed number of places, and the attempts that take them."""

    def __init__(self, count: int, *, changed: threading.Event) -> None:
        self.count = count
        self._changed = changed
        self._lock = threading.Lock()
        self._attempts: dict[str, Attempt] = {}

    def free(self) -> int:
        """Places left."""
        with self._lock:
            return self.count - len(self._attempts)

    def held(self) -> list[Attempt]:
        """The attempts of this moment, oldest first."""
        with self._lock:
            return list(self._attempts.values())

    def take(self, attempt: Attempt) -> bool:
        """Gives an attempt a place. False if it has one already: its claim was answered twice."""
        with self._lock:
            if _name(attempt) in self._attempts:
                return False
            self._attempts[_name(attempt)] = attempt
        self._changed.set()
        return True

    def give_back(self, attempt: Attempt) -> None:
        """Frees its place."""
        with self._lock:
            self._attempts.pop(_name(attempt), None)
        self._changed.set()


def _name(attempt: Attempt) -> str:
    held = attempt.assignment.attempt
    return f"{held.job_uid}/{held.epoch}"

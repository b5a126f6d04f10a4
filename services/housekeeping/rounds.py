"""Caretakers at work: each in a thread of its own, so that one that waits for Redis or for a disk holds up nobody."""

import dataclasses
import logging
import threading
from collections.abc import Callable, Sequence

from services.domain.errors import DomainError

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Caretaker:
    """What is done again and again; `deed` does one round and returns soon."""

    name: str
    interval_s: float
    deed: Callable[[], object]


class Housekeeping:
    """Runs caretakers until it is stopped."""

    def __init__(self, caretakers: Sequence[Caretaker]) -> None:
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(caretaker,), name=caretaker.name, daemon=True)
            for caretaker in caretakers
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self, *, limit_s: float = 10.0) -> None:
        """Let the rounds that run end, and begin no other."""
        self._stop.set()
        for thread in self._threads:
            thread.join(limit_s)

    def _run(self, caretaker: Caretaker) -> None:
        trouble = ""
        while not self._stop.wait(caretaker.interval_s):
            now = _trouble_of(caretaker)
            if now != trouble:
                _log.warning("caretaker %s: %s", caretaker.name, now or "well again")
            trouble = now


def _trouble_of(caretaker: Caretaker) -> str:
    """Do one round; a caretaker outlives every trouble, and the next round is the retry."""
    try:
        caretaker.deed()
    except DomainError as error:
        return str(error)
    except Exception as error:
        _log.exception("caretaker %s", caretaker.name)
        return repr(error)
    return ""

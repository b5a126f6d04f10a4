"""One trainer started in advance: it has loaded torch and waits for its Launch, so that the next job need not wait."""

import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass

from trainer_worker.supervisor.clock import now_s
from trainer_worker.supervisor.orders import Force
from trainer_worker.supervisor.outfit import Outfit
from trainer_worker.supervisor.trainer_process import TrainerProcess

_log = logging.getLogger(__name__)

_GLANCE_S = 0.5  # how often a spare is looked at; `take` looks for itself
_AFTER_USE_S = 3.0  # loading torch takes two seconds of a processor: a job has its first steps to itself
_BACKOFF_S = (1.0, 60.0)
_STEADY_S = 30.0  # one that lived as long as this died of something new


@dataclass(frozen=True, kw_only=True)
class _Held:
    trainer: TrainerProcess
    outfit: Outfit
    since_s: float


class Spare:
    """Keeps one trainer that has no job.

    It is a trainer like any other, but for what it has not heard yet: it dies with its supervisor, is recorded, and is
    told no ticks before its Launch, so that it may wait for days. A supervisor that is frozen keeps it: without a job
    it can do no harm.
    """

    def __init__(
        self,
        *,
        outfit: Callable[[], Outfit],
        start: Callable[[], TrainerProcess],
        bury: Callable[[TrainerProcess], int],
    ) -> None:
        self._outfit, self._start, self._bury = outfit, start, bury
        self._changed, self._stopped = threading.Event(), threading.Event()
        self._lock = threading.Lock()
        self._held: _Held | None = None
        self._not_before_s = 0.0
        self._backoff_s = _BACKOFF_S[0]

    def take(self) -> TrainerProcess | None:
        """Gives the spare away for good, if there is one that is as good as a trainer started now."""
        with self._lock:
            held, self._held = self._held, None
        if held is None:
            return None
        if (fault := self._fault(held)) is not None:
            self._replace(held, fault)
            return None
        self._not_before_s, self._backoff_s = now_s() + _AFTER_USE_S, _BACKOFF_S[0]
        return held.trainer

    def stop(self) -> None:
        """Ends the spare for good; `run` returns."""
        self._stopped.set()
        self._changed.set()

    def run(self) -> None:
        """Keeps a spare until `stop`. No trouble with it is trouble for jobs: they start trainers of their own."""
        while not self._stopped.is_set():
            try:
                self._keep()
            except Exception:
                _log.exception("no spare trainer can be started")
                self._back_off(now_s())
            self._changed.wait(_GLANCE_S)
            self._changed.clear()
        with self._lock:
            held, self._held = self._held, None
        if held is not None:
            self._end(held)

    def _keep(self) -> None:
        with self._lock:
            # One that has died, and no other, is taken out: what `take` has given away is nobody's business here.
            dead = self._held if self._held is not None and self._held.trainer.exited() else None
            self._held = None if dead is not None else self._held
            missing = self._held is None
        if dead is not None:
            self._replace(dead, "it died")
        elif missing and now_s() >= self._not_before_s:
            outfit = self._outfit()  # before the start: what changes meanwhile counts as changed
            held = _Held(trainer=self._start(), outfit=outfit, since_s=now_s())
            _log.info("a spare trainer is started", extra={"trainer": held.trainer.pid})
            with self._lock:
                self._held = held

    def _fault(self, held: _Held) -> str | None:
        if held.trainer.exited():
            return "it died"
        return "its code or its environment has changed" if self._outfit() != held.outfit else None

    def _replace(self, held: _Held, why: str) -> None:
        self._back_off(held.since_s)
        code = self._end(held)
        wait_s = max(0.0, self._not_before_s - now_s())
        extra = {"trainer": held.trainer.pid, "why": why, "exit_code": code, "wait_s": wait_s}
        _log.warning("the spare trainer is started again", extra=extra)

    def _end(self, held: _Held) -> int:
        held.trainer.apply(Force.KILL)
        code = self._bury(held.trainer)
        os.close(held.trainer.facts_fd)
        return code

    def _back_off(self, since_s: float) -> None:
        least_s, most_s = _BACKOFF_S
        if now_s() - since_s > _STEADY_S:
            self._backoff_s = least_s
        self._not_before_s = now_s() + self._backoff_s
        self._backoff_s = min(self._backoff_s * 2, most_s)

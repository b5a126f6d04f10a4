"""The thread that draws for one model: it seats waiting rows, steps, and dismisses those that ended."""

from __future__ import annotations

import collections
import logging
import threading
from collections.abc import Sequence

from trainer_worker.sampler.batch import Batch
from trainer_worker.sampler.errors import QueueFull, Unavailable
from trainer_worker.sampler.row import Row

log = logging.getLogger(__name__)


class Drawing:
    """Rows go in, tokens come out at the rows' listeners."""

    def __init__(self, batch: Batch, *, name: str, waiting_rows_max: int) -> None:
        self._batch = batch
        self._waiting: collections.deque[Row] = collections.deque()
        self._waiting_rows_max = waiting_rows_max
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=f"draw {name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def enter(self, rows: Sequence[Row]) -> None:
        """Lets rows wait for seats. Raises: QueueFull, if they are more than seats and waiting room can take."""
        with self._changed:
            self._forget_gone()
            if len(self._waiting) + len(rows) > self._waiting_rows_max + self._batch.free_seats:
                raise QueueFull(f"too many samples wait for this model ({len(self._waiting)}); please try again soon")
            self._waiting.extend(rows)
            self._changed.notify()

    def wake(self) -> None:
        """Says that a listener went away, or that a slow one has read."""
        with self._changed:
            self._changed.notify()

    def stop(self) -> None:
        """Ends the thread; rows that are left are told."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while self._seat_waiting():
            try:
                progressed = self._batch.step()
            except Exception as error:
                log.exception("a step failed; its rows are lost")
                self._lose_rows(error)
                continue
            self._batch.dismiss_ended()
            if not progressed:
                self._rest()
        self._lose_rows(Unavailable("the sampler is stopping"))

    def _seat_waiting(self) -> bool:
        """Waits until there is a row to step, and fills free seats. False when it is time to stop."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopping or self._waiting or self._batch.rows)
            self._forget_gone()
            while self._waiting and self._batch.free_seats:
                self._batch.join(self._waiting.popleft())
            return not self._stopping

    def _rest(self) -> None:
        """Waits for a reader: every row is finished or has a backlog. Rows that wait are no reason without a seat."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopping or self._seatable or self._batch.any_ready)

    @property
    def _seatable(self) -> bool:
        return bool(self._waiting) and self._batch.free_seats > 0

    def _forget_gone(self) -> None:
        if any(row.listener.gone for row in self._waiting):
            self._waiting = collections.deque(row for row in self._waiting if not row.listener.gone)

    def _lose_rows(self, error: Exception) -> None:
        for row in self._batch.clear():
            row.listener.fail(error)
        if self._stopping:
            while self._waiting:
                self._waiting.popleft().listener.fail(error)

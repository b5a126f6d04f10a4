"""Prolongs the leases, and hears what is wanted of each attempt."""

import logging
import threading
from collections.abc import Callable

import grpc

from trainer_worker.supervisor.attempt import Attempt
from trainer_worker.supervisor.clock import LastHeard, boottime_s
from trainer_worker.supervisor.orders import Order
from trainer_worker.supervisor.refusals import understand
from trainer_worker.supervisor.services_line import ServicesLine
from trainer_worker.supervisor.slots import Slots
from tutelage_internal.v1 import workers_pb2

_log = logging.getLogger(__name__)

_ORDERS = {
    workers_pb2.DESIRE_PAUSE: (Order.PAUSE, "a pause was asked for"),
    workers_pb2.DESIRE_CANCEL: (Order.CANCEL, "a cancel was asked for"),
    workers_pb2.DESIRE_STALE: (Order.STALE, "another attempt holds the job"),
}
_TIMEOUT_S = (0.5, 10.0)  # least and most; in between a third of the lease, so that two tries fit into it


class Heartbeats:
    """Speaks for all attempts at once, on a thread and a channel that no report can hold up."""

    def __init__(
        self,
        *,
        slots: Slots,
        line: ServicesLine,
        last_heard: LastHeard,
        describe: Callable[[], workers_pb2.WorkerInfo],
        interval_s: float,
    ) -> None:
        self._slots, self._line, self._last_heard = slots, line, last_heard
        self._describe, self._interval_s = describe, interval_s
        self._hurry = threading.Event()
        self._answered = True

    def hurry(self) -> None:
        """Something changed that services should hear at once."""
        self._hurry.set()

    def run(self) -> None:
        """Beats for as long as the process lives."""
        while True:
            self._hurry.clear()
            held = self._slots.held()
            try:
                self._beat(held)
            except Exception:  # without heartbeats every lease is lost: no mistake in here may end them
                _log.exception("a heartbeat broke")
            self._hurry.wait(self._interval(held))

    def _interval(self, held: list[Attempt]) -> float:
        wanted = [attempt.assignment.heartbeat_seconds for attempt in held if attempt.assignment.heartbeat_seconds > 0]
        return min([*wanted, self._interval_s])

    def _beat(self, held: list[Attempt]) -> None:
        request = workers_pb2.HeartbeatRequest(worker=self._describe(), attempts=[a.status() for a in held])
        sent_s = boottime_s()
        try:
            answer = self._line.call(self._line.workers.Heartbeat, request, timeout_s=self._timeout(held))
        except grpc.RpcError as error:
            self._note_silence(understand(error).message)
            return
        self._last_heard.answered(sent_s)
        self._note_answer()
        for attempt, order in zip(held, answer.orders, strict=False):
            _obey(attempt, order)

    def _timeout(self, held: list[Attempt]) -> float:
        leases = [a.assignment.lease_seconds for a in held if a.assignment.lease_seconds > 0]
        least_s, most_s = _TIMEOUT_S
        return max(least_s, min([*(lease_s / 3 for lease_s in leases), most_s]))

    def _note_silence(self, message: str) -> None:
        if self._answered:
            _log.warning("heartbeats are not answered", extra={"error": message})
        self._answered = False

    def _note_answer(self) -> None:
        if not self._answered:
            _log.info("heartbeats are answered again")
        self._answered = True


def _obey(attempt: Attempt, order: workers_pb2.AttemptOrder) -> None:
    held = attempt.assignment.attempt
    if (order.job_uid, order.epoch) == (held.job_uid, held.epoch) and order.desire in _ORDERS:
        attempt.orders.give(*_ORDERS[order.desire])

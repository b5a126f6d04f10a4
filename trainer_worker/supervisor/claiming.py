"""Claims jobs: at a bell, at a poll, and at once when a place becomes free."""

import logging
import random
import threading
import uuid
from collections.abc import Callable

from trainer_worker.supervisor.clock import LastHeard, boottime_s
from trainer_worker.supervisor.refusals import RefusedError
from trainer_worker.supervisor.services_line import ServicesLine
from trainer_worker.supervisor.slots import Slots
from trainer_worker.supervisor.wishes import Wishes
from tutelage_internal.v1 import workers_pb2

_log = logging.getLogger(__name__)

_CLAIM_TIMEOUT_S = 10.0
_PACE_S = 0.05  # between claims in vain: a flood of forged bells makes at most 20 calls a second


class Claiming:
    """The loop that fills the places. It is the only one that takes them."""

    def __init__(
        self,
        *,
        slots: Slots,
        wishes: Wishes,
        line: ServicesLine,
        last_heard: LastHeard,
        describe: Callable[[], workers_pb2.WorkerInfo],
        begin: Callable[[workers_pb2.Assignment], None],
        listen: Callable[[bool], None],
        wake: threading.Event,
        draining: threading.Event,
        given_up: threading.Event,
        poll_s: float,
    ) -> None:
        self._slots, self._wishes, self._line, self._last_heard = slots, wishes, line, last_heard
        self._describe, self._begin, self._listen = describe, begin, listen
        self._wake, self._draining, self._given_up, self._poll_s = wake, draining, given_up, poll_s

    def run(self) -> None:
        """Claims until the worker drains."""
        while True:
            self._wake.clear()  # before the look at `draining`: a drain that begins in between wakes the next wait
            if self._draining.is_set():
                return
            if not self._slots.free():
                self._listen(False)  # it would take bells away from workers with a free place
                self._wake.wait()
            elif not self._claim_unharmed():
                self._listen(True)
                self._draining.wait(_PACE_S)
                self._wake.wait(self._poll_s * random.uniform(0.5, 1.0))  # a fleet must not poll in step

    def _claim_unharmed(self) -> bool:
        try:
            return self._claim()
        except Exception:  # a host without threads left may have some later; without this loop the worker idles
            _log.exception("a claim broke")
            return False

    def _claim(self) -> bool:
        """Claims once; whether there was a job."""
        rung = self._wishes.count()
        request = workers_pb2.ClaimJobRequest(
            worker=self._describe(), claim_id=str(uuid.uuid4()), wished_job_uid=self._wishes.take()
        )
        sent_s = boottime_s()
        try:
            # The same claim_id until there is an answer: a lost one must not cost a lease.
            answer = self._line.call_until_answered(
                self._line.workers.ClaimJob, request, timeout_s=_CLAIM_TIMEOUT_S, given_up=self._given_up
            )
        except RefusedError as error:
            _log.error("services refused a claim", extra={"error": str(error)})
            return False
        if answer is None or not answer.HasField("assignment"):
            self._wishes.forget(rung - 1)
            return False
        self._last_heard.answered(sent_s)
        self._begin(answer.assignment)
        return True

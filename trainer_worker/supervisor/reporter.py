"""Reports the facts of one attempt, in order, and makes its checkpoints count."""

import logging
import threading

from trainer_worker.supervisor.clock import now_s
from trainer_worker.supervisor.orders import Order, Orders
from trainer_worker.supervisor.refusals import Meaning, Refusal, RefusedError
from trainer_worker.supervisor.services_line import ServicesLine
from trainer_worker.supervisor.spool import FactSpool
from tutelage.v1 import jobs_pb2
from tutelage_internal.v1 import facts_pb2, workers_pb2

_log = logging.getLogger(__name__)

BATCH_FACTS_MAX = 200
_BATCH_BYTES_MAX = 1024 * 1024  # a call may carry 4 MiB
_REPORT_TIMEOUT_S = 10.0
_COMMIT_TIMEOUT_S = 60.0  # services look into the artifact store


class Reporter:
    """Sends what lies in the spool, about every `interval_s` seconds or as soon as a batch is full."""

    def __init__(
        self,
        attempt: workers_pb2.Attempt,
        *,
        spool: FactSpool,
        line: ServicesLine,
        orders: Orders,
        given_up: threading.Event,
        interval_s: float,
    ) -> None:
        self.complete_committed = False
        self.commit_refused = ""
        self._attempt, self._spool, self._line, self._orders = attempt, spool, line, orders
        self._given_up, self._interval_s = given_up, interval_s
        self._hurry = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reporter", daemon=True)
        self._thread.start()

    def flush(self) -> bool:
        """Returns once every fact is acknowledged and every checkpoint answered; False if that will not be."""
        self._hurry.set()
        while self._spool.pending() and self._thread.is_alive() and not self._orders.void.is_set():
            self._spool.wait_for_change(0.2)
        self._hurry.clear()
        return not self._spool.pending()

    def _run(self) -> None:
        try:
            while not self._given_up.is_set():
                self._wait_for_batch()
                if batch := self._batch():
                    self._report(batch)
        except RefusedError as error:
            self._refused(error.refusal)
        except Exception as error:
            _log.exception("reporting broke")
            self._orders.give(Order.LOST, f"the facts cannot be reported: {error}")

    def _batch(self) -> list[facts_pb2.Fact]:
        """The next facts, cut after a checkpoint, so that its commit carries exactly what came before."""
        batch = self._spool.batch(facts_max=BATCH_FACTS_MAX, bytes_max=_BATCH_BYTES_MAX)
        for number, fact in enumerate(batch, 1):
            if fact.HasField("checkpoint_written"):
                return batch[:number]
        return batch

    def _wait_for_batch(self) -> None:
        until_s = now_s() + self._interval_s
        while not self._given_up.is_set():
            left_s = until_s - now_s()
            pending = self._spool.pending()
            if pending >= BATCH_FACTS_MAX or (pending and (left_s <= 0 or self._hurry.is_set())):
                return
            self._spool.wait_for_change(left_s if left_s > 0 else 0.5)

    def _report(self, batch: list[facts_pb2.Fact]) -> None:
        request = workers_pb2.ReportFactsRequest(attempt=self._attempt, facts=batch)
        answer = self._line.call_until_answered(
            self._line.workers.ReportFacts, request, timeout_s=_REPORT_TIMEOUT_S, given_up=self._given_up
        )
        if answer is None:
            return
        if batch[-1].HasField("checkpoint_written") and answer.acknowledged_seq >= batch[-1].seq:
            self._commit(batch[-1])
        # After the commit: an empty spool means that every checkpoint has been answered too.
        self._spool.acknowledge(answer.acknowledged_seq)

    def _commit(self, fact: facts_pb2.Fact) -> None:
        request = workers_pb2.CommitCheckpointRequest(
            attempt=self._attempt, checkpoint=fact.checkpoint_written, through_seq=fact.seq
        )
        try:
            answer = self._line.call_until_answered(
                self._line.workers.CommitCheckpoint, request, timeout_s=_COMMIT_TIMEOUT_S, given_up=self._given_up
            )
        except RefusedError as error:
            if error.refusal.meaning is Meaning.STALE:
                raise
            self._refused_checkpoint(fact.checkpoint_written.step, error.refusal)
            return
        self.complete_committed |= answer is not None and fact.checkpoint_written.complete

    def _refused_checkpoint(self, step: int, refusal: Refusal) -> None:
        # Training goes on: the checkpoint before it still counts, and the next one may be well.
        self.commit_refused = f"the checkpoint after step {step} was refused: {refusal.message}"
        _log.error("a checkpoint was refused", extra={"job": self._attempt.job_uid, "step": step})
        note = jobs_pb2.Note(level=jobs_pb2.NOTE_LEVEL_WARNING, kind="checkpoint_refused", message=self.commit_refused)
        fact = facts_pb2.Fact(note=note)
        fact.time.GetCurrentTime()
        self._spool.append(fact)

    def _refused(self, refusal: Refusal) -> None:
        order = {Meaning.STALE: Order.STALE, Meaning.REFUSED: Order.BROKEN}.get(refusal.meaning, Order.LOST)
        self._orders.give(order, f"services refused the facts of this attempt: {refusal.message}")

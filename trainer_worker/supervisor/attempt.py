"""One attempt at a job, from its assignment to its last report."""

import logging
import threading

from trainer_worker.supervisor import verdict
from trainer_worker.supervisor.orders import Order, Orders
from trainer_worker.supervisor.refusals import Meaning, RefusedError
from trainer_worker.supervisor.reporter import Reporter
from trainer_worker.supervisor.services_line import ServicesLine
from trainer_worker.supervisor.spool import FactSpool
from trainer_worker.supervisor.training import Training
from trainer_worker.supervisor.verdict import TrainerEnd, Verdict
from tutelage_internal.v1 import pipe_pb2, workers_pb2

_log = logging.getLogger(__name__)

_CALL_TIMEOUT_S = 30.0


class Attempt:
    """Runs trainers until the attempt is over, and tells services how it ended."""

    def __init__(
        self,
        assignment: workers_pb2.Assignment,
        *,
        training: Training,
        spool: FactSpool,
        orders: Orders,
        line: ServicesLine,
        report_s: float,
    ) -> None:
        self.assignment, self.orders = assignment, orders
        self._training, self._spool, self._line, self._report_s = training, spool, line, report_s
        self._over = threading.Event()
        self._extra = {"job": assignment.attempt.job_uid, "epoch": assignment.attempt.epoch}

    def status(self) -> workers_pb2.AttemptStatus:
        """For the heartbeat."""
        return workers_pb2.AttemptStatus(attempt=self.assignment.attempt, step=self._training.step)

    def run(self) -> None:
        """Does it all. Returns when services have been told, or when nothing they are told would count."""
        _log.info("attempt begins", extra=self._extra | {"job_name": self.assignment.job})
        self._reporter = Reporter(
            self.assignment.attempt,
            spool=self._spool,
            line=self._line,
            orders=self.orders,
            given_up=self._over,
            interval_s=self._report_s,
        )
        try:
            if (end := self._train()) is not None:
                self._conclude(end)
        except RefusedError as error:
            _log.warning("services refused the end of an attempt", extra=self._extra | {"error": str(error)})
        finally:
            self._over.set()
            self._spool.close()

    def _train(self) -> TrainerEnd | None:
        """Runs trainers until one ends otherwise than over an unreadable checkpoint. None: services know already."""
        while True:
            end = self._training.run(self.assignment)
            if not self._wants_older_checkpoint(end):
                return end
            if not self._take_older_checkpoint(end):
                return None

    def _wants_older_checkpoint(self, end: TrainerEnd) -> bool:
        return (
            end.goodbye is not None
            and end.goodbye.ending == pipe_pb2.ENDING_BAD_CHECKPOINT
            and self.assignment.HasField("resume")
            and self.orders.highest() in (None, Order.PAUSE, Order.DRAIN, Order.UNHEARD)
        )

    def _take_older_checkpoint(self, end: TrainerEnd) -> bool:
        self._reporter.flush()
        bad = self.assignment.resume
        request = workers_pb2.RejectCheckpointRequest(
            attempt=self.assignment.attempt,
            step=bad.step,
            manifest_sha256=bad.manifest_sha256,
            message=end.goodbye.failure.message if end.goodbye else "",
        )
        _log.warning("the checkpoint cannot be read", extra=self._extra | {"step": bad.step, "why": request.message})
        answer = self._line.call_until_answered(
            self._line.workers.RejectCheckpoint, request, timeout_s=_CALL_TIMEOUT_S, given_up=self.orders.void
        )
        if answer is None or not answer.HasField("resume"):
            return False
        self.assignment.resume.CopyFrom(answer.resume)
        return True

    def _conclude(self, end: TrainerEnd) -> None:
        """Reports the rest, then the end. Orders that arrived meanwhile count."""
        flushed = self._reporter.flush()
        order = self.orders.highest()
        if order is Order.STALE:
            _log.warning("the attempt is over: another one holds the job", extra=self._extra)
            return
        why = self.orders.why(order) if order is not None else ""
        judged = self._completed(verdict.judge(end, order=order, why=why))
        # 0 asks for no fact: after a cancel, or facts that were refused, the rest does not matter.
        self._finish(judged, through_seq=self._spool.last_seq if flushed else 0)

    def _completed(self, judged: Verdict) -> Verdict:
        """A run is complete when its complete checkpoint counts, not when the trainer says so."""
        if judged.outcome != workers_pb2.OUTCOME_COMPLETE or self._reporter.complete_committed:
            return judged
        if self._reporter.commit_refused:
            return verdict.interrupted(self._reporter.commit_refused)
        return verdict.failed("the trainer called itself complete without having written a complete checkpoint")

    def _finish(self, judged: Verdict, *, through_seq: int) -> None:
        try:
            self._tell_end(judged, through_seq=through_seq)
        except RefusedError as error:
            if error.refusal.meaning is Meaning.STALE or judged.outcome == workers_pb2.OUTCOME_INTERRUPTED:
                raise
            # Better an end of another kind than an attempt that waits for its lease to run out.
            message = f"services refused the end of the attempt: {error}"
            order = Order.CANCEL if Order.CANCEL in self.orders.given() else Order.LOST
            again = verdict.judge(TrainerEnd(), order=order, why=message)
            self._tell_end(again, through_seq=0)

    def _tell_end(self, judged: Verdict, *, through_seq: int) -> None:
        request = workers_pb2.FinishAttemptRequest(
            attempt=self.assignment.attempt, outcome=judged.outcome, through_seq=through_seq, failure=judged.failure
        )
        outcome = workers_pb2.Outcome.Name(judged.outcome)
        message = judged.failure.message if judged.failure is not None else ""
        _log.info("attempt ends", extra=self._extra | {"outcome": outcome, "why": message})
        self._line.call_until_answered(
            self._line.workers.FinishAttempt, request, timeout_s=_CALL_TIMEOUT_S, given_up=self.orders.stale
        )

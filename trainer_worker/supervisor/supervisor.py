"""The supervisor put together: its parts, its threads, and its way out."""

import importlib.metadata
import logging
import os
import re
import secrets
import socket
import threading
from collections.abc import Callable

from trainer_worker.supervisor import device, scratch
from trainer_worker.supervisor.attempt import Attempt
from trainer_worker.supervisor.bell_listener import BellListener
from trainer_worker.supervisor.claiming import Claiming
from trainer_worker.supervisor.clock import LastHeard, now_s
from trainer_worker.supervisor.heartbeats import Heartbeats
from trainer_worker.supervisor.launcher import Launcher
from trainer_worker.supervisor.main_thread import MainThread
from trainer_worker.supervisor.orders import Graces, Order, Orders
from trainer_worker.supervisor.services_line import ServicesLine
from trainer_worker.supervisor.settings import Settings
from trainer_worker.supervisor.slots import Slots
from trainer_worker.supervisor.spool import FactSpool
from trainer_worker.supervisor.trainer_record import TrainerRecord
from trainer_worker.supervisor.training import Patience, Training
from trainer_worker.supervisor.wishes import Wishes
from tutelage_internal.v1 import workers_pb2

_log = logging.getLogger(__name__)


class Supervisor:
    """Everything that one worker runs besides its children. The main thread starts those."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._worker_id = _worker_id()
        self._device = device.seen(os.environ)
        self._version = importlib.metadata.version("tutelage-server")
        self._wake, self._draining, self._given_up = threading.Event(), threading.Event(), threading.Event()
        self._stopped = threading.Event()
        self._last_heard = LastHeard()
        self._main_thread = MainThread()
        self._slots = Slots(settings.slots, changed=self._wake)
        self._record = TrainerRecord(settings.scratch_dir / "trainers.json", mark=self._worker_id)
        self._launcher = Launcher(settings, main_thread=self._main_thread, record=self._record)
        self._line = ServicesLine(settings.services_address, secret=settings.worker_secret)
        self._heartbeat_line = ServicesLine(settings.services_address, secret=settings.worker_secret)
        self._heartbeats = self._make_heartbeats()
        self._wishes = Wishes(rung=self._wake)
        self._listener = BellListener(
            broker_url=settings.broker_url,
            name=self._worker_id,
            canary_s=settings.bell_canary_s,
            main_thread=self._main_thread,
            wishes=self._wishes,
        )

    def run(self) -> None:
        """Works until it has drained. To be called on the main thread."""
        killed = self._record.end_predecessors()
        scratch.clear_attempts(self._settings.scratch_dir)
        _log.info("supervisor starts", extra={"worker": self._worker_id, "leftovers_killed": killed})
        _thread("heartbeats", self._heartbeats.run)
        _thread("ticks", self._tick)
        claiming = _thread("claiming", self._claiming().run)
        listener = _thread("bell-listener", self._listener.run)
        spare = _thread("spare", self._launcher.spare.run) if self._settings.spare_trainers else None
        self._after_drain = (claiming, *filter(None, (listener, spare)))
        self._main_thread.serve()
        self._stopped.set()
        _log.info("supervisor leaves", extra={"worker": self._worker_id, "attempts_left": len(self._slots.held())})

    def drain(self) -> None:
        """Begins the way out. May be called from a signal handler, and more than once."""
        self._main_thread.hand_in(self._begin_drain)

    def _begin_drain(self) -> None:
        if not self._draining.is_set():
            _log.info("supervisor drains")
            self._draining.set()
            _thread("drain", self._drain)

    def _drain(self) -> None:
        deadline_s = now_s() + self._settings.stop_grace_s
        self._wake.set()
        self._heartbeats.hurry()
        self._listener.stop()
        self._launcher.spare.stop()
        for attempt in self._slots.held():
            attempt.orders.give(Order.DRAIN)
        claiming, *keepers = self._after_drain
        # A claim on its way is waited for: its answer may be a job that must be handed back.
        claiming.join(self._settings.stop_grace_s - self._settings.last_checkpoint_s)
        self._given_up.set()
        pause = threading.Event()
        while self._slots.held() and now_s() < deadline_s:
            pause.wait(0.05)
        for keeper in keepers:
            keeper.join(max(0.0, deadline_s - now_s()))
        self._main_thread.leave()

    def _begin(self, assignment: workers_pb2.Assignment) -> None:
        attempt = self._attempt(assignment)
        if self._slots.take(attempt):
            if self._draining.is_set():
                attempt.orders.give(Order.DRAIN)
            self._heartbeats.hurry()
            try:
                _thread("attempt", lambda: self._run(attempt))
            except RuntimeError:  # no thread left: a lease that runs out is better than one that nobody works under
                self._slots.give_back(attempt)
                raise

    def _run(self, attempt: Attempt) -> None:
        try:
            attempt.run()
        except Exception:
            # The lease runs out and another attempt begins; the reason is for the operator.
            _log.exception("an attempt broke", extra={"job": attempt.assignment.attempt.job_uid})
        finally:
            self._launcher.clear(attempt.assignment.attempt)
            self._slots.give_back(attempt)

    def _attempt(self, assignment: workers_pb2.Assignment) -> Attempt:
        settings, orders = self._settings, Orders()
        spool = FactSpool(
            self._launcher.attempt_dir(assignment.attempt) / "spool", file_bytes_max=settings.spool_bytes_max
        )
        patience = Patience(
            limits=settings.limits,
            graces=Graces(stop_s=settings.last_checkpoint_s),
            max_unheard_s=settings.max_unheard_s,
        )
        training = Training(
            launcher=self._launcher, spool=spool, orders=orders, last_heard=self._last_heard, patience=patience
        )
        return Attempt(
            assignment, training=training, spool=spool, orders=orders, line=self._line, report_s=settings.report_s
        )

    def _claiming(self) -> Claiming:
        return Claiming(
            slots=self._slots,
            wishes=self._wishes,
            line=self._line,
            last_heard=self._last_heard,
            describe=self._describe,
            begin=self._begin,
            listen=self._listener.want,
            wake=self._wake,
            draining=self._draining,
            given_up=self._given_up,
            poll_s=self._settings.poll_s,
        )

    def _make_heartbeats(self) -> Heartbeats:
        return Heartbeats(
            slots=self._slots,
            line=self._heartbeat_line,
            last_heard=self._last_heard,
            describe=self._describe,
            interval_s=self._settings.heartbeat_s,
        )

    def _tick(self) -> None:
        # A thread of its own: whatever becomes of services, trainers hear that their supervisor lives.
        while not self._stopped.wait(self._settings.tick_s):
            self._launcher.tick()

    def _describe(self) -> workers_pb2.WorkerInfo:
        return workers_pb2.WorkerInfo(
            worker_id=self._worker_id,
            slots=self._settings.slots,
            slots_used=self._settings.slots - self._slots.free(),
            device=self._device,
            version=self._version,
            draining=self._draining.is_set(),
        )


def _thread(name: str, work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    return thread


def _worker_id() -> str:
    host = re.sub(r"[^a-z0-9]+", "-", socket.gethostname().lower()).strip("-")[:40].strip("-")
    return f"{host or 'worker'}-{secrets.token_hex(4)}"

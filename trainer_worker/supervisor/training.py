"""The life of one trainer: started, watched, asked to end when that is wanted, and cleared away."""

import logging
from dataclasses import dataclass

from trainer_worker.supervisor import memory_pressure
from trainer_worker.supervisor.clock import LastHeard, now_s
from trainer_worker.supervisor.launcher import Launcher
from trainer_worker.supervisor.orders import Graces, Order, Orders, force_of
from trainer_worker.supervisor.pipe import PipeError
from trainer_worker.supervisor.pipe_reader import PipeReader
from trainer_worker.supervisor.spool import FactSpool
from trainer_worker.supervisor.trainer_process import TrainerProcess
from trainer_worker.supervisor.verdict import TrainerEnd
from trainer_worker.supervisor.watchdog import SectionLimits, Watchdog
from tutelage_internal.v1 import workers_pb2

_log = logging.getLogger(__name__)

_GLANCE_S = 0.1  # how often a trainer is looked at; an order or the end of its pipe is seen at once
_EXIT_S = 30.0  # from last words to the end of the process: unloading torch and CUDA takes seconds
_POINTLESS = (Order.DRAIN, Order.CANCEL, Order.STALE)  # under these no trainer is started any more
_UNREPORTED = (Order.LOST, Order.BROKEN, Order.CANCEL, Order.STALE)  # under these a full spool gets no room any more


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long a trainer is waited for."""

    limits: SectionLimits
    graces: Graces
    max_unheard_s: float


class Training:
    """Runs the trainers of one attempt, one at a time."""

    def __init__(
        self, *, launcher: Launcher, spool: FactSpool, orders: Orders, last_heard: LastHeard, patience: Patience
    ) -> None:
        self._launcher, self._spool, self._orders = launcher, spool, orders
        self._last_heard, self._patience = last_heard, patience
        self._watchdog = Watchdog(patience.limits, now_s=now_s())

    @property
    def step(self) -> int:
        """Last step done."""
        return self._watchdog.step

    def run(self, assignment: workers_pb2.Assignment) -> TrainerEnd:
        """Starts a trainer and returns when it is gone with all its descendants, and all it said is in the spool."""
        if self._orders.highest() in _POINTLESS:
            return TrainerEnd()
        killed_before = memory_pressure.oom_kills()
        try:
            trainer = self._launcher.launch(assignment)
        except (OSError, PipeError) as error:
            self._orders.give(Order.LOST, f"the trainer could not be started: {error}")
            return TrainerEnd()
        try:
            reader = self._follow(trainer)
        finally:
            # Also after a mistake in here: nothing may go on training that nobody watches.
            exit_code = self._launcher.bury(trainer)
        self._hear_the_rest(reader)
        return TrainerEnd(
            exit_code=exit_code,
            goodbye=reader.goodbye,
            out_of_memory=memory_pressure.oom_kills() > killed_before,
            stderr=trainer.stderr.text(),
        )

    def _follow(self, trainer: TrainerProcess) -> PipeReader:
        self._watchdog = Watchdog(self._patience.limits, now_s=now_s())
        reader = PipeReader(trainer.facts_fd, spool=self._spool, watchdog=self._watchdog, orders=self._orders)
        while not trainer.exited():
            self._look(reader)
            trainer.apply(force_of(self._orders.given(), graces=self._patience.graces, at_s=now_s()))
            self._orders.changed.wait(_GLANCE_S)
            self._orders.changed.clear()
        return reader

    def _look(self, reader: PipeReader) -> None:
        if self._last_heard.silence_s() > self._patience.max_unheard_s:
            self._orders.give(Order.UNHEARD, f"services were silent for {self._patience.max_unheard_s:g} s")
        if reader.goodbye is not None:
            if now_s() - reader.goodbye_s > _EXIT_S:
                self._orders.give(Order.HUNG, f"still running {_EXIT_S:g} s after its last words")
        elif (overdue := self._watchdog.overdue(now_s=now_s())) is not None:
            self._orders.give(Order.HUNG, overdue)

    def _hear_the_rest(self, reader: PipeReader) -> None:
        while not reader.finish(limit_s=0.5):
            if self._orders.highest() in _UNREPORTED:
                reader.give_up()

"""Hears what one trainer tells, puts its facts into the spool and keeps its last words."""

import os
import select
import threading

from trainer_worker.supervisor import pipe
from trainer_worker.supervisor.clock import now_s
from trainer_worker.supervisor.orders import Order, Orders
from trainer_worker.supervisor.spool import FactSpool
from trainer_worker.supervisor.watchdog import Watchdog
from tutelage_internal.v1 import facts_pb2, pipe_pb2

_CHUNK_BYTES = 64 * 1024
_FACT_BYTES_MAX = 4 * 1024 * 1024 - 64 * 1024  # with its envelope it must fit into a call of 4 MiB


class PipeReader:
    """Reads file descriptor 3 of a trainer on a thread of its own.

    When the spool is full it stops reading: the pipe fills up and the trainer waits in its next write. That is no hang,
    so the watchdog is held meanwhile.
    """

    def __init__(self, fd: int, *, spool: FactSpool, watchdog: Watchdog, orders: Orders) -> None:
        self.goodbye: pipe_pb2.Goodbye | None = None
        self.goodbye_s = 0.0
        self._fd, self._spool, self._watchdog, self._orders = fd, spool, watchdog, orders
        self._writer_gone = threading.Event()
        self._given_up = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pipe-reader", daemon=True)
        self._thread.start()

    def finish(self, *, limit_s: float) -> bool:
        """After the trainer's end: waits until all that it had said is in the spool, and returns whether it is."""
        self._writer_gone.set()
        self._thread.join(limit_s)
        return not self._thread.is_alive()

    def give_up(self) -> None:
        """Stops without reading the rest: nobody will want it."""
        self._given_up.set()

    def _run(self) -> None:
        try:
            self._listen()
        except pipe.PipeError as error:
            self._orders.give(Order.BROKEN, f"what the trainer tells cannot be used: {error}")
        except Exception as error:  # going on would leave a hole in the record
            self._orders.give(Order.LOST, f"what the trainer tells cannot be kept: {error}")
        finally:
            os.close(self._fd)
            self._orders.changed.set()

    def _listen(self) -> None:
        decoder = pipe.FrameDecoder()
        while data := self._read():
            for message in decoder.feed(data):
                self._take(message)

    def _read(self) -> bytes:
        # A descendant that escaped the session could hold the pipe open for ever: then silence after the end ends it.
        while not self._given_up.is_set():
            ended = self._writer_gone.is_set()
            if select.select([self._fd], [], [], 0.5)[0]:
                return os.read(self._fd, _CHUNK_BYTES)
            if ended:
                break
        return b""

    def _take(self, message: pipe_pb2.FromTrainer) -> None:
        kind = message.WhichOneof("message")
        if kind == "fact":
            self._keep(message.fact)
        elif kind == "progress":
            self._watchdog.progress(message.progress, now_s=now_s())
        elif kind == "goodbye":
            self.goodbye, self.goodbye_s = message.goodbye, now_s()

    def _keep(self, fact: facts_pb2.Fact) -> None:
        if fact.ByteSize() > _FACT_BYTES_MAX:
            raise pipe.PipeError(f"a fact of {fact.ByteSize()} bytes is longer than {_FACT_BYTES_MAX}")
        if self._spool.append(fact):
            return
        self._watchdog.hold()
        while not self._spool.append(fact) and not self._given_up.is_set():
            self._spool.wait_for_change(0.5)
        self._watchdog.release(now_s=now_s())

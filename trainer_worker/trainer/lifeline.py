"""A trainer must not outlive its supervisor: what it hears, and when it leaves.

Four things end a trainer whose supervisor is gone: the kernel kills it when its parent dies (Linux), its standard input
ends, its facts find no reader, and ticks stop. The last also covers a supervisor that is frozen.
"""

import select
import signal
import threading

from trainer_worker.trainer.parent import EXIT_ABANDONED, die_with_parent, leave
from trainer_worker.trainer.pipe import Reader, SupervisorGone

__all__ = ["EXIT_ABANDONED", "Lifeline", "die_with_parent", "leave"]

TICK_LIMIT_S = 20.0


class Lifeline:
    """Listens to the supervisor in a thread of its own; `stop_asked` says what the recipe has to know."""

    def __init__(self, reader: Reader, *, tick_limit_s: float = TICK_LIMIT_S) -> None:
        self.reader = reader
        self.tick_limit_s = tick_limit_s
        self.stopping = threading.Event()

    def stop_asked(self) -> bool:
        return self.stopping.is_set()

    def start(self) -> None:
        threading.Thread(target=self.listen, name="lifeline", daemon=True).start()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stopping.set())

    def listen(self) -> None:
        """Leaves when nothing is heard for too long. What waits in the pipe is heard first: a trainer that was frozen
        itself does not blame its supervisor."""
        while True:
            readable, _, _ = select.select([self.reader.descriptor], [], [], self.tick_limit_s)
            if not readable:
                leave(f"no sign of the supervisor for {self.tick_limit_s:g} s")
            try:
                message = self.reader.read()
            except SupervisorGone as error:
                leave(str(error))
            if message.WhichOneof("message") == "stop":
                self.stopping.set()

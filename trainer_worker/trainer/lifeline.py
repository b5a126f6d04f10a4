"""A trainer must not outlive its supervisor: what it hears, and when it leaves.

Four things end a trainer whose supervisor is gone: the kernel kills it when its parent dies (Linux), its standard input
ends, its facts find no reader, and ticks stop. The last also covers a supervisor that is frozen.
"""

import ctypes
import json
import os
import select
import signal
import sys
import threading
import time
from typing import NoReturn

from trainer_worker.trainer.pipe import Reader, SupervisorGone

TICK_LIMIT_S = 20.0
EXIT_ABANDONED = 75
PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Asks the kernel for SIGKILL at the death of the parent, and leaves if that has happened already."""
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        leave("the supervisor died at once")


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


def leave(why: str) -> NoReturn:
    """Ends the process from any thread, at once: no checkpoint of an orphan may count."""
    line = {"level": "error", "room": "trainer", "time": round(time.time(), 3), "message": f"the trainer leaves: {why}"}
    print(json.dumps(line), file=sys.stderr, flush=True)
    os._exit(EXIT_ABANDONED)

"""A message that the listener sends to itself, to find out whether it still hears.

Celery has been seen to stay connected and consume nothing after a reconnect. So every half minute a canary is published
to a queue of our own and must come back through the same consumer. The queue has no binding and holds nothing for
longer than a moment, so it leaves nothing behind in the broker.
"""

import contextlib
import threading

from celery import Celery
from kombu import Exchange, Queue

from trainer_worker.bell.line import Line

TASK = "tutelage.canary"


def queue_of(name: str) -> Queue:
    """The queue of one listener."""
    queue = f"tutelage.canary.{name}"
    return Queue(queue, Exchange(""), routing_key=queue)


class Canary:
    """Lets one fly now and then."""

    def __init__(self, app: Celery, *, name: str, line: Line, interval_s: float) -> None:
        self._app, self._queue, self._line, self._interval_s = app, queue_of(name), line, interval_s

    def start(self) -> None:
        """On a thread of its own."""
        threading.Thread(target=self._run, name="canary", daemon=True).start()

    def _run(self) -> None:
        pause = threading.Event()
        while not pause.wait(self._interval_s):
            try:
                self._app.send_task(TASK, queue=self._queue, retry=False, ignore_result=True, expires=60)
            except Exception:
                # The broker is away: another listener would hear as little, so this one is as good as any.
                self._line.alive()


def clear(app: Celery, *, name: str) -> None:
    """Empties the queue: a canary that was in the air when the listener ended would lie in it for ever."""
    with contextlib.suppress(Exception), app.connection_for_write() as connection:
        queue_of(name)(connection.default_channel).purge()

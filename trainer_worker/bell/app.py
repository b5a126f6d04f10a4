"""The Celery app with its one task, and the canary beside it."""

import logging
from typing import Any

from celery import Celery
from kombu import Queue

from trainer_worker.bell import canary
from trainer_worker.bell.configuration import CONFIGURATION, QUEUE, TASK
from trainer_worker.bell.line import Line

_log = logging.getLogger(__name__)


def make_app(broker_url: str, *, line: Line, name: str) -> Celery:
    """An app that listens for bells, and for its own canary."""
    app = Celery("tutelage", broker=broker_url, set_as_current=False)
    app.conf.update(CONFIGURATION, task_queues=[Queue(QUEUE), canary.queue_of(name)], task_default_queue=QUEUE)

    def bell(job_id: Any = None, **_unexpected: Any) -> None:
        try:
            if not line.ring(job_id):
                _log.warning("a bell without a job id was dropped")
        except (Exception, MemoryError):  # whatever leaves a task may end the listener
            _log.exception("a bell was lost")

    def canary_heard() -> None:
        line.alive()

    app.task(name=TASK, shared=False)(bell)
    app.task(name=canary.TASK, shared=False)(canary_heard)
    return app

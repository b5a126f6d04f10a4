"""Rings the bell over Celery: the id of a job, and no authority.

One try, with short time-outs and no result backend: whoever waits for Redis must not wait long, and what is lost is
rung again. Celery's own retries would hang for minutes while Redis is frozen.
"""

import celery
import kombu
import kombu.exceptions
import redis.exceptions

from services.domain.errors import Unavailable

APP = "tutelage"
TASK = "tutelage.bell"
QUEUE = "tutelage.bells"
KEY_PREFIX = "tutelage:"
CONNECT_TIMEOUT_S = 2
SOCKET_TIMEOUT_S = 5


class CeleryDispatcher:
    """Publishes to one Redis. Several threads may ring."""

    def __init__(self, broker_url: str) -> None:
        self._app = make_app(broker_url)

    def ring(self, job_uid: str) -> None:
        """Ring once. Raises: Unavailable."""
        try:
            self._app.send_task(TASK, kwargs={"job_id": job_uid}, queue=QUEUE, retry=False, ignore_result=True)
        except (kombu.exceptions.OperationalError, redis.exceptions.RedisError, OSError) as error:
            raise Unavailable(f"the broker does not answer: {error}") from error

    def close(self) -> None:
        """Give the connections back."""
        self._app.close()


class NoDispatcher:
    """Rings nobody: workers find their jobs by polling."""

    def ring(self, job_uid: str) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


def make_app(broker_url: str) -> celery.Celery:
    """Return the Celery application of the publisher; connects when it first publishes."""
    app = celery.Celery(APP, broker=broker_url, set_as_current=False)
    app.conf.update(
        task_serializer="json",
        accept_content=["json"],
        result_backend=None,
        task_ignore_result=True,
        task_publish_retry=False,
        worker_send_task_events=False,
        broker_connection_retry_on_startup=False,
        broker_connection_max_retries=0,
        task_queues=[kombu.Queue(QUEUE, kombu.Exchange(""), routing_key=QUEUE)],  # no binding that a flush could remove
        broker_transport_options={
            "global_keyprefix": KEY_PREFIX,
            "socket_timeout": SOCKET_TIMEOUT_S,
            "socket_connect_timeout": CONNECT_TIMEOUT_S,
            "socket_keepalive": True,
            "health_check_interval": 10,
            "max_retries": 0,
            "visibility_timeout": 60,
        },
    )
    return app

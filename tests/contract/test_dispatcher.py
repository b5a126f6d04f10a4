"""Bells over a real broker: what is in them, and how soon trouble is said."""

import base64
import json
import os
import signal
import time
from collections.abc import Iterator

import pytest

from services.dispatch.celery_dispatcher import KEY_PREFIX, QUEUE, TASK, CeleryDispatcher
from services.domain.errors import Unavailable
from tests.support import brokers
from tests.support.brokers import Broker

JOB = "0e7c9a3e-5d6b-4d4e-9a39-1f4f6f0b8f11"
SOON_S = 12.0


@pytest.fixture
def broker() -> Iterator[Broker]:
    with brokers.running() as running:
        yield running


@pytest.fixture
def dispatcher(broker: Broker) -> Iterator[CeleryDispatcher]:
    made = CeleryDispatcher(broker.url)
    yield made
    made.close()


def messages(broker: Broker) -> list[dict[str, object]]:
    """Return the messages in the queue, oldest first."""
    raw = broker.client.lrange(f"{KEY_PREFIX}{QUEUE}", 0, -1)
    return [json.loads(each) for each in reversed(raw)]


def test_a_bell_holds_the_id_of_a_job_and_nothing_else(broker: Broker, dispatcher: CeleryDispatcher) -> None:
    dispatcher.ring(JOB)
    (message,) = messages(broker)
    args, kwargs, _ = json.loads(base64.b64decode(message["body"]))
    assert (args, kwargs) == ([], {"job_id": JOB})
    assert message["headers"]["task"] == TASK


def test_every_key_stands_under_our_prefix(broker: Broker, dispatcher: CeleryDispatcher) -> None:
    dispatcher.ring(JOB)
    assert all(key.startswith(KEY_PREFIX.encode()) for key in broker.client.keys("*"))


def test_an_emptied_broker_takes_the_next_bell(broker: Broker, dispatcher: CeleryDispatcher) -> None:
    dispatcher.ring(JOB)
    broker.client.flushall()
    dispatcher.ring(JOB)
    assert len(messages(broker)) == 1


def test_a_broker_that_is_away_is_said_to_be_away_soon(broker: Broker, dispatcher: CeleryDispatcher) -> None:
    dispatcher.ring(JOB)
    broker.kill()
    began = time.monotonic()
    with pytest.raises(Unavailable):
        dispatcher.ring(JOB)
    assert time.monotonic() - began < SOON_S
    broker.start()
    dispatcher.ring(JOB)
    assert len(messages(broker)) == 1


def test_a_broker_that_stands_still_is_said_to_be_away_soon(broker: Broker, dispatcher: CeleryDispatcher) -> None:
    dispatcher.ring(JOB)
    pid = int(broker.client.info("server")["process_id"])
    os.kill(pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        with pytest.raises(Unavailable):
            dispatcher.ring(JOB)
        assert time.monotonic() - began < SOON_S
    finally:
        os.kill(pid, signal.SIGCONT)

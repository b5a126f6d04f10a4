"""Bells: a hint that makes a worker claim at once, and that can be lost, doubled, forged or spoiled without harm."""

import contextlib
import os
import pathlib
import signal
import time
import uuid
from collections.abc import Iterator

import pytest
from celery import Celery

from tests.support import brokers
from tests.support.brokers import Broker
from tests.support.supervisors import Workshop, alive, workshop
from tests.support.waiting import wait_for
from tests.support.workers_double import Job
from trainer_worker.supervisor import processes

QUEUE_KEY = "tutelage:tutelage.bells"


@pytest.fixture
def shop() -> Iterator[Workshop]:
    with workshop() as opened:
        yield opened


@pytest.fixture
def broker() -> Iterator[Broker]:
    with brokers.running() as server:
        yield server


class Ringer:
    """Rings as services do."""

    def __init__(self, broker: Broker) -> None:
        self._app = Celery("ringer", broker=broker.url, set_as_current=False)
        self._app.conf.update(result_backend=None, broker_transport_options={"global_keyprefix": "tutelage:"})

    def ring(self, *, queue: str = "tutelage.bells", **bell: object) -> None:
        self._app.send_task("tutelage.bell", kwargs=bell, queue=queue, retry=False, ignore_result=True)

    def ring_often(self, times: int, broker: Broker, **bell: object) -> None:
        """The same message again and again, faster than it could be published."""
        self.ring(queue="spare", **bell)
        message = broker.client.rpop("tutelage:spare")
        broker.client.lpush(QUEUE_KEY, *[message] * times)


def listener_of(supervisor_pid: int) -> processes.Process | None:
    """The bell listener that a supervisor runs now."""
    for process in processes.living():
        with contextlib.suppress(OSError):
            folder = pathlib.Path(f"/proc/{process.pid}")
            mine = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1]) == supervisor_pid
            if mine and b"trainer_worker.bell" in (folder / "cmdline").read_bytes():
                return process
    return None


def start_listening(shop: Workshop, broker: Broker, **settings: str) -> tuple[int, int]:
    """Starts a supervisor that polls once a minute, and returns its process id and that of its listener."""
    settings = {"TUTELAGE_POLL_SECONDS": "60", "TUTELAGE_BROKER_URL": broker.url} | settings
    supervisor = shop.start(**settings)
    wait_for(lambda: broker.client.client_list(), "somebody connects")
    listener = wait_for(lambda: listener_of(supervisor.pid), "the listener runs")
    wait_for(lambda: _hears(broker), "the listener listens")
    return supervisor.pid, listener.pid


def _hears(broker: Broker) -> bool:
    return any(client["cmd"] == "brpop" for client in broker.client.client_list())


def claimed(job: Job) -> bool:
    return job.epoch > 0


def test_a_bell_makes_the_worker_claim_the_job_it_names(shop: Workshop, broker: Broker) -> None:
    start_listening(shop, broker)
    first, named = shop.services.submit(steps=1), shop.services.submit(steps=1)
    Ringer(broker).ring(job_id=named.uid)
    wait_for(named.outcome, "the job is done without a poll")
    wait_for(first.outcome, "the other job is found when the place becomes free")
    wishes = [call.request.wished_job_uid for call in shop.services.calls if call.method == "ClaimJob"]
    assert wishes[:3] == ["", named.uid, ""]


def test_a_thousand_bells_for_one_job_are_one_wish(shop: Workshop, broker: Broker) -> None:
    start_listening(shop, broker, TUTELAGE_WORKER_SLOTS="2")
    job = shop.services.submit(steps=1)
    since_s = time.monotonic()
    Ringer(broker).ring_often(1000, broker, job_id=job.uid)
    wait_for(lambda: broker.client.llen(QUEUE_KEY) == 0, "all bells are heard", limit_s=60)
    wait_for(job.outcome, "the job is done")
    assert job.epoch == 1 and len(job.finishes) == 1
    # No more than 20 claims in vain are made in each second, however often it rings.
    assert shop.services.count("ClaimJob") < 20 * (time.monotonic() - since_s) + 10


def test_forged_bells_change_nothing(shop: Workshop, broker: Broker) -> None:
    _, listener = start_listening(shop, broker, TUTELAGE_WORKER_SLOTS="2")
    ringer = Ringer(broker)
    for forged in ({}, {"job_id": 7}, {"job_id": "x" * 2000}, {"job_id": str(uuid.uuid4()), "run": "rm"}, {"a": "b"}):
        ringer.ring(**forged)
    ringer.ring(job_id="../../etc/passwd")
    ringer.ring(job_id=str(uuid.uuid4()) + "\nbell x")
    job = shop.services.submit(steps=1)
    ringer.ring(job_id=job.uid)
    wait_for(job.outcome, "a true bell is heard after them")
    wishes = {call.request.wished_job_uid for call in shop.services.calls if call.method == "ClaimJob"}
    assert all(len(wish) in (0, 36) for wish in wishes)
    assert alive(listener)


def test_garbage_in_the_queue_ends_the_listener_but_not_the_trainer(shop: Workshop, broker: Broker) -> None:
    supervisor, listener = start_listening(shop, broker, TUTELAGE_WORKER_SLOTS="2")
    ringer, job = Ringer(broker), shop.services.submit(steps=10_000, pause_s=0.01)
    ringer.ring(job_id=job.uid)
    trainer = shop.trainer(job)
    broker.client.lpush(QUEUE_KEY, b"\x80\x04garbage")
    wait_for(lambda: not alive(listener), "the listener dies of it")
    wait_for(lambda: listener_of(supervisor), "another one is started")
    assert alive(trainer["pid"])
    after = shop.services.submit(steps=1)
    ringer.ring(job_id=after.uid)
    wait_for(after.outcome, "bells are heard again")
    assert alive(trainer["pid"]) and not job.finishes


def test_a_killed_listener_is_started_again_and_the_trainer_lives_on(shop: Workshop, broker: Broker) -> None:
    supervisor, listener = start_listening(shop, broker, TUTELAGE_WORKER_SLOTS="2")
    ringer, job = Ringer(broker), shop.services.submit(steps=10_000, pause_s=0.01)
    ringer.ring(job_id=job.uid)
    trainer = shop.trainer(job)
    for _ in range(2):
        os.kill(listener, signal.SIGKILL)
        wait_for(lambda: not alive(listener), "it is dead")  # noqa: B023
        listener = wait_for(lambda: listener_of(supervisor), "another one is started").pid
    assert alive(trainer["pid"]) and not job.finishes


def test_a_mute_listener_is_replaced(shop: Workshop, broker: Broker) -> None:
    supervisor, listener = start_listening(shop, broker, TUTELAGE_BELL_CANARY_SECONDS="1")
    os.kill(listener, signal.SIGSTOP)
    wait_for(lambda: not alive(listener), "the mute one is killed")
    wait_for(lambda: listener_of(supervisor), "another one is started")


def test_a_listener_that_hears_its_canary_is_left_alone(shop: Workshop, broker: Broker) -> None:
    supervisor, listener = start_listening(shop, broker, TUTELAGE_BELL_CANARY_SECONDS="0.5")
    wait_for(lambda: shop.services.count("Heartbeat") > 30, "three seconds pass, by heartbeats")
    assert listener_of(supervisor).pid == listener


def test_a_worker_without_a_free_place_does_not_listen(shop: Workshop, broker: Broker) -> None:
    supervisor, listener = start_listening(shop, broker)
    ringer, job = Ringer(broker), shop.services.submit(steps=10_000, pause_s=0.01)
    ringer.ring(job_id=job.uid)
    wait_for(lambda: not alive(listener), "the listener is stopped")
    for_others = str(uuid.uuid4())
    ringer.ring(job_id=for_others)
    assert broker.client.llen(QUEUE_KEY) == 1
    job.part["steps"] = 1
    os.kill(shop.trainer(job)["pid"], signal.SIGKILL)
    wait_for(lambda: listener_of(supervisor), "it listens again when the place is free")


def test_a_flushed_broker_goes_on_ringing(shop: Workshop, broker: Broker) -> None:
    start_listening(shop, broker)
    broker.client.flushall()
    job = shop.services.submit(steps=1)
    Ringer(broker).ring(job_id=job.uid)
    wait_for(job.outcome, "the job is done")


def test_a_broker_that_dies_and_comes_back_harms_no_training(shop: Workshop, broker: Broker) -> None:
    start_listening(shop, broker, TUTELAGE_WORKER_SLOTS="2", TUTELAGE_POLL_SECONDS="0.5")
    ringer, job = Ringer(broker), shop.services.submit(steps=10_000, pause_s=0.01)
    ringer.ring(job_id=job.uid)
    trainer = shop.trainer(job)
    broker.kill()
    polled = shop.services.submit(steps=1)
    wait_for(polled.outcome, "a job is found by the poll")
    broker.start()
    wait_for(lambda: _hears(broker), "a listener listens again")
    assert alive(trainer["pid"]) and not job.finishes


def test_a_broker_that_is_absent_at_the_start_is_joined_later(shop: Workshop, broker: Broker) -> None:
    broker.kill()
    shop.start(TUTELAGE_BROKER_URL=broker.url, TUTELAGE_POLL_SECONDS="0.5")
    job = shop.services.submit(steps=1)
    wait_for(job.outcome, "a job is found by the poll")
    broker.start()
    wait_for(lambda: _hears(broker), "the listener has found it")


def test_without_a_broker_there_is_no_listener(shop: Workshop) -> None:
    supervisor = shop.start(TUTELAGE_BROKER_URL="")
    job = shop.services.submit(steps=1)
    wait_for(job.outcome, "a job is found by the poll")
    assert listener_of(supervisor.pid) is None


def test_a_killed_supervisor_takes_its_listener_along(shop: Workshop, broker: Broker) -> None:
    _, listener = start_listening(shop, broker)
    shop.started[0].kill()
    wait_for(lambda: not alive(listener), "the listener is gone", limit_s=2)


def test_a_drained_worker_leaves_nothing_but_bindings_in_the_broker(shop: Workshop, broker: Broker) -> None:
    start_listening(shop, broker)
    shop.started[0].terminate()
    assert shop.started[0].wait(8) == 0
    assert all(b"_kombu.binding" in key for key in broker.client.keys("*"))

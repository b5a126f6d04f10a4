"""Trainers and supervisors die, hang and freeze; what is left is told, and nothing wrong is written."""

import os
import signal
from collections.abc import Iterator

import pytest

from tests.support.supervisors import Workshop, alive, workshop
from tests.support.waiting import wait_for
from tests.support.workers_double import Job
from tutelage.v1 import jobs_pb2
from tutelage_internal.v1 import workers_pb2


@pytest.fixture
def shop() -> Iterator[Workshop]:
    with workshop() as opened:
        yield opened


def ended(job: Job) -> tuple[int, str]:
    """How the attempt ended, and why."""
    wait_for(job.outcome, "the attempt ends")
    return job.finishes[-1].outcome, job.finishes[-1].failure.message


def test_a_killed_supervisor_takes_its_trainer_along(shop: Workshop) -> None:
    job = shop.services.submit(steps=10_000, pause_s=0.01)
    supervisor = shop.start()
    trainer = shop.trainer(job)
    supervisor.kill()
    wait_for(lambda: not alive(trainer["pid"]), "the trainer is gone", limit_s=2)


def test_what_a_killed_supervisor_left_is_ended_by_its_successor_before_it_claims(shop: Workshop) -> None:
    # The children of the trainer have no tie to anybody: they stay when it dies.
    job = shop.services.submit(steps=10_000, pause_s=0.01, children=2)
    supervisor = shop.start()
    trainer = shop.trainer(job)
    supervisor.kill()
    wait_for(lambda: not alive(trainer["pid"]), "the trainer is gone", limit_s=2)
    assert all(alive(pid) for pid in trainer["children"])
    claims = shop.services.count("ClaimJob")
    shop.start()
    wait_for(lambda: shop.services.count("ClaimJob") > claims, "the successor claims")
    assert not any(alive(pid) for pid in trainer["children"])


def test_a_frozen_supervisor_that_wakes_up_after_its_lease_writes_nothing(shop: Workshop) -> None:
    shop.services.heartbeat_s = 60.0  # so that the stale write is tried before a heartbeat could warn of it
    job = shop.services.submit(steps=100_000, pause_s=0.005, children=1)
    supervisor = shop.start()
    trainer = shop.trainer(job)
    wait_for(job.steps, "it trains")
    supervisor.send_signal(signal.SIGSTOP)
    shop.services.lose_lease(job)
    recorded, committed = len(job.facts), len(job.committed)
    supervisor.send_signal(signal.SIGCONT)
    wait_for(lambda: not any(alive(pid) for pid in [trainer["pid"], *trainer["children"]]), "the trainer is killed")
    wait_for(lambda: shop.services.refused, "the stale write was really tried")
    assert (len(job.facts), len(job.committed), job.finishes) == (recorded, committed, [])


def test_the_trainer_of_a_frozen_supervisor_leaves_by_itself(shop: Workshop) -> None:
    job = shop.services.submit(steps=100_000, pause_s=0.005, tick_limit_s=1.0)
    supervisor = shop.start()
    trainer = shop.trainer(job)
    supervisor.send_signal(signal.SIGSTOP)
    # Its parent cannot reap it: a zombie does not train.
    wait_for(lambda: not alive(trainer["pid"]), "the trainer is gone", limit_s=3)
    shop.services.lose_lease(job)
    supervisor.send_signal(signal.SIGCONT)
    after = shop.services.submit(steps=2)
    wait_for(after.outcome, "the supervisor works on")
    assert job.finishes == []


def test_ticks_reach_the_trainer_while_services_are_away(shop: Workshop) -> None:
    job = shop.services.submit(steps=100_000, pause_s=0.005, tick_limit_s=1.0)
    shop.start()
    trainer = shop.trainer(job)
    shop.services.stop()
    with pytest.raises(AssertionError, match="the trainer leaves"):
        wait_for(lambda: not alive(trainer["pid"]), "the trainer leaves", limit_s=2.5)


@pytest.mark.parametrize("name", ["SIGKILL", "SIGSEGV"])
def test_a_trainer_ended_by_a_signal_is_interrupted(shop: Workshop, name: str) -> None:
    job = shop.services.submit(steps=5, then=name)
    shop.start()
    outcome, message = ended(job)
    assert outcome == workers_pb2.OUTCOME_INTERRUPTED
    assert f"ended by {name}" in message
    assert job.steps() == [1, 2, 3, 4, 5]


def test_a_trainer_that_exits_without_last_words_is_interrupted_and_its_stderr_quoted(shop: Workshop) -> None:
    job = shop.services.submit(steps=5, then="exit")
    shop.start()
    outcome, message = ended(job)
    assert outcome == workers_pb2.OUTCOME_INTERRUPTED
    assert "exited with 3" in message and message.endswith("Traceback: it went wrong")
    assert "\x1b" not in message


def test_a_trainer_that_fails_gives_its_own_reason(shop: Workshop) -> None:
    job = shop.services.submit(steps=5, then="fail")
    shop.start()
    outcome, message = ended(job)
    assert (outcome, message) == (workers_pb2.OUTCOME_FAILED, "row 7 is no text")
    assert job.finishes[-1].failure.reason == jobs_pb2.FAILURE_REASON_BAD_INPUT


def test_a_trainer_that_talks_garbage_is_killed_and_has_failed(shop: Workshop) -> None:
    job = shop.services.submit(steps=5, then="garbage")
    shop.start()
    outcome, message = ended(job)
    assert outcome == workers_pb2.OUTCOME_FAILED
    assert "what the trainer tells cannot be used" in message
    assert not alive(shop.trainer(job)["pid"])


def test_a_hanging_trainer_writes_its_stack_and_is_killed(shop: Workshop) -> None:
    job = shop.services.submit(steps=5, then="hang", children=1)
    shop.start(TUTELAGE_STEP_LIMIT_SECONDS="0.5")
    outcome, message = ended(job)
    assert outcome == workers_pb2.OUTCOME_INTERRUPTED
    assert "no progress for 0.5 s in a step, after step 5" in message
    assert "Fatal Python error: Aborted" in message and "rehearsal_trainer.py" in message
    trainer = shop.trainer(job)
    assert not any(alive(pid) for pid in [trainer["pid"], *trainer["children"]])


def test_a_frozen_trainer_is_killed_too(shop: Workshop) -> None:
    job = shop.services.submit(steps=100_000, pause_s=0.01)
    shop.start(TUTELAGE_STEP_LIMIT_SECONDS="0.5")
    wait_for(job.steps, "it trains")
    os.kill(shop.trainer(job)["pid"], signal.SIGSTOP)
    outcome, _ = ended(job)
    assert outcome == workers_pb2.OUTCOME_INTERRUPTED


def test_a_bad_checkpoint_is_rejected_and_an_older_one_used_in_the_same_attempt(shop: Workshop) -> None:
    job = shop.services.submit(steps=20, bad_below=10)
    job.resume = [5, 10, 15]
    shop.start()
    outcome, _ = ended(job)
    assert outcome == workers_pb2.OUTCOME_COMPLETE
    assert [trainer["resume_step"] for trainer in shop.trainers(job)] == [15, 10, 5]
    assert job.epoch == 1 and job.steps() == list(range(6, 21))
    assert shop.services.last("RejectCheckpoint").message == "a hash is wrong"


def test_without_an_older_checkpoint_the_attempt_is_over(shop: Workshop) -> None:
    job = shop.services.submit(steps=20, bad_below=1)
    job.resume = [15]
    shop.start()
    wait_for(lambda: shop.services.count("RejectCheckpoint"), "the checkpoint is rejected")
    after = shop.services.submit(steps=1)
    wait_for(after.outcome, "the place is free again")
    assert len(shop.trainers(job)) == 1 and not job.finishes


def test_after_too_long_a_silence_the_trainer_stops_with_a_last_checkpoint(shop: Workshop) -> None:
    job = shop.services.submit(steps=100_000, pause_s=0.01)
    shop.start(TUTELAGE_MAX_UNHEARD_SECONDS="1")
    trainer = shop.trainer(job)
    wait_for(job.steps, "it trains")
    shop.services.stop()
    recorded = len(job.steps())
    wait_for(lambda: not alive(trainer["pid"]), "the trainer stops", limit_s=4)
    shop.services.start()
    outcome, message = ended(job)
    assert (outcome, message) == (workers_pb2.OUTCOME_INTERRUPTED, "services were silent for 1 s")
    assert len(job.steps()) > recorded and job.committed[-1] == job.steps()[-1]


def test_a_trainer_that_cannot_be_started_ends_the_attempt(shop: Workshop) -> None:
    job = shop.services.submit(steps=1)
    shop.start(TUTELAGE_TRAINER_COMMAND="/nowhere/trainer")
    outcome, message = ended(job)
    assert outcome == workers_pb2.OUTCOME_INTERRUPTED
    assert "could not be started" in message

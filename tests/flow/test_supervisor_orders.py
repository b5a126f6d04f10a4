"""Pause, cancel, stale and drain: what is wanted of a trainer happens, and nothing of it is left."""

import signal
from collections.abc import Iterator

import pytest

from tests.support.supervisors import Workshop, alive, workshop
from tests.support.waiting import wait_for
from tutelage_internal.v1 import workers_pb2


@pytest.fixture
def shop() -> Iterator[Workshop]:
    with workshop() as opened:
        yield opened


def test_a_pause_ends_with_a_committed_checkpoint_of_the_last_step(shop: Workshop) -> None:
    job = shop.services.submit(steps=10_000, pause_s=0.01)
    shop.start()
    wait_for(job.steps, "it trains")
    job.desire = workers_pb2.DESIRE_PAUSE
    wait_for(job.outcome, "the attempt ends")
    assert job.outcome() == workers_pb2.OUTCOME_PAUSED
    assert job.committed[-1] == job.steps()[-1]


def test_a_cancel_leaves_no_process_even_if_the_trainer_and_its_children_ignore_it(shop: Workshop) -> None:
    job = shop.services.submit(steps=10_000, pause_s=0.01, ignore_sigterm=True, children=3)
    shop.start()
    trainer = shop.trainer(job)
    wait_for(job.steps, "it trains")
    job.desire = workers_pb2.DESIRE_CANCEL
    wait_for(job.outcome, "the attempt ends")
    assert job.outcome() == workers_pb2.OUTCOME_CANCELLED
    assert not any(alive(pid) for pid in [trainer["pid"], *trainer["children"]])


def test_a_cancel_is_not_told_before_the_last_process_is_gone(shop: Workshop) -> None:
    job = shop.services.submit(steps=10_000, pause_s=0.01, ignore_sigterm=True, children=1)
    shop.start()
    trainer = shop.trainer(job)
    wait_for(job.steps, "it trains")
    finish = shop.services.FinishAttempt
    living: list[int] = []

    def look_first(request: workers_pb2.FinishAttemptRequest, context: object) -> workers_pb2.FinishAttemptResponse:
        living.extend(pid for pid in [trainer["pid"], *trainer["children"]] if alive(pid))
        return finish(request, context)

    shop.services.stop()
    shop.services.FinishAttempt = look_first  # type: ignore[method-assign]
    shop.services.start()
    job.desire = workers_pb2.DESIRE_CANCEL
    wait_for(job.outcome, "the attempt ends")
    assert living == []


def test_a_stale_attempt_is_ended_at_once_and_its_end_is_told_to_nobody(shop: Workshop) -> None:
    job = shop.services.submit(steps=10_000, pause_s=0.01, ignore_sigterm=True, children=1)
    shop.start()
    trainer = shop.trainer(job)
    wait_for(job.steps, "it trains")
    shop.services.lose_lease(job)
    wait_for(lambda: not any(alive(pid) for pid in [trainer["pid"], *trainer["children"]]), "all are gone", limit_s=2)
    after = shop.services.submit(steps=1)
    wait_for(after.outcome, "the place is free again")
    assert shop.services.count("FinishAttempt") == 1 and not job.finishes


def test_a_drain_hands_the_job_back_with_a_checkpoint_and_claims_nothing(shop: Workshop) -> None:
    job = shop.services.submit(steps=10_000, pause_s=0.01)
    supervisor = shop.start(TUTELAGE_WORKER_SLOTS="2")
    wait_for(job.steps, "it trains")
    supervisor.terminate()
    shop.services.submit(steps=1)
    assert supervisor.wait(8) == 0
    assert job.outcome() == workers_pb2.OUTCOME_DRAINED
    assert job.committed[-1] == job.steps()[-1]
    assert len({call.request.attempt.job_uid for call in shop.services.calls if call.method == "ReportFacts"}) == 1


def test_heartbeats_go_on_while_a_worker_drains(shop: Workshop) -> None:
    job = shop.services.submit(steps=10_000, pause_s=0.01, deaf=True)
    supervisor = shop.start(TUTELAGE_STOP_GRACE_SECONDS="2")
    wait_for(job.steps, "it trains")
    supervisor.terminate()
    assert supervisor.wait(4) == 0
    beats = [call.request for call in shop.services.calls if call.method == "Heartbeat"]
    assert sum(beat.worker.draining and len(beat.attempts) == 1 for beat in beats) >= 5
    # The trainer did not listen: it was killed, and what it had reported counts.
    assert job.outcome() == workers_pb2.OUTCOME_DRAINED


def test_a_drain_without_services_ends_within_its_grace(shop: Workshop) -> None:
    job = shop.services.submit(steps=10_000, pause_s=0.01)
    supervisor = shop.start(TUTELAGE_STOP_GRACE_SECONDS="2")
    trainer = shop.trainer(job)
    shop.services.stop()
    supervisor.terminate()
    assert supervisor.wait(4) == 0
    assert not alive(trainer["pid"])


def test_a_job_whose_claim_was_answered_during_a_drain_is_handed_back(shop: Workshop) -> None:
    job = shop.services.submit(steps=10)
    shop.services.answers_to_lose["ClaimJob"] = 3
    supervisor = shop.start()
    wait_for(lambda: job.held, "the job is taken, and nobody knows")
    supervisor.terminate()
    assert supervisor.wait(8) == 0
    assert job.outcome() == workers_pb2.OUTCOME_DRAINED
    assert shop.trainers(job) == []


def test_ctrl_c_drains_too_and_asking_twice_changes_nothing(shop: Workshop) -> None:
    job = shop.services.submit(steps=10_000, pause_s=0.01)
    supervisor = shop.start()
    wait_for(job.steps, "it trains")
    for _ in range(3):
        supervisor.send_signal(signal.SIGINT)
    assert supervisor.wait(8) == 0
    assert job.outcome() == workers_pb2.OUTCOME_DRAINED
    assert len(job.finishes) == 1


def test_a_second_supervisor_in_the_same_folder_refuses_to_start(shop: Workshop) -> None:
    shop.start()
    wait_for(lambda: shop.services.count("ClaimJob"), "the first one works")
    assert shop.start().wait(10) == 3
    assert "another supervisor uses" in shop.log.read_text()


def test_without_its_secret_a_supervisor_refuses_to_start(shop: Workshop) -> None:
    (shop.folder / "worker").unlink()
    assert shop.start().wait(10) == 2
    assert f"cannot read the worker's secret {shop.folder}/worker" in shop.log.read_text()

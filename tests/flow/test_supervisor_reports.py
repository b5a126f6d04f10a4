"""Facts arrive once, in order and without a gap, whatever becomes of services."""

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


def require_whole(job: Job, *, steps: int) -> None:
    """Every fact once, in order, by one attempt that is complete."""
    assert job.outcome() == workers_pb2.OUTCOME_COMPLETE
    assert job.epoch == 1
    assert job.steps() == list(range(1, steps + 1))
    assert [fact.seq for fact in job.facts] == list(range(1, len(job.facts) + 1))
    assert job.finishes[-1].through_seq == len(job.facts)
    assert job.committed[-1] == steps


def test_a_job_is_claimed_trained_reported_and_finished(shop: Workshop) -> None:
    job = shop.services.submit(steps=12)
    shop.start()
    wait_for(job.outcome, "the attempt ends")
    require_whole(job, steps=12)
    assert job.committed == [0, 5, 10, 12]


def test_a_checkpoint_is_committed_when_exactly_the_facts_before_it_are_appended(shop: Workshop) -> None:
    job = shop.services.submit(steps=300, checkpoint_every=100)
    shop.start()
    wait_for(job.outcome, "the attempt ends")
    by_seq = {fact.seq: fact for fact in job.facts}
    commits = [call.request for call in shop.services.calls if call.method == "CommitCheckpoint"]
    assert [commit.checkpoint.step for commit in commits] == [0, 100, 200, 300]
    assert all(by_seq[commit.through_seq].checkpoint_written == commit.checkpoint for commit in commits)


@pytest.mark.parametrize("method", ["ClaimJob", "Heartbeat", "ReportFacts", "CommitCheckpoint", "FinishAttempt"])
def test_a_lost_answer_costs_nothing(shop: Workshop, method: str) -> None:
    shop.services.answers_to_lose[method] = 2
    job = shop.services.submit(steps=20, pause_s=0.02)
    shop.start()
    wait_for(job.outcome, "the attempt ends")
    require_whole(job, steps=20)
    if method == "ClaimJob":
        claims = [call.request.claim_id for call in shop.services.calls if call.method == "ClaimJob"]
        assert len(claims) >= 3 and len(set(claims[:3])) == 1


def test_training_goes_on_while_services_are_away_and_everything_is_reported_after(shop: Workshop) -> None:
    job = shop.services.submit(steps=120, pause_s=0.005)
    shop.start()
    trainer = shop.trainer(job)
    wait_for(job.steps, "some facts arrive")
    shop.services.stop()
    recorded = len(job.steps())
    wait_for(lambda: not alive(trainer["pid"]), "the trainer has done its work")
    assert recorded < 120 and len(job.steps()) == recorded
    shop.services.start()
    wait_for(job.outcome, "the attempt ends")
    require_whole(job, steps=120)


def test_services_that_come_and_go_lose_nothing_and_get_nothing_twice(shop: Workshop) -> None:
    job = shop.services.submit(steps=400, pause_s=0.005, checkpoint_every=40)
    shop.start()
    for wanted in (20, 60, 100):
        wait_for(lambda wanted=wanted: len(job.steps()) >= wanted, f"step {wanted} arrives")
        shop.services.stop()
        shop.services.answers_to_lose["ReportFacts"] += 1
        shop.services.start()
    wait_for(job.outcome, "the attempt ends", limit_s=20)
    require_whole(job, steps=400)


def test_a_full_spool_makes_the_trainer_wait_and_keeps_it_alive(shop: Workshop) -> None:
    # 4 MiB stay in memory and 1 MiB on disk; 12 MiB are told. The trainer waits in a write, for longer than its limits.
    job = shop.services.submit(steps=120, filler_bytes=100_000, tick_limit_s=1.5)
    shop.services.answers_to_lose["ReportFacts"] = 1_000_000
    shop.start(TUTELAGE_SPOOL_BYTES="1000000", TUTELAGE_STEP_LIMIT_SECONDS="0.5")
    trainer = shop.trainer(job)
    reports = wait_for(lambda: shop.services.count("ReportFacts"), "reports are tried")
    wait_for(lambda: shop.services.count("Heartbeat") > 30, "three seconds pass, by heartbeats")
    assert shop.services.count("ReportFacts") > reports
    assert alive(trainer["pid"]) and not job.finishes
    shop.services.answers_to_lose.clear()
    wait_for(job.outcome, "the attempt ends")
    require_whole(job, steps=120)


def test_a_complete_checkpoint_that_services_refuse_is_worth_another_attempt(shop: Workshop) -> None:
    shop.services.refuse_commits = True
    job = shop.services.submit(steps=3)
    shop.start()
    wait_for(job.outcome, "the attempt ends")
    assert job.outcome() == workers_pb2.OUTCOME_INTERRUPTED
    assert "after step 3 was refused" in job.finishes[-1].failure.message
    notes = [fact.note for fact in job.facts if fact.HasField("note")]
    assert [note.kind for note in notes] == ["checkpoint_refused"] * 2
    assert notes[0].level == jobs_pb2.NOTE_LEVEL_WARNING


def test_facts_that_services_refuse_for_good_end_the_attempt(shop: Workshop) -> None:
    job = shop.services.submit(steps=1000, pause_s=0.01)
    shop.services.refuse_facts_after = 5
    shop.start()
    trainer = shop.trainer(job)
    wait_for(job.outcome, "the attempt ends")
    assert job.outcome() == workers_pb2.OUTCOME_FAILED
    assert "a value is no number" in job.finishes[-1].failure.message
    assert not alive(trainer["pid"])


def test_facts_that_services_refuse_for_good_end_the_attempt_even_if_the_spool_is_full(shop: Workshop) -> None:
    job = shop.services.submit(steps=120, filler_bytes=100_000)
    shop.services.answers_to_lose["ReportFacts"] = 1_000_000
    shop.start(TUTELAGE_SPOOL_BYTES="1000000", TUTELAGE_STEP_LIMIT_SECONDS="0.5")
    trainer = shop.trainer(job)
    reports = wait_for(lambda: shop.services.count("ReportFacts"), "reports are tried")
    beats = shop.services.count("Heartbeat")
    wait_for(lambda: shop.services.count("Heartbeat") > beats + 15, "the spool is full")
    assert alive(trainer["pid"]) and shop.services.count("ReportFacts") > reports
    shop.services.refuse_facts_after = 0
    wait_for(job.outcome, "the attempt ends")
    assert job.outcome() == workers_pb2.OUTCOME_FAILED


def test_a_trainer_gets_what_it_needs_and_no_secret(shop: Workshop) -> None:
    job = shop.services.submit(steps=1)
    shop.start(TUTELAGE_BROKER_URL="", AWS_SECRET_ACCESS_KEY="canary", DATABASE_PASSWORD="canary", OMP_NUM_THREADS="64")
    found = shop.trainer(job)
    environ = found["environ"]
    assert environ["OMP_NUM_THREADS"] == "2" and environ["OMP_WAIT_POLICY"] == "passive"
    assert environ["GLIBC_TUNABLES"].startswith("glibc.malloc.mmap_threshold=1073741824:")
    assert environ["TORCHINDUCTOR_CACHE_DIR"] == str(shop.scratch / "inductor")
    assert [name for name in environ if name.startswith("TUTELAGE_")] == ["TUTELAGE_TRAINER_MARK"]
    assert "canary" not in environ.values()
    # 0 to 3, and the one that reads the list.
    assert found["fds"][:4] == [0, 1, 2, 3] and len(found["fds"]) == 5


def test_two_slots_train_two_jobs_at_once_with_half_the_threads_each(shop: Workshop) -> None:
    jobs = [shop.services.submit(steps=10_000, pause_s=0.01) for _ in range(2)]
    shop.start(TUTELAGE_WORKER_SLOTS="2")
    trainers = [shop.trainer(job) for job in jobs]
    assert all(alive(trainer["pid"]) for trainer in trainers)
    assert [trainer["environ"]["OMP_NUM_THREADS"] for trainer in trainers] == ["1", "1"]
    beats = [call.request for call in shop.services.calls if call.method == "Heartbeat"]
    assert beats[0].worker.slots == 2 and beats[0].worker.device == "cpu" and beats[0].worker.version
    wait_for(lambda: shop.services.last("Heartbeat").worker.slots_used == 2, "the worker tells its places")


def test_the_next_job_is_claimed_at_once_when_a_place_becomes_free(shop: Workshop) -> None:
    jobs = [shop.services.submit(steps=2) for _ in range(3)]
    shop.start(TUTELAGE_POLL_SECONDS="60")
    wait_for(lambda: all(job.finishes for job in jobs), "all three are done without a poll")
    assert all(job.outcome() == workers_pb2.OUTCOME_COMPLETE for job in jobs)

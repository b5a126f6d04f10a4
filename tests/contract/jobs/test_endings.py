"""How attempts end, and who is charged."""

import pytest
import sqlalchemy as sa

from services.domain.errors import FactGap, StaleAttempt, WrongState
from services.domain.job_states import JobState
from services.domain.jobs import Assignment, AttemptEnd, FailureReason, JobFailure
from services.jobs.cancel_job import cancel_job
from services.jobs.pause_job import pause_job
from services.jobs.reclaim_lease import reclaim_lease
from services.jobs.resume_job import resume_job
from services.storage.tables.models import model_version
from tests.support.houses import Bench, step_fact, steps


def lost(bench: Bench, at: Assignment, end: AttemptEnd, failure: JobFailure | None = None) -> JobState:
    """End an attempt, and let the next one be due."""
    if end is AttemptEnd.LEASE_LOST:
        bench.expire_lease(at.job.uid)
        job = reclaim_lease(bench.house)
        assert job is not None
        state = job.state
    else:
        state = bench.finish(at, end, failure=failure)
    if state is JobState.BACKOFF:
        bench.make_due(at.job.uid)
    return state


def failure(reason: FailureReason) -> JobFailure:
    return JobFailure(reason=reason, message="Because.", help="Do this.")


def versions(bench: Bench) -> int:
    with bench.storage.engine.connect() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(model_version)) or 0


def test_the_last_fact_ends_the_job_and_publishes_one_version(bench: Bench) -> None:
    assignment = bench.started()
    bench.report(assignment, *steps(1, 10))
    bench.commit(assignment, bench.written(assignment, step=10, complete=True), through_seq=10)
    assert bench.finish(assignment, AttemptEnd.COMPLETE, through_seq=10) is JobState.SUCCEEDED
    job = bench.job(assignment.job.uid)
    assert job.model_version == "projects/own/models/plays-tiny/versions/1"
    assert (job.worker_id, job.lease_until) == ("", None)
    assert job.end_time is not None
    assert versions(bench) == 1


def test_finishing_twice_publishes_once(bench: Bench) -> None:
    assignment = bench.started()
    assert bench.complete(assignment) is JobState.SUCCEEDED
    assert bench.finish(assignment, AttemptEnd.COMPLETE) is JobState.SUCCEEDED
    assert versions(bench) == 1


def test_the_next_job_publishes_the_next_version(bench: Bench) -> None:
    for number in (1, 2):
        assignment = bench.started()
        bench.complete(assignment)
        assert bench.job(assignment.job.uid).model_version.endswith(f"/versions/{number}")


def test_complete_needs_the_complete_checkpoint(bench: Bench) -> None:
    assignment = bench.started()
    bench.commit(assignment, bench.written(assignment, step=5))
    with pytest.raises(WrongState, match="no complete checkpoint"):
        bench.finish(assignment, AttemptEnd.COMPLETE)
    assert versions(bench) == 0


def test_finishing_waits_for_every_fact(bench: Bench) -> None:
    assignment = bench.started()
    with pytest.raises(FactGap):
        bench.finish(assignment, AttemptEnd.INTERRUPTED, through_seq=1)


def test_an_interrupted_job_backs_off_and_its_bell_is_due_then(bench: Bench) -> None:
    assignment = bench.started()
    assert bench.finish(assignment, AttemptEnd.INTERRUPTED) is JobState.BACKOFF
    job = bench.job(assignment.job.uid)
    with bench.house.storage.read() as uow:
        wait_s = (job.not_before - uow.now()).total_seconds()
        assert [uid for _, uid in uow.outbox.due(now=job.not_before, count_max=10)] == [job.uid, job.uid]
    assert 0 < wait_s <= 5
    assert (job.interruptions, job.attempts_without_progress) == (1, 1)


@pytest.mark.parametrize("end", [AttemptEnd.INTERRUPTED, AttemptEnd.LEASE_LOST])
def test_three_attempts_in_vain_end_a_job(bench: Bench, end: AttemptEnd) -> None:
    assignment = bench.started()
    for _ in range(2):
        assert lost(bench, assignment, end) is JobState.BACKOFF
        assignment = bench.claim()
    assert lost(bench, assignment, end) is JobState.FAILED
    job = bench.job(assignment.job.uid)
    assert job.failure.reason is FailureReason.NO_PROGRESS
    assert job.failure.help


def test_a_newer_checkpoint_counts_as_progress(bench: Bench) -> None:
    assignment = bench.started()
    for step in range(5):
        bench.commit(assignment, bench.written(assignment, step=step, content=b"%d" % step))
        assert lost(bench, assignment, AttemptEnd.LEASE_LOST) is JobState.BACKOFF
        assignment = bench.claim()
    assert bench.job(assignment.job.uid).interruptions == 5


def test_draining_is_charged_to_nobody(bench: Bench) -> None:
    assignment = bench.started()
    for _ in range(5):
        assert lost(bench, assignment, AttemptEnd.DRAINED) is JobState.BACKOFF
        assignment = bench.claim()
    job = bench.job(assignment.job.uid)
    assert (job.interruptions, job.attempts_without_progress, job.epoch) == (0, 0, 6)


def test_a_host_out_of_memory_is_retried_once(bench: Bench) -> None:
    reason = FailureReason.HOST_OUT_OF_MEMORY
    assignment = bench.started()
    assert lost(bench, assignment, AttemptEnd.INTERRUPTED, failure(reason)) is JobState.BACKOFF
    assert lost(bench, bench.claim(), AttemptEnd.INTERRUPTED, failure(reason)) is JobState.FAILED
    job = bench.job(assignment.job.uid)
    assert (job.failure, job.interruptions) == (failure(reason), 0)


def test_an_error_that_would_come_again_ends_the_job(bench: Bench) -> None:
    assignment = bench.started()
    told = failure(FailureReason.DIVERGED)
    assert bench.finish(assignment, AttemptEnd.FAILED, failure=told) is JobState.FAILED
    assert bench.job(assignment.job.uid).failure == told
    assert bench.history(assignment.job.uid)[-1].happening.failure == told


def test_a_failure_without_words_is_still_a_failure(bench: Bench) -> None:
    assignment = bench.started()
    bench.finish(assignment, AttemptEnd.FAILED)
    assert bench.job(assignment.job.uid).failure.reason is FailureReason.TRAINER_ERROR


def test_a_repeated_finish_is_answered_and_does_nothing(bench: Bench) -> None:
    assignment = bench.started()
    bench.finish(assignment, AttemptEnd.INTERRUPTED)
    before = bench.history(assignment.job.uid)
    assert bench.finish(assignment, AttemptEnd.INTERRUPTED) is JobState.BACKOFF
    assert bench.history(assignment.job.uid) == before
    with pytest.raises(StaleAttempt):
        bench.finish(assignment, AttemptEnd.FAILED)


def test_a_pause_takes_effect_with_the_attempt(bench: Bench) -> None:
    assignment = bench.started()
    bench.report(assignment, step_fact(1, step=1))
    asked = pause_job(bench.house, caller=bench.calling("PauseJob"), name=assignment.job.name)
    assert (asked.state, asked.pausing) == (JobState.RUNNING, True)
    assert bench.finish(assignment, AttemptEnd.PAUSED) is JobState.PAUSED
    resumed = resume_job(bench.house, caller=bench.calling("ResumeJob"), name=assignment.job.name)
    assert resumed.state is JobState.QUEUED
    assert bench.claim().job.uid == assignment.job.uid


def test_a_pause_that_was_taken_back_too_late_queues_the_job_again(bench: Bench) -> None:
    assignment = bench.started()
    pause_job(bench.house, caller=bench.calling("PauseJob"), name=assignment.job.name)
    resume_job(bench.house, caller=bench.calling("ResumeJob"), name=assignment.job.name)
    assert bench.finish(assignment, AttemptEnd.PAUSED) is JobState.QUEUED


@pytest.mark.parametrize("end", [AttemptEnd.LEASE_LOST, AttemptEnd.DRAINED, AttemptEnd.INTERRUPTED])
def test_a_pause_is_honoured_when_the_worker_is_lost(bench: Bench, end: AttemptEnd) -> None:
    assignment = bench.started()
    pause_job(bench.house, caller=bench.calling("PauseJob"), name=assignment.job.name)
    assert lost(bench, assignment, end) is JobState.PAUSED


@pytest.mark.parametrize("end", [each for each in AttemptEnd if each is not AttemptEnd.COMPLETE])
def test_a_cancel_is_honoured_however_the_attempt_ends(bench: Bench, end: AttemptEnd) -> None:
    assignment = bench.started()
    cancel_job(bench.house, caller=bench.calling("CancelJob"), name=assignment.job.name)
    assert lost(bench, assignment, end) is JobState.CANCELLED


def test_a_cancel_before_the_last_commit_wins(bench: Bench) -> None:
    assignment = bench.started()
    bench.commit(assignment, bench.written(assignment, step=10, complete=True))
    cancel_job(bench.house, caller=bench.calling("CancelJob"), name=assignment.job.name)
    assert bench.finish(assignment, AttemptEnd.COMPLETE) is JobState.CANCELLED
    assert versions(bench) == 0


def test_a_pause_is_forgotten_when_training_is_complete(bench: Bench) -> None:
    assignment = bench.started()
    pause_job(bench.house, caller=bench.calling("PauseJob"), name=assignment.job.name)
    bench.commit(assignment, bench.written(assignment, step=10, complete=True))
    assert lost(bench, assignment, AttemptEnd.LEASE_LOST) is JobState.BACKOFF
    assert bench.finish(bench.claim(), AttemptEnd.COMPLETE) is JobState.SUCCEEDED


def test_a_lease_that_lasts_is_not_reclaimed(bench: Bench) -> None:
    bench.started()
    assert reclaim_lease(bench.house) is None

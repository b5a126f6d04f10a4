"""Claiming: one holder, in order, within the quota."""

import dataclasses
import datetime

import pytest
import sqlalchemy as sa

from services.domain.errors import InvalidField
from services.domain.job_events import Note, StateChanged
from services.domain.job_states import JobState
from services.domain.jobs import AttemptEnd, FailureReason
from services.jobs.claim_job import claim_job
from services.jobs.heartbeat import HeldAttempt, Order, heartbeat
from services.jobs.pause_job import pause_job
from services.storage.tables.datasets import dataset as dataset_table
from tests.support.houses import Bench, add_dataset, add_project, steps, worker_info


def test_a_claim_raises_the_epoch_and_sets_a_lease_in_database_time(bench: Bench) -> None:
    bench.submit()
    assignment = bench.claim()
    assert assignment is not None
    job = bench.job(assignment.job.uid)
    assert (job.state, job.epoch, job.worker_id) == (JobState.STARTING, 1, "w1")
    with bench.house.storage.read() as uow:
        left = job.lease_until - uow.now()
    assert datetime.timedelta(seconds=20) < left <= datetime.timedelta(seconds=30)


def test_an_assignment_holds_all_that_a_trainer_needs(bench: Bench) -> None:
    assignment = bench.started()
    assert assignment.dataset == bench.dataset
    assert assignment.resume is None
    assert assignment.checkpoint_prefix == f"checkpoints/{assignment.job.uid}/e1"
    assert bench.house.keys.is_attempt_token(assignment.token, job_uid=assignment.job.uid, epoch=1)
    assert not bench.house.keys.is_attempt_token(assignment.token, job_uid=assignment.job.uid, epoch=2)


def test_jobs_are_claimed_in_the_order_of_their_creation(bench: Bench) -> None:
    submitted = [bench.submit().uid for _ in range(3)]
    assert [bench.claim().job.uid for _ in range(3)] == submitted
    assert bench.claim() is None


def test_a_wish_is_granted_if_it_can_be(bench: Bench) -> None:
    first, second = bench.submit(), bench.submit()
    assert bench.claim(wished=second.uid).job.uid == second.uid
    assert bench.claim(wished=second.uid).job.uid == first.uid


def test_a_wish_for_nonsense_is_only_a_wish(bench: Bench) -> None:
    job = bench.submit()
    assert bench.claim(wished="'; DROP TABLE job").job.uid == job.uid


def test_the_same_claim_is_the_same_assignment(bench: Bench) -> None:
    bench.submit()
    bench.submit()
    first, again = bench.claim(claim_id="c1"), bench.claim(claim_id="c1")
    assert again is not None
    assert (again.job.uid, again.job.epoch, again.token) == (first.job.uid, 1, first.token)
    assert bench.claim(claim_id="c2").job.uid != first.job.uid


def test_a_claim_whose_attempt_is_over_gives_nothing(bench: Bench) -> None:
    bench.submit()
    assignment = bench.claim(claim_id="c1")
    bench.finish(assignment, AttemptEnd.DRAINED)
    bench.make_due(assignment.job.uid)
    assert bench.claim(claim_id="c1") is None


def test_a_draining_worker_gets_nothing(bench: Bench) -> None:
    bench.submit()
    worker = worker_info("w1", draining=True)
    assert claim_job(bench.house, worker=worker, claim_id="c1") is None


def test_a_claim_needs_an_id(bench: Bench) -> None:
    with pytest.raises(InvalidField, match="claim_id"):
        claim_job(bench.house, worker=worker_info("w1"), claim_id="")


def test_a_full_project_waits_and_the_next_project_does_not(bench: Bench) -> None:
    small = add_project(bench.house, "small", running_jobs_max=1)
    add_dataset(bench.house, "small")
    first, _second = bench.submit(caller=small), bench.submit(caller=small)
    other = bench.submit()
    assert bench.claim().job.uid == first.uid
    assert bench.claim().job.uid == other.uid
    assert bench.claim() is None


def test_room_in_the_quota_comes_back_with_the_end_of_a_job(bench: Bench) -> None:
    small = add_project(bench.house, "small", running_jobs_max=1)
    add_dataset(bench.house, "small")
    bench.submit(caller=small)
    second = bench.submit(caller=small)
    assert bench.complete(bench.claim()) is JobState.SUCCEEDED
    assert bench.claim().job.uid == second.uid


def test_a_backoff_is_waited_for(bench: Bench) -> None:
    assignment = bench.started()
    bench.finish(assignment, AttemptEnd.INTERRUPTED)
    assert bench.claim() is None
    bench.make_due(assignment.job.uid)
    assert bench.claim().job.epoch == 2


def test_a_paused_job_is_not_claimed(bench: Bench) -> None:
    job = bench.submit()
    pause_job(bench.house, caller=bench.calling("PauseJob"), name=job.name)
    assert bench.claim(wished=job.uid) is None


def test_the_next_attempt_goes_on_from_the_newest_checkpoint_and_says_so(bench: Bench) -> None:
    first = bench.started()
    bench.report(first, *steps(1, 5))
    bench.commit(first, bench.written(first, step=0, content=b"begin"))
    bench.commit(first, bench.written(first, step=4), through_seq=4)
    bench.finish(first, AttemptEnd.DRAINED)
    bench.make_due(first.job.uid)
    second = bench.claim()
    assert (second.resume.step, second.job.recorded_step) == (4, 5)
    seam = [event.happening for event in bench.history(first.job.uid) if isinstance(event.happening, Note)]
    assert [note.kind for note in seam] == ["resumed"]


def test_a_complete_checkpoint_means_finalizing_and_no_training(bench: Bench) -> None:
    first = bench.started()
    bench.commit(first, bench.written(first, step=10, complete=True))
    bench.finish(first, AttemptEnd.INTERRUPTED)
    bench.make_due(first.job.uid)
    second = bench.claim()
    assert second.job.state is JobState.FINALIZING
    assert bench.finish(second, AttemptEnd.COMPLETE) is JobState.SUCCEEDED


def test_a_job_whose_dataset_is_gone_fails(bench: Bench) -> None:
    job = bench.submit()
    with bench.storage.engine.begin() as connection:
        connection.execute(sa.update(dataset_table).values(state="DELETED"))
    assert bench.claim() is None
    failed = bench.job(job.uid)
    assert (failed.state, failed.failure.reason) == (JobState.FAILED, FailureReason.INPUT_GONE)


def test_a_heartbeat_prolongs_the_lease_and_tells_what_is_wanted(bench: Bench) -> None:
    assignment = bench.started()
    bench.report(assignment, *steps(1, 2))
    bench.expire_lease(assignment.job.uid)
    held = HeldAttempt(job_uid=assignment.job.uid, epoch=1)
    (order,) = heartbeat(bench.house, worker=worker_info("w1"), attempts=[held])
    assert (order.order, order.acknowledged_seq) == (Order.RUN, 2)
    with bench.house.storage.read() as uow:
        assert bench.job(assignment.job.uid).lease_until > uow.now()


def test_a_heartbeat_hears_of_a_pause(bench: Bench) -> None:
    assignment = bench.started()
    pause_job(bench.house, caller=bench.calling("PauseJob"), name=assignment.job.name)
    (order,) = heartbeat(
        bench.house, worker=worker_info("w1"), attempts=[HeldAttempt(job_uid=assignment.job.uid, epoch=1)]
    )
    assert order.order is Order.PAUSE


def test_orders_come_in_the_order_of_the_question(bench: Bench) -> None:
    held = [HeldAttempt(job_uid=bench.started().job.uid, epoch=1) for _ in range(3)][::-1]
    asked = [*held, HeldAttempt(job_uid="unknown", epoch=1)]
    orders = heartbeat(bench.house, worker=worker_info("w1"), attempts=asked)
    assert [order.job_uid for order in orders] == [each.job_uid for each in asked]
    assert [order.order for order in orders] == [Order.RUN] * 3 + [Order.STALE]


def test_a_heartbeat_with_a_wrong_token_is_stale(bench: Bench) -> None:
    held = HeldAttempt(job_uid=bench.started().job.uid, epoch=1)
    (order,) = heartbeat(bench.house, worker=worker_info("w1"), attempts=[dataclasses.replace(held, genuine=False)])
    assert order.order is Order.STALE


def test_every_change_of_state_is_told(bench: Bench) -> None:
    assignment = bench.started()
    bench.report(assignment, *steps(1, 10))
    bench.complete(assignment)
    told = [event.happening for event in bench.history(assignment.job.uid)]
    states = [each.after.value for each in told if isinstance(each, StateChanged)]
    assert states == ["QUEUED", "STARTING", "RUNNING", "FINALIZING", "SUCCEEDED"]

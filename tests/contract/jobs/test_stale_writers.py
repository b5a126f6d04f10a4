"""A worker whose attempt is over changes nothing: each guard, one by one."""

from collections.abc import Callable

import pytest

from services.domain.errors import StaleAttempt
from services.domain.job_states import JobState
from services.domain.jobs import Assignment, AttemptEnd
from services.jobs.cancel_job import cancel_job
from services.jobs.heartbeat import HeldAttempt, Order, heartbeat
from services.jobs.reclaim_lease import reclaim_lease
from services.jobs.reject_checkpoint import reject_checkpoint
from tests.support.houses import Bench, step_fact, worker_info

Write = Callable[[Bench, Assignment], object]

WRITES: dict[str, Write] = {
    "report_facts": lambda bench, at: bench.report(at, step_fact(1, step=1)),
    "commit_checkpoint": lambda bench, at: bench.commit(at, bench.written(at, step=3)),
    "reject_checkpoint": lambda bench, at: reject_checkpoint(
        bench.house, job_uid=at.job.uid, epoch=at.job.epoch, step=0, manifest_sha256="0" * 64, message="bad"
    ),
    "finish_attempt": lambda bench, at: bench.finish(at, AttemptEnd.FAILED),
}


def replaced(bench: Bench) -> tuple[Assignment, Assignment]:
    """A worker stops after its claim, its lease is lost, another one takes over."""
    first = bench.started()
    bench.expire_lease(first.job.uid)
    assert reclaim_lease(bench.house) is not None
    bench.make_due(first.job.uid)
    second = bench.claim(worker="w2")
    assert second is not None
    assert second.job.epoch == 2
    return first, second


@pytest.mark.parametrize("write", WRITES)
def test_a_worker_that_was_replaced_is_refused(bench: Bench, write: str) -> None:
    first, second = replaced(bench)
    before = bench.job(first.job.uid), bench.history(first.job.uid)
    with pytest.raises(StaleAttempt):
        WRITES[write](bench, first)
    assert (bench.job(first.job.uid), bench.history(first.job.uid)) == before
    bench.report(second, step_fact(1, step=1))


@pytest.mark.parametrize("write", WRITES)
def test_a_worker_whose_lease_was_lost_is_refused_before_anybody_takes_over(bench: Bench, write: str) -> None:
    first = bench.started()
    bench.expire_lease(first.job.uid)
    reclaim_lease(bench.house)
    with pytest.raises(StaleAttempt):
        WRITES[write](bench, first)


@pytest.mark.parametrize("write", WRITES)
def test_a_job_that_is_over_takes_nothing(bench: Bench, write: str) -> None:
    first = bench.started()
    cancel_job(bench.house, caller=bench.calling("CancelJob"), name=first.job.name)
    assert bench.finish(first, AttemptEnd.CANCELLED) is JobState.CANCELLED
    with pytest.raises(StaleAttempt):
        WRITES[write](bench, first)


@pytest.mark.parametrize("write", WRITES)
def test_an_epoch_that_never_was_is_refused(bench: Bench, write: str) -> None:
    import dataclasses

    first = bench.started()
    forged = dataclasses.replace(first, job=dataclasses.replace(first.job, epoch=7))
    with pytest.raises(StaleAttempt):
        WRITES[write](bench, forged)


def test_a_lease_that_is_over_but_not_taken_is_still_good(bench: Bench) -> None:
    """Expiry only lets others take the job; taking it is what fences. So an outage costs no attempt."""
    first = bench.started()
    bench.expire_lease(first.job.uid)
    assert bench.report(first, step_fact(1, step=1)) == 1


def test_a_stale_heartbeat_hears_stale_and_prolongs_nothing(bench: Bench) -> None:
    first, second = replaced(bench)
    bench.expire_lease(first.job.uid)
    before = bench.job(first.job.uid).lease_until
    held = HeldAttempt(job_uid=first.job.uid, epoch=1)
    (order,) = heartbeat(bench.house, worker=worker_info("w1"), attempts=[held])
    assert order.order is Order.STALE
    assert bench.job(second.job.uid).lease_until == before

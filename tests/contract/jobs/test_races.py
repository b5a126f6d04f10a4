"""Many at once: claims, repetitions and quotas, in threads with connections of their own."""

import collections
import concurrent.futures
import threading
import uuid
from collections.abc import Callable
from typing import TypeVar

from services.domain.errors import DomainError, RequestIdReused, Unavailable
from services.domain.job_states import JobState
from services.domain.jobs import AttemptEnd
from services.domain.requests import RequestKey
from services.jobs.cancel_job import cancel_job
from services.jobs.reclaim_lease import reclaim_lease
from tests.support.houses import Bench, add_dataset, add_project, step_fact

T = TypeVar("T")


def at_once(deed: Callable[[int], T], *, count: int) -> list[T | DomainError]:
    """Do it in so many threads that begin together; return answers and refusals."""
    barrier = threading.Barrier(count)

    def act(number: int) -> T | DomainError:
        barrier.wait(timeout=10)
        try:
            return deed(number)
        except DomainError as error:
            return error

    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        return list(pool.map(act, range(count)))


def test_a_job_is_claimed_by_one_of_many(bench: Bench) -> None:
    jobs = {bench.submit().uid for _ in range(3)}
    found = at_once(lambda number: bench.claim(worker=f"w{number}", claim_id=f"c{number}"), count=8)
    claimed = [each.job.uid for each in found if each is not None]
    assert collections.Counter(claimed) == dict.fromkeys(jobs, 1)


def test_one_claim_sent_many_times_at_once_takes_one_job(bench: Bench) -> None:
    jobs = [bench.submit() for _ in range(3)]
    found = at_once(lambda _: bench.claim(claim_id="c1"), count=4)
    assert {each.job.uid for each in found if not isinstance(each, Unavailable)} == {jobs[0].uid}
    assert bench.claim(claim_id="c1").job.uid == jobs[0].uid
    assert sum(bench.job(job.uid).state is JobState.STARTING for job in jobs) == 1


def test_a_quota_holds_against_many_claims(bench: Bench) -> None:
    small = add_project(bench.house, "small", running_jobs_max=2)
    add_dataset(bench.house, "small")
    for _ in range(6):
        bench.submit(caller=small)
    found = at_once(lambda number: bench.claim(worker=f"w{number}", claim_id=f"c{number}"), count=6)
    assert sum(each is not None for each in found) == 2


def test_the_limit_of_open_jobs_holds_against_many_submits(bench: Bench) -> None:
    small = add_project(bench.house, "small", open_jobs_max=3)
    add_dataset(bench.house, "small")
    found = at_once(lambda number: bench.submit(caller=small, job_id=f"j{number}"), count=6)
    assert sum(not isinstance(each, DomainError) for each in found) == 3


def test_one_request_sent_many_times_at_once_is_one_job(bench: Bench) -> None:
    key = RequestKey(request_id=str(uuid.uuid4()), body_sha256="a" * 64)
    found = at_once(lambda _: bench.submit(request=key).uid, count=6)
    assert len(set(found)) == 1


def test_one_request_id_with_many_bodies_is_one_job(bench: Bench) -> None:
    uid = str(uuid.uuid4())
    found = at_once(lambda n: bench.submit(request=RequestKey(request_id=uid, body_sha256=f"{n}" * 64)), count=4)
    refused = [each for each in found if isinstance(each, RequestIdReused)]
    assert len(refused) == 3


def test_facts_told_by_two_connections_at_once_are_written_once(bench: Bench) -> None:
    assignment = bench.started()
    at_once(lambda _: bench.report(assignment, *(step_fact(seq, step=seq) for seq in range(1, 6))), count=6)
    seqs = [event.seq for event in bench.history(assignment.job.uid)]
    assert seqs == list(range(1, 9))


def test_finishing_many_times_at_once_publishes_one_version(bench: Bench) -> None:
    assignment = bench.started()
    bench.commit(assignment, bench.written(assignment, step=10, complete=True))
    found = at_once(lambda _: bench.finish(assignment, AttemptEnd.COMPLETE), count=4)
    assert set(found) == {JobState.SUCCEEDED}
    assert bench.job(assignment.job.uid).model_version.endswith("/versions/1")


def test_two_jobs_that_end_at_once_publish_versions_one_and_two(bench: Bench) -> None:
    assignments = [bench.started() for _ in range(2)]
    for each in assignments:
        bench.commit(each, bench.written(each, step=10, complete=True))
    at_once(lambda number: bench.finish(assignments[number], AttemptEnd.COMPLETE), count=2)
    versions = {bench.job(each.job.uid).model_version.rsplit("/", 1)[-1] for each in assignments}
    assert versions == {"1", "2"}


def test_cancel_against_success_has_one_winner(bench: Bench) -> None:
    assignment = bench.started()
    bench.commit(assignment, bench.written(assignment, step=10, complete=True))

    def act(number: int) -> JobState:
        if number:
            return bench.finish(assignment, AttemptEnd.COMPLETE)
        return cancel_job(bench.house, caller=bench.caller, name=assignment.job.name).state

    at_once(act, count=2)
    job = bench.job(assignment.job.uid)
    assert job.state in (JobState.SUCCEEDED, JobState.CANCELLED, JobState.CANCELLING)
    assert (job.state is JobState.SUCCEEDED) == bool(job.model_version)


def test_a_lost_lease_is_reclaimed_by_one_of_many(bench: Bench) -> None:
    assignment = bench.started()
    bench.expire_lease(assignment.job.uid)
    found = at_once(lambda _: reclaim_lease(bench.house), count=4)
    assert sum(each is not None for each in found) == 1
    assert bench.job(assignment.job.uid).interruptions == 1

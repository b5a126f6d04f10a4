"""Lists: in pages, in order, filtered, and never with a foreign job in them."""

import pytest

from services.api.job_messages import job_message
from services.cluster.list_queues import list_queues
from services.cluster.list_workers import list_workers
from services.domain import pages
from services.domain.errors import InvalidField, NotFound
from services.domain.jobs import AttemptEnd
from services.domain.pages import PageRequest
from services.domain.workers import WorkerState
from services.jobs.list_job_events import list_job_events
from services.jobs.list_jobs import list_jobs
from services.jobs.train import train
from services.jobs.watch_job import read_job_events, read_job_heads, watch_job
from tests.support.houses import Bench, add_dataset, add_project, small_draft, steps


def listed(bench: Bench, **asked: object) -> list[str]:
    """Return the ids of all jobs, page by page."""
    found, token = [], ""
    while True:
        page = PageRequest(size=2, token=token)
        jobs, token = list_jobs(bench.house, caller=bench.caller, parent="projects/-", page=page, **asked)
        found += [job.id for job in jobs]
        if not token:
            return found


def submitted(bench: Bench, *ids: str) -> None:
    for job_id in ids:
        bench.submit(job_id=job_id)


def test_pages_hold_every_job_once_newest_first(bench: Bench) -> None:
    submitted(bench, "a", "b", "c", "d", "e")
    assert listed(bench) == ["e", "d", "c", "b", "a"]
    assert listed(bench, order_by="create_time  asc") == ["a", "b", "c", "d", "e"]


@pytest.mark.parametrize("bytes_max", [1, 6000])
def test_a_page_ends_before_it_outgrows_a_message(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, bytes_max: int
) -> None:
    submitted(bench, "a", "b", "c", "d", "e")
    monkeypatch.setattr(pages, "PAGE_BYTES_MAX", bytes_max)
    page = PageRequest(size=5)
    jobs, token = list_jobs(bench.house, caller=bench.caller, parent="projects/-", page=page)
    assert (len(jobs), bool(token)) == (1 if bytes_max == 1 else 2, True)
    assert listed(bench) == ["e", "d", "c", "b", "a"]
    assert all(len(job_message(job).SerializeToString()) < len(repr(job).encode()) for job in jobs)


def test_a_job_that_comes_while_one_turns_the_pages_disturbs_nothing(bench: Bench) -> None:
    submitted(bench, "a", "b", "c")
    first, token = list_jobs(bench.house, caller=bench.caller, parent="projects/-", page=PageRequest(size=2))
    submitted(bench, "d")
    page = PageRequest(size=2, token=token)
    second, _ = list_jobs(bench.house, caller=bench.caller, parent="projects/-", page=page)
    assert [job.id for job in (*first, *second)] == ["c", "b", "a"]


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        ("state = QUEUED", ["c"]),
        ("state != QUEUED", ["b", "a"]),
        ("state = STARTING OR state = FAILED", ["b", "a"]),
        ("NOT state = FAILED", ["c", "b"]),
        ('labels.team = "search"', ["b"]),
        ('labels.team != "search"', ["c", "a"]),
        ("labels.team = search AND state = STARTING", ["b"]),
        ("model = plays-tiny", ["c", "b", "a"]),
        ("dataset = projects/own/datasets/plays", ["c", "b", "a"]),
        ("dataset = others", []),
        ('create_time > "2020-01-01T00:00:00Z" AND end_time > "2020-01-01T00:00:00Z"', ["a"]),
        ('end_time != "2020-01-01T00:00:00Z"', ["c", "b", "a"]),
        ("(state = QUEUED OR state = FAILED) AND NOT model = other", ["c", "a"]),
    ],
)
def test_filters(bench: Bench, filter: str, expected: list[str]) -> None:
    submitted(bench, "a")
    bench.finish(bench.claim(), AttemptEnd.FAILED)
    draft = small_draft("projects/-/datasets/plays")
    train(bench.house, caller=bench.caller, parent="projects/-", draft=draft, job_id="b", labels={"team": "search"})
    bench.claim()
    submitted(bench, "c")
    assert listed(bench, filter=filter) == expected


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        ({"filter": "stat = QUEUED"}, r"filter: unknown field 'stat'; did you mean 'state'\?"),
        ({"filter": "state = QUEUD"}, "filter: state must be one of"),
        ({"filter": "state"}, "ends where an operator is expected"),
        ({"order_by": "name"}, "order_by: must be create_time"),
        ({"page": PageRequest(size=-1)}, "page_size"),
        ({"page": PageRequest(token="nonsense")}, "page_token"),
    ],
)
def test_bad_questions_are_refused_with_the_field(bench: Bench, asked: dict[str, object], complaint: str) -> None:
    with pytest.raises(InvalidField, match=complaint):
        list_jobs(bench.house, **{"caller": bench.caller, "parent": "projects/-", "page": PageRequest(), **asked})


def test_a_page_token_is_good_for_its_own_list_only(bench: Bench) -> None:
    submitted(bench, "a", "b", "c")
    _, token = list_jobs(bench.house, caller=bench.caller, parent="projects/-", page=PageRequest(size=1))
    other = add_project(bench.house, "other")
    page = PageRequest(size=1, token=token)
    for asked in ({"filter": "state = QUEUED"}, {"order_by": "create_time asc"}, {"caller": other}):
        with pytest.raises(InvalidField, match="page_token"):
            list_jobs(bench.house, **{"caller": bench.caller, "parent": "projects/-", "page": page, **asked})


def test_foreign_jobs_are_in_no_list(bench: Bench) -> None:
    stranger = add_project(bench.house, "other")
    add_dataset(bench.house, "other")
    bench.submit(caller=stranger)
    assert listed(bench) == []
    with pytest.raises(NotFound):
        list_jobs(bench.house, caller=bench.caller, parent="projects/other", page=PageRequest())


def test_events_come_in_pages_without_metrics(bench: Bench) -> None:
    assignment = bench.started()
    bench.report(assignment, *steps(1, 10))
    bench.complete(assignment)
    seen, token = [], ""
    while True:
        page = PageRequest(size=2, token=token)
        events, token = list_job_events(bench.house, caller=bench.caller, parent=assignment.job.name, page=page)
        seen += [event.seq for event in events]
        if not token:
            break
    assert seen == [1, 2, 3, 14, 15, 16]


def test_a_watcher_that_comes_back_misses_nothing_and_sees_nothing_twice(bench: Bench) -> None:
    assignment = bench.started()
    bench.report(assignment, *steps(1, 10))
    uid, cursor, seen = assignment.job.uid, 0, []
    while events := read_job_events(bench.house, job_uid=uid, after=cursor, count_max=3):
        seen += [event.seq for event in events]
        cursor = events[-1].seq
    assert seen == list(range(1, 14))
    assert read_job_heads(bench.house, job_uids=[uid, "unknown"]) == {uid: 13}


def test_a_cursor_beyond_the_end_is_refused(bench: Bench) -> None:
    job = bench.submit()
    assert watch_job(bench.house, caller=bench.caller, name=job.name, after_cursor=1) == job
    with pytest.raises(InvalidField, match="0 to 1"):
        watch_job(bench.house, caller=bench.caller, name=job.name, after_cursor=2)


def test_workers_are_listed_with_the_callers_jobs_only(bench: Bench) -> None:
    stranger = add_project(bench.house, "other")
    add_dataset(bench.house, "other")
    own, foreign = bench.submit(job_id="mine"), bench.submit(caller=stranger)
    bench.claim(wished=foreign.uid)
    bench.claim(wished=own.uid)
    (worker,), token = list_workers(bench.house, caller=bench.caller, page=PageRequest())
    assert (worker.name, worker.state, worker.jobs, token) == ("workers/w1", WorkerState.READY, (own.name,), "")


def test_the_queue_counts_every_project(bench: Bench) -> None:
    submitted(bench, "a", "b", "c")
    bench.claim()
    (queue,) = list_queues(bench.house, caller=bench.caller)
    assert (queue.waiting_jobs, queue.held_jobs) == (2, 1)
    assert 0 <= queue.oldest_wait_s < 60

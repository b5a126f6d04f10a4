"""Watching a job over real gRPC: nothing missed, nothing twice, whoever is slow, whoever writes."""

import asyncio
import threading
from collections.abc import Iterator

import grpc
import pytest

from services.api import tailer as tailer_module
from services.domain.projects import Caller, Role
from services.domain.requests import NO_REQUEST_KEY
from services.jobs.cancel_job import cancel_job
from services.projects.revoke_api_key import revoke_api_key
from tests.support.served_house import ServedHouse, info_of, keys_of_roles, made_house, reason_of, served_house
from tests.support.waiting import wait_for
from tutelage.v1 import datasets_pb2, datasets_pb2_grpc, jobs_pb2, jobs_pb2_grpc, training_pb2
from tutelage_internal.v1 import facts_pb2, workers_pb2, workers_pb2_grpc

TEXT = "".join(f"line {number} of a small text\n" for number in range(2000)).encode()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedHouse]:
    folder = tmp_path_factory.mktemp("house")
    house = made_house(f"sqlite:///{folder}/house.db", artifacts_dir=folder / "artifacts")
    with served_house(house, folder) as served:
        upload_text(served)
        yield served


def upload_text(served: ServedHouse) -> None:
    datasets = served.stub(datasets_pb2_grpc.DatasetsStub)
    asked = datasets_pb2.StartUploadRequest(parent="projects/-", dataset_id="plays", size_bytes=len(TEXT))
    upload = datasets.StartUpload(asked)
    datasets.WriteUpload(iter([datasets_pb2.WriteUploadRequest(name=upload.name, data=TEXT)]))
    datasets.FinishUpload(datasets_pb2.FinishUploadRequest(name=upload.name))


class Worker:
    """A worker that holds one job and tells facts about it."""

    def __init__(self, served: ServedHouse) -> None:
        self.jobs = served.stub(jobs_pb2_grpc.JobsStub)
        self.stub = served.room_stub(workers_pb2_grpc.WorkersStub, room="worker")
        spec = training_pb2.TrainSpec(dataset="projects/-/datasets/plays", preset="tiny", steps=100_000)
        self.job = self.jobs.Train(jobs_pb2.TrainRequest(parent="projects/-", spec=spec))
        info = workers_pb2.WorkerInfo(worker_id="w1", slots=100, device="cpu", version="0")
        claimed = self.stub.ClaimJob(
            workers_pb2.ClaimJobRequest(worker=info, claim_id=self.job.uid, wished_job_uid=self.job.uid)
        )
        self.attempt = claimed.assignment.attempt
        self.seq = 0

    def report(self, count: int) -> None:
        facts = []
        for _ in range(count):
            self.seq += 1
            logged = jobs_pb2.MetricLogged(step=self.seq, values={"train/loss": 1.0 / self.seq})
            facts.append(facts_pb2.Fact(seq=self.seq, metric_logged=logged))
        self.stub.ReportFacts(workers_pb2.ReportFactsRequest(attempt=self.attempt, facts=facts))

    def watch(self, after: int = 0) -> grpc.Call:
        return self.jobs.WatchJob(jobs_pb2.WatchJobRequest(name=self.job.name, after_cursor=after))

    def last_cursor(self) -> int:
        return (
            self.jobs.ListJobEvents(jobs_pb2.ListJobEventsRequest(parent=self.job.name, page_size=1000))
            .events[-1]
            .cursor
        )

    def cancel(self) -> None:
        self.jobs.CancelJob(jobs_pb2.CancelJobRequest(name=self.job.name))
        done = workers_pb2.FinishAttemptRequest(
            attempt=self.attempt, outcome=workers_pb2.OUTCOME_CANCELLED, through_seq=self.seq
        )
        self.stub.FinishAttempt(done)


@pytest.fixture
def worker(served: ServedHouse) -> Worker:
    return Worker(served)


def test_a_watcher_sees_everything_in_order_until_the_end(worker):
    worker.report(300)
    stream = worker.watch()
    seen = [next(stream).cursor for _ in range(50)]
    worker.report(500)
    worker.cancel()
    seen += [event.cursor for event in stream if event.cursor]
    assert seen == list(range(1, len(seen) + 1))
    assert len(seen) > 800


def test_the_last_event_is_the_final_one_and_then_the_stream_ends(worker):
    stream = worker.watch()
    worker.report(3)
    worker.cancel()
    events = list(stream)
    assert events[-1].state_changed.to == jobs_pb2.JOB_STATE_CANCELLED
    assert list(worker.watch(after=events[-1].cursor)) == []


def test_a_watcher_that_resumes_by_cursor_misses_nothing_and_sees_nothing_twice(worker):
    done = threading.Event()

    def tell() -> None:
        for _ in range(30):
            worker.report(40)
        worker.cancel()
        done.set()

    telling = threading.Thread(target=tell)
    telling.start()
    seen: list[int] = []
    while True:
        stream = worker.watch(after=seen[-1] if seen else 0)
        for count, event in enumerate(stream):
            if event.cursor:
                seen.append(event.cursor)
            if count > 70:
                stream.cancel()
                break
        else:
            break
    telling.join()
    assert seen == list(range(1, len(seen) + 1))
    assert len(seen) > 1200


def test_many_watchers_see_the_same_while_it_happens(worker):
    seen: list[list[int]] = [[] for _ in range(20)]

    def watch(index: int) -> None:
        seen[index] = [event.cursor for event in worker.watch(after=index % 3) if event.cursor]

    watching = [threading.Thread(target=watch, args=(index,)) for index in range(20)]
    for thread in watching:
        thread.start()
    for _ in range(10):
        worker.report(50)
    worker.cancel()
    for thread in watching:
        thread.join()
    last = seen[0][-1]
    assert all(cursors == list(range(index % 3 + 1, last + 1)) for index, cursors in enumerate(seen))


def test_what_another_replica_writes_is_seen_too(served, worker):
    stream = worker.watch(after=worker.last_cursor())
    caller = Caller(key=served.admin, method="test")
    cancel_job(served.house, caller=caller, name=worker.job.name, request=NO_REQUEST_KEY)
    assert next(stream).state_changed.to == jobs_pb2.JOB_STATE_CANCELLING
    stream.cancel()


def test_a_cursor_that_the_job_never_had_is_refused(worker):
    with pytest.raises(grpc.RpcError) as caught:
        next(worker.watch(after=10**9))
    assert reason_of(caught.value) == "INVALID_FIELD"


def test_a_revoked_key_ends_its_streams_and_no_other(served, worker, monkeypatch):
    key = keys_of_roles(served)[Role.VIEWER]
    ended = served.stub(jobs_pb2_grpc.JobsStub, key=key).WatchJob(jobs_pb2.WatchJobRequest(name=worker.job.name))
    lasting = worker.watch()
    next(ended), next(lasting)
    caller = Caller(key=served.admin, method="test")
    revoke_api_key(served.house, caller=caller, name=key.name, request=NO_REQUEST_KEY)
    with pytest.raises(grpc.RpcError) as caught:
        for _ in ended:
            pass
    assert reason_of(caught.value) == "INVALID_KEY"
    worker.report(1)
    assert next(lasting).cursor
    lasting.cancel()


def test_a_watcher_that_goes_away_leaves_nothing_behind(served, worker):
    streams = [worker.watch() for _ in range(5)]
    for stream in streams:
        next(stream)
        stream.cancel()
    wait_for(lambda: len(served.api._streams) == 0 and not served.api._tailer._feeds)


def test_a_house_that_leaves_sends_its_watchers_away_at_once(tmp_path):
    house = made_house(f"sqlite:///{tmp_path}/house.db", artifacts_dir=tmp_path / "artifacts")
    with served_house(house, tmp_path) as leaving:
        upload_text(leaving)
        stream = Worker(leaving).watch()
        next(stream)
        draining = asyncio.run_coroutine_threadsafe(leaving.api.drain(grace_s=20), leaving.loop)
        with pytest.raises(grpc.RpcError) as caught:
            for _ in stream:
                pass
        assert (caught.value.code(), reason_of(caught.value)) == (grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE")
        draining.result(timeout=5)


def test_a_reader_that_stands_still_is_told_where_to_go_on(served, worker):
    served.api._tailer._standstill_s = 0.5
    try:
        stream = worker.watch()
        next(stream)
        for _ in range(30):
            facts = [
                facts_pb2.Fact(
                    seq=worker.seq + 1 + index,
                    sample_drawn=jobs_pb2.SampleDrawn(step=worker.seq + 1 + index, text="x" * 10_000),
                )
                for index in range(100)
            ]
            worker.seq += 100
            worker.stub.ReportFacts(workers_pb2.ReportFactsRequest(attempt=worker.attempt, facts=facts))
        wait_for(lambda: len(served.api._streams) == 0)
        cursors = []
        with pytest.raises(grpc.RpcError) as caught:
            for event in stream:
                cursors.append(event.cursor)
        assert (caught.value.code(), reason_of(caught.value)) == (grpc.StatusCode.OUT_OF_RANGE, "SLOW_READER")
        assert cursors == list(range(2, len(cursors) + 2))
        assert int(info_of(caught.value).metadata["cursor"]) <= cursors[-1]
    finally:
        served.api._tailer._standstill_s = tailer_module.STANDSTILL_S

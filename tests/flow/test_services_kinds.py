"""Every kind of work over real gRPC: what users ask for, what workers are told, what the sampler may look into."""

import hashlib
import pathlib
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from services.api import readers as api_readers
from services.domain.limits import FILE_CHUNK_BYTES, VERIFIED_STEPS_MAX
from services.storage.tables.jobs import metric
from tests.support.served_house import ServedHouse, info_of, made_house, reason_of, served_house
from tests.support.uploads import model_archive
from tests.support.waiting import wait_for
from tutelage.v1 import (
    datasets_pb2,
    datasets_pb2_grpc,
    jobs_pb2,
    jobs_pb2_grpc,
    models_pb2,
    models_pb2_grpc,
    training_pb2,
)
from tutelage_internal.v1 import access_pb2, facts_pb2, workers_pb2, workers_pb2_grpc

ROWS = b"".join(b'{"text": "line %d of some text"}\n' % number for number in range(200))
MESSAGE_BYTES_MAX = 4 * 1024**2


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedHouse]:
    folder = tmp_path_factory.mktemp("house")
    house = made_house(f"sqlite:///{folder}/house.db", artifacts_dir=folder / "artifacts")
    with served_house(house, folder) as served:
        yield served


@pytest.fixture(scope="module")
def jobs(served: ServedHouse) -> Any:
    return served.stub(jobs_pb2_grpc.JobsStub)


@pytest.fixture(scope="module")
def models(served: ServedHouse) -> Any:
    return served.stub(models_pb2_grpc.ModelsStub)


@pytest.fixture(scope="module")
def rows(served: ServedHouse) -> str:
    return upload(served, "rows", ROWS, format=datasets_pb2.DATASET_FORMAT_JSONL).name


def upload(served: ServedHouse, id: str, data: bytes, *, format: int) -> datasets_pb2.Dataset:
    """Upload bytes as a dataset."""
    stub = served.stub(datasets_pb2_grpc.DatasetsStub)
    started = stub.StartUpload(
        datasets_pb2.StartUploadRequest(parent="projects/-", dataset_id=id, size_bytes=len(data), format=format)
    )
    stub.WriteUpload(iter([datasets_pb2.WriteUploadRequest(name=started.name, data=data)]))
    dataset: datasets_pb2.Dataset = stub.FinishUpload(datasets_pb2.FinishUploadRequest(name=started.name))
    return dataset


class Worker:
    """A supervisor that does as little as it can."""

    def __init__(self, served: ServedHouse) -> None:
        self.store = served.house.store
        self.stub = served.room_stub(workers_pb2_grpc.WorkersStub, room="worker")
        self.info = workers_pb2.WorkerInfo(worker_id="w1", slots=9, device="cpu", version="0")
        self.chance = served.house.chance

    def claim(self, uid: str) -> workers_pb2.Assignment:
        """Take a job."""
        request = workers_pb2.ClaimJobRequest(worker=self.info, claim_id=self.chance.uid(), wished_job_uid=uid)
        answer = self.stub.ClaimJob(request)
        assert answer.assignment.attempt.job_uid == uid
        assignment: workers_pb2.Assignment = answer.assignment
        return assignment

    def report(self, at: workers_pb2.Assignment, *facts: facts_pb2.Fact) -> None:
        """Tell facts, numbered from 1."""
        for seq, fact in enumerate(facts, start=1):
            fact.seq = seq
        self.stub.ReportFacts(workers_pb2.ReportFactsRequest(attempt=at.attempt, facts=facts))

    def commit(self, at: workers_pb2.Assignment, *, step: int, content: bytes, complete: bool = False) -> None:
        """Write a checkpoint and make it count."""

        def fill(folder: pathlib.Path) -> None:
            (folder / "model.safetensors").write_bytes(content)

        files = self.store.write_file_set(f"{at.checkpoint_prefix}/step-{step}", fill)
        written = facts_pb2.CheckpointWritten(
            step=step,
            artifact_prefix=files.prefix,
            manifest_sha256=files.manifest_sha256,
            size_bytes=files.size_bytes,
            complete=complete,
            parameters=7,
            lineage=at.lineage,
        )
        self.stub.CommitCheckpoint(workers_pb2.CommitCheckpointRequest(attempt=at.attempt, checkpoint=written))

    def complete(self, at: workers_pb2.Assignment, content: bytes = b"weights") -> None:
        """Commit the last checkpoint and finish."""
        self.commit(at, step=9, content=content, complete=True)
        outcome = workers_pb2.OUTCOME_COMPLETE
        self.stub.FinishAttempt(workers_pb2.FinishAttemptRequest(attempt=at.attempt, outcome=outcome))


@pytest.fixture(scope="module")
def worker(served: ServedHouse) -> Worker:
    return Worker(served)


def train(jobs: Any, dataset: str, **values: Any) -> jobs_pb2.Job:
    """Submit a small run."""
    shape = training_pb2.Architecture(layers=1, width=16, heads=2, context_length=16)
    pace = training_pb2.OptimizationSpec(batch_size=2)
    spec = training_pb2.TrainSpec(dataset=dataset, architecture=shape, optimization=pace, steps=9, **values)
    job: jobs_pb2.Job = jobs.Train(jobs_pb2.TrainRequest(parent="projects/-", spec=spec))
    return job


def step(number: int) -> facts_pb2.Fact:
    """Return the fact of a step, with its chains."""
    chain = hashlib.sha256(b"%d" % number).hexdigest()[:32]
    values = {"train/loss": 1.5, "perf/step_seconds": 0.25}
    metric = jobs_pb2.MetricLogged(step=number, values=values, data_chain=chain, loss_chain=chain[::-1])
    return facts_pb2.Fact(metric_logged=metric)


def test_rows_of_several_datasets_reach_the_worker_with_their_shares(
    served: ServedHouse, jobs: Any, worker: Worker, rows: str
) -> None:
    more = upload(
        served, "more", b"".join(ROWS.splitlines(keepends=True)[:100]), format=datasets_pb2.DATASET_FORMAT_JSONL
    )
    job = train(jobs, rows, mixture=[training_pb2.MixturePart(dataset=more.name, weight=0.5)])
    at = worker.claim(job.uid)
    assert at.WhichOneof("spec") == "train"
    assert (at.dataset.format, at.dataset.row_kind) == (
        datasets_pb2.DATASET_FORMAT_JSONL,
        datasets_pb2.ROW_KIND_TEXT,
    )
    assert (at.dataset.rows, at.dataset.train_rows, at.dataset.name) == (200, 190, rows)
    (part,) = at.mixture
    assert (part.name, part.weight, part.key, part.sha256) == (more.name, 0.5, part.key, more.sha256)
    with pytest.raises(grpc.RpcError) as caught:
        served.stub(datasets_pb2_grpc.DatasetsStub).DeleteDataset(datasets_pb2.DeleteDatasetRequest(name=more.name))
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION


def test_a_model_is_imported_tuned_exported_and_read(
    served: ServedHouse, jobs: Any, models: Any, worker: Worker, rows: str
) -> None:
    files = upload(served, "llama", model_archive(), format=datasets_pb2.DATASET_FORMAT_MODEL_FILES)
    spec = training_pb2.ImportModelSpec(dataset=files.name)
    job = models.ImportModel(models_pb2.ImportModelRequest(parent="projects/-", spec=spec, labels={"team": "search"}))
    assert (job.WhichOneof("spec"), job.import_model.model, job.labels["team"]) == ("import_model", "llama", "search")
    at = worker.claim(job.uid)
    assert at.WhichOneof("spec") == "import_model"
    assert (at.dataset.format, at.HasField("base")) == (datasets_pb2.DATASET_FORMAT_MODEL_FILES, False)
    worker.complete(at)
    version = models.GetModelVersion(models_pb2.GetModelVersionRequest(name="projects/-/models/llama/versions/latest"))
    assert (version.import_model.dataset, version.HasField("train"), version.parameters) == (files.name, False, 7)

    exported = training_pb2.ExportModelSpec(model="projects/-/models/llama", format=training_pb2.EXPORT_FORMAT_GGUF)
    job = models.ExportModel(models_pb2.ExportModelRequest(parent="projects/-", spec=exported))
    at = worker.claim(job.uid)
    assert at.export_model.format == training_pb2.EXPORT_FORMAT_GGUF
    assert (at.base.name, at.base.manifest_sha256) == (version.name, version.manifest_sha256)
    assert not at.HasField("dataset") and not at.HasField("resume")
    content = bytes(range(256)) * 10_000
    worker.complete(at, content)
    done = jobs.GetJob(jobs_pb2.GetJobRequest(name=job.name))
    assert (done.state, done.model_version) == (jobs_pb2.JOB_STATE_SUCCEEDED, "")
    (file,) = jobs.ListJobFiles(jobs_pb2.ListJobFilesRequest(parent=job.name)).files
    assert (file.filename, file.size_bytes) == ("model.safetensors", len(content))
    assert file.sha256 == hashlib.sha256(content).hexdigest()
    read(jobs, job.name, content)


def read(jobs: Any, name: str, content: bytes) -> None:
    """Read a file whole, from a place within, from its end, and from beyond it."""

    def pieces(offset: int) -> list[bytes]:
        request = jobs_pb2.ReadJobFileRequest(name=name, filename="model.safetensors", offset_bytes=offset)
        return [answer.data for answer in jobs.ReadJobFile(request)]

    whole = pieces(0)
    assert b"".join(whole) == content and max(map(len, whole)) == FILE_CHUNK_BYTES
    assert b"".join(pieces(1_234_567)) == content[1_234_567:]
    assert pieces(len(content)) == []
    with pytest.raises(grpc.RpcError) as caught:
        pieces(len(content) + 1)
    assert (caught.value.code(), reason_of(caught.value)) == (grpc.StatusCode.OUT_OF_RANGE, "WRONG_OFFSET")
    assert info_of(caught.value).metadata["size_bytes"] == str(len(content))


@pytest.mark.parametrize("limit", ["READERS_MAX", "READERS_OF_PROJECT_MAX"])
def test_a_reader_that_leaves_frees_its_place(
    jobs: Any, worker: Worker, rows: str, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(api_readers, limit, 1)
    job = train(jobs, rows)
    worker.complete(worker.claim(job.uid), b"x" * 30 * FILE_CHUNK_BYTES)
    request = jobs_pb2.ReadJobFileRequest(name=job.name, filename="model.safetensors")
    first = jobs.ReadJobFile(request)
    next(first)

    def refusal() -> Any:
        try:
            second = jobs.ReadJobFile(request)
            next(second)
            second.cancel()
        except grpc.RpcError as error:
            return error.code()
        return None

    assert refusal() is grpc.StatusCode.UNAVAILABLE
    first.cancel()
    wait_for(lambda: refusal() is None, limit_s=10, what="the place to be free")


def test_a_reader_that_takes_nothing_loses_its_place(
    jobs: Any, worker: Worker, rows: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_readers, "READERS_MAX", 1)
    monkeypatch.setattr(api_readers, "SLOW_READER_S", 0.3)
    job = train(jobs, rows)
    content = b"x" * 30 * FILE_CHUNK_BYTES
    worker.complete(worker.claim(job.uid), content)
    request = jobs_pb2.ReadJobFileRequest(name=job.name, filename="model.safetensors")
    idle = jobs.ReadJobFile(request)
    taken = len(next(idle).data)

    def has_place() -> bool:
        try:
            return bool(next(jobs.ReadJobFile(request)).data)
        except grpc.RpcError as error:
            assert error.code() is grpc.StatusCode.UNAVAILABLE
            return False

    wait_for(has_place, limit_s=20, what="the place to be free")
    with pytest.raises(grpc.RpcError) as caught:
        for answer in idle:
            taken += len(answer.data)
    assert (caught.value.code(), reason_of(caught.value)) == (grpc.StatusCode.OUT_OF_RANGE, "SLOW_READER")
    assert taken < len(content)


def test_the_state_of_a_run_after_a_step_is_looked_into(
    served: ServedHouse, jobs: Any, worker: Worker, rows: str
) -> None:
    job = train(jobs, rows)
    at = worker.claim(job.uid)
    worker.report(at, *(step(number) for number in range(1, 6)))
    for number in (0, 4):
        worker.commit(at, step=number, content=b"%d" % number)
    found = look_into(served, access_pb2.ResolveCheckpointRequest(job=job.name, step=3))
    assert (found.job, found.checkpoint.step, found.first.step) == (job.name, 0, 0)
    assert found.WhichOneof("spec") == "train" and not found.HasField("base")
    found = look_into(served, access_pb2.ResolveCheckpointRequest(job=job.name))
    assert (found.checkpoint.step, found.first.step) == (4, 0)


def look_into(served: ServedHouse, request: access_pb2.ResolveCheckpointRequest) -> Any:
    """Ask for a checkpoint as the sampler does."""
    badge = (("authorization", f"Bearer {(b's' * 32).hex()}"),)
    signed = served.signed("/tutelage.v1.Inspection/InspectStep")
    call = served.internal.unary_unary(
        "/tutelage_internal.v1.Access/ResolveCheckpoint",
        request_serializer=access_pb2.ResolveCheckpointRequest.SerializeToString,
        response_deserializer=access_pb2.ResolveCheckpointResponse.FromString,
    )
    return call(request, metadata=(*badge, *signed), timeout=10)


def test_steps_are_verified_and_a_receipt_is_given(jobs: Any, worker: Worker, rows: str) -> None:
    job = train(jobs, rows)
    at = worker.claim(job.uid)
    note = jobs_pb2.Note(kind="environment", message="here", details={"device": "cpu"}, level=jobs_pb2.NOTE_LEVEL_INFO)
    usage = jobs_pb2.Usage(peak_memory_bytes=123, training_seconds=99)
    worker.report(at, facts_pb2.Fact(note=note), *map(step, range(1, 7)), facts_pb2.Fact(usage=usage))
    worker.commit(at, step=2, content=b"2")
    receipt = jobs.GetReceipt(jobs_pb2.GetReceiptRequest(name=job.name))
    assert (receipt.step, receipt.lineage, dict(receipt.environment)) == (6, 1, {"device": "cpu"})
    assert receipt.data_chain == step(6).metric_logged.data_chain
    told = jobs.GetJob(jobs_pb2.GetJobRequest(name=job.name))
    assert (told.usage.peak_memory_bytes, told.usage.training_seconds) == (123, 1.5)

    verifying = jobs.VerifyJob(jobs_pb2.VerifyJobRequest(name=job.name, first_step=4, steps=2))
    assert (verifying.verify.job, verifying.verify.first_step, verifying.verify.steps) == (job.name, 4, 2)
    again = worker.claim(verifying.uid)
    assert again.WhichOneof("spec") == "verification"
    assert (again.verification.first_step, again.resume.step, again.lineage) == (4, 2, 1)
    assert again.verification.train.seed == told.train.seed
    assert [(each.step, each.loss) for each in again.verification.recorded] == [(3, 1.5), (4, 1.5), (5, 1.5)]
    assert again.verification.recorded[0].loss_chain == step(3).metric_logged.loss_chain
    assert again.dataset.name == rows
    worker.complete(again)


def test_watchers_see_chains_blamed_rows_and_rollbacks(jobs: Any, worker: Worker, rows: str) -> None:
    job = train(jobs, rows)
    at = worker.claim(job.uid)
    row = jobs_pb2.BlamedRow(step=1, dataset=rows, row=7, loss=9.5, excerpt="line 7")
    blamed = jobs_pb2.RowsBlamed(step=1, rows=[row])
    back = jobs_pb2.RolledBack(from_step=1, to_step=0, message="It was not finite.", lineage=2)
    worker.report(at, step(1), facts_pb2.Fact(rows_blamed=blamed), facts_pb2.Fact(rolled_back=back), step(1))
    events = jobs.ListJobEvents(jobs_pb2.ListJobEventsRequest(parent=job.name)).events
    told = [event for event in events if event.WhichOneof("event") in ("rows_blamed", "rolled_back")]
    assert [event.WhichOneof("event") for event in told] == ["rows_blamed", "rolled_back"]
    assert (told[0].rows_blamed, told[1].rolled_back) == (blamed, back)
    watched = jobs.WatchJob(jobs_pb2.WatchJobRequest(name=job.name, after_cursor=events[-1].cursor - 3), timeout=10)
    metrics = []
    for event in watched:
        if event.WhichOneof("event") == "metric_logged":
            metrics.append(event.metric_logged)
        if event.cursor >= events[-1].cursor + 1:
            break
    assert [(each.step, each.data_chain) for each in metrics[-1:]] == [(1, step(1).metric_logged.data_chain)]


def test_the_longest_verification_stays_below_the_limit_of_a_message(
    served: ServedHouse, jobs: Any, worker: Worker, rows: str
) -> None:
    shape = training_pb2.Architecture(layers=1, width=16, heads=2, context_length=16)
    spec = training_pb2.TrainSpec(dataset=rows, architecture=shape, steps=VERIFIED_STEPS_MAX + 1)
    job = jobs.Train(jobs_pb2.TrainRequest(parent="projects/-", spec=spec))
    at = worker.claim(job.uid)
    worker.commit(at, step=0, content=b"0")
    record(served, job.uid, steps=VERIFIED_STEPS_MAX)
    request = jobs_pb2.VerifyJobRequest(name=job.name, steps=VERIFIED_STEPS_MAX)
    told = worker.claim(jobs.VerifyJob(request).uid)
    assert len(told.verification.recorded) == VERIFIED_STEPS_MAX
    assert told.ByteSize() < 0.97 * MESSAGE_BYTES_MAX
    record(served, job.uid, steps=VERIFIED_STEPS_MAX + 1, first=VERIFIED_STEPS_MAX + 1)
    with pytest.raises(grpc.RpcError, match="at most 40,000 are computed again"):
        jobs.VerifyJob(jobs_pb2.VerifyJobRequest(name=job.name, first_step=2, steps=VERIFIED_STEPS_MAX))


def record(served: ServedHouse, uid: str, *, steps: int, first: int = 1) -> None:
    """Write metrics behind the counter: to report so many would take long."""
    import sqlalchemy as sa

    from services.storage.tables.jobs import job
    from tests.support.houses import A_TIME

    common = {"job_uid": uid, "lineage": 1, "time": A_TIME, "epoch": 1, "body": {"train/loss": 10.123456789012345}}
    chains = {"data_chain": "a" * 32, "loss_chain": "b" * 32}
    rows = [{**common, **chains, "step": number, "seq": 1000 + number} for number in range(first, steps + 1)]
    storage: Any = served.house.storage
    with storage.engine.begin() as connection:
        connection.execute(sa.insert(metric), rows)
        connection.execute(sa.update(job).where(job.c.uid == uid).values(recorded_step=steps, last_seq=1000 + steps))

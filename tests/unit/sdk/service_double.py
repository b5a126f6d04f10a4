"""A stand-in for the remote service: a real gRPC server that keeps a little state and fails when it is told to.

It answers for tutelage.v1 as the protos promise. `answers` replaces single methods; `fail` makes the next calls of one
fail; `cut_watch_after` breaks each WatchJob after so many events, `watch_cuts_left` times; `cut_upload_after` breaks
the next WriteUpload after so many bytes.
"""

import collections
import concurrent.futures
import hashlib
import itertools
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any, Self

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from tests.unit.sdk.service_double_reviews import ReviewCalls
from tests.unit.sdk.service_double_work import WorkCalls
from tutelage.v1 import (
    cluster_pb2,
    cluster_pb2_grpc,
    datasets_pb2,
    datasets_pb2_grpc,
    duels_pb2_grpc,
    feedback_pb2_grpc,
    inspection_pb2_grpc,
    jobs_pb2,
    jobs_pb2_grpc,
    models_pb2,
    models_pb2_grpc,
    projects_pb2,
    projects_pb2_grpc,
    reviews_pb2_grpc,
    sampling_pb2,
    sampling_pb2_grpc,
)

KEY = "tut_abcdefghijkl_" + "0" * 64
SERVICES = (
    ("Jobs", jobs_pb2_grpc),
    ("Datasets", datasets_pb2_grpc),
    ("Models", models_pb2_grpc),
    ("Sampling", sampling_pb2_grpc),
    ("Projects", projects_pb2_grpc),
    ("Cluster", cluster_pb2_grpc),
    ("Inspection", inspection_pb2_grpc),
    ("Reviews", reviews_pb2_grpc),
    ("Feedback", feedback_pb2_grpc),
    ("Duels", duels_pb2_grpc),
)


def failure(
    code: grpc.StatusCode,
    message: str = "no",
    *,
    reason: str = "",
    fields: dict[str, str] | None = None,
    retry_after_s: float | None = None,
    **metadata: str,
) -> status_pb2.Status:
    """Returns a status with the details that the service would send."""
    details: list[Any] = []
    if reason:
        details.append(error_details_pb2.ErrorInfo(reason=reason, domain="tutelage", metadata=metadata))
    if fields:
        violations = [error_details_pb2.BadRequest.FieldViolation(field=f, description=d) for f, d in fields.items()]
        details.append(error_details_pb2.BadRequest(field_violations=violations))
    if retry_after_s is not None:
        delay = duration_pb2.Duration(nanos=int(retry_after_s * 1e9))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    packed = [any_pb2.Any() for _ in details]
    for into, detail in zip(packed, details, strict=True):
        into.Pack(detail)
    return status_pb2.Status(code=code.value[0], message=message, details=packed)


class ServiceDouble(WorkCalls, ReviewCalls):
    """The server with everything it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, Any, dict[str, str]]] = []
        self.failures: dict[str, collections.deque[status_pb2.Status]] = collections.defaultdict(collections.deque)
        self.answers: dict[str, Any] = {}
        self.jobs: dict[str, jobs_pb2.Job] = {}
        self.events: list[jobs_pb2.JobEvent] = []
        self.cut_watch_after: int | None = None
        self.watch_cuts_left = 1_000
        self.repeat_events = 0
        self.hold_watch = False
        self.event_pause_s = 0.0
        self.uploads: dict[str, datasets_pb2.Upload] = {}
        self.formats: dict[str, Any] = {}
        self.upload_bytes: dict[str, bytearray] = {}
        self.uploads_by_request: dict[str, str] = {}
        self.datasets: dict[str, datasets_pb2.Dataset] = {}
        self.cut_upload_after: list[int] = []
        self.models: dict[str, models_pb2.Model] = {}
        self.pieces: list[sampling_pb2.StreamSampleResponse] = []
        self._pool = concurrent.futures.ThreadPoolExecutor(16)
        self._server = grpc.server(self._pool, interceptors=[Recorder(self)])
        for name, module in SERVICES:
            getattr(module, f"add_{name}Servicer_to_server")(self, self._server)
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self.address = f"127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.stop(None).wait()
        self._pool.shutdown()

    def fail(self, method: str, *statuses: status_pb2.Status) -> None:
        """Makes the next calls of a method fail, one for each status."""
        self.failures[method].extend(statuses)

    def requests(self, method: str) -> list[Any]:
        """Returns what a method was asked, failed calls included."""
        return [request for name, request, _ in self.calls if name == method]

    # Jobs

    def Train(self, request: jobs_pb2.TrainRequest, context: Any) -> jobs_pb2.Job:  # noqa: N802
        job = jobs_pb2.Job(state=jobs_pb2.JOB_STATE_QUEUED, train=request.spec, labels=request.labels)
        job.forecast.parameters = 1_200_000
        job.forecast.basis = "3 runs like it"
        job.forecast.warnings.append("the text is repeated 12 times")
        if not request.validate_only:
            job.name = f"projects/p/jobs/{request.job_id or 'plays-tiny-x7k2'}"
            self.jobs[job.name] = job
        return job

    def GetJob(self, request: Any, context: Any) -> jobs_pb2.Job:  # noqa: N802
        return self._job(request.name, context)

    def ListJobs(self, request: Any, context: Any) -> jobs_pb2.ListJobsResponse:  # noqa: N802
        start = int(request.page_token or 0)
        found = list(self.jobs.values())
        size = request.page_size or 50
        more = start + size < len(found)
        return jobs_pb2.ListJobsResponse(
            jobs=found[start : start + size], next_page_token=str(start + size) if more else ""
        )

    def CancelJob(self, request: Any, context: Any) -> jobs_pb2.Job:  # noqa: N802
        return self._set_state(request.name, jobs_pb2.JOB_STATE_CANCELLED, context)

    def PauseJob(self, request: Any, context: Any) -> jobs_pb2.Job:  # noqa: N802
        return self._set_state(request.name, jobs_pb2.JOB_STATE_PAUSED, context)

    def ResumeJob(self, request: Any, context: Any) -> jobs_pb2.Job:  # noqa: N802
        return self._set_state(request.name, jobs_pb2.JOB_STATE_QUEUED, context)

    def WatchJob(self, request: Any, context: Any) -> Iterator[jobs_pb2.JobEvent]:  # noqa: N802
        self._job(request.name, context)
        yield jobs_pb2.JobEvent()
        rest = [event for event in self.events if event.cursor > request.after_cursor - self.repeat_events]
        for sent in itertools.count():
            if sent == self.cut_watch_after and self.watch_cuts_left:
                self.watch_cuts_left -= 1
                context.abort(grpc.StatusCode.UNAVAILABLE, "the line is cut")
            if sent == len(rest):
                self._hold(context)
                return
            time.sleep(self.event_pause_s)
            yield rest[sent]

    def ListJobEvents(self, request: Any, context: Any) -> jobs_pb2.ListJobEventsResponse:  # noqa: N802
        return jobs_pb2.ListJobEventsResponse(events=[e for e in self.events if not e.HasField("metric_logged")])

    def QueryMetrics(self, request: Any, context: Any) -> jobs_pb2.QueryMetricsResponse:  # noqa: N802
        keys = request.keys or ["eval/loss", "train/loss"]
        steps = list(range(1, 31))
        values = [3 / step + 1 for step in steps]
        curve = {"steps": steps, "means": values, "minima": values, "maxima": values}
        return jobs_pb2.QueryMetricsResponse(series=[jobs_pb2.MetricSeries(key=key, **curve) for key in keys])

    def ListCheckpoints(self, request: Any, context: Any) -> jobs_pb2.ListCheckpointsResponse:  # noqa: N802
        state = jobs_pb2.CHECKPOINT_STATE_COMMITTED
        found = [jobs_pb2.Checkpoint(name=f"{request.parent}/checkpoints/{n}", step=n, state=state) for n in (20, 10)]
        return jobs_pb2.ListCheckpointsResponse(checkpoints=found)

    def ExplainJob(self, request: Any, context: Any) -> jobs_pb2.ExplainJobResponse:  # noqa: N802
        self._job(request.name, context)
        finding = jobs_pb2.Finding(fact="one worker with one slot\x1b[31m", help="start another worker")
        return jobs_pb2.ExplainJobResponse(summary="waits for a free slot", findings=[finding], queue_position=2)

    # Datasets

    def StartUpload(self, request: Any, context: Any) -> datasets_pb2.Upload:  # noqa: N802
        if request.request_id not in self.uploads_by_request:
            if f"projects/p/datasets/{request.dataset_id}" in self.datasets:
                self._abort(context, failure(grpc.StatusCode.ALREADY_EXISTS, "taken", reason="ALREADY_EXISTS"))
            name = f"projects/p/uploads/{uuid.uuid4().hex[:8]}"
            self.uploads_by_request[request.request_id] = name
            dataset = f"projects/p/datasets/{request.dataset_id}"
            self.formats[name] = request.format
            self.uploads[name] = datasets_pb2.Upload(name=name, dataset=dataset, size_bytes=request.size_bytes)
            self.upload_bytes[name] = bytearray()
        return self._upload(self.uploads_by_request[request.request_id], context)

    def WriteUpload(self, requests: Iterator[Any], context: Any) -> datasets_pb2.Upload:  # noqa: N802
        cut = self.cut_upload_after.pop(0) if self.cut_upload_after else None
        name, taken = "", 0
        for request in requests:
            if not name:
                name = request.name
                self._check_offset(name, request.offset_bytes, context)
            room = len(request.data) if cut is None else cut - taken
            self.upload_bytes[name] += request.data[:room]
            taken += len(request.data)
            if cut is not None and taken >= cut:
                context.abort(grpc.StatusCode.UNAVAILABLE, "the line is cut")
        return self._upload(name, context)

    def GetUpload(self, request: Any, context: Any) -> datasets_pb2.Upload:  # noqa: N802
        return self._upload(request.name, context)

    def FinishUpload(self, request: Any, context: Any) -> datasets_pb2.Dataset:  # noqa: N802
        upload = self._upload(request.name, context)
        if upload.dataset not in self.datasets:
            content = bytes(self.upload_bytes[upload.name])
            if hashlib.sha256(content).hexdigest() != request.sha256:
                self._abort(context, failure(grpc.StatusCode.INVALID_ARGUMENT, "hash", reason="HASH_MISMATCH"))
            self.datasets[upload.dataset] = datasets_pb2.Dataset(
                name=upload.dataset,
                state=datasets_pb2.DATASET_STATE_READY,
                format=self.formats[upload.name],
                size_bytes=len(content),
                sha256=request.sha256,
                rows=content.count(b"\n"),
                split=datasets_pb2.DatasetSplit(train_bytes=len(content)),
            )
        return self.datasets[upload.dataset]

    def GetDataset(self, request: Any, context: Any) -> datasets_pb2.Dataset:  # noqa: N802
        return self._find(self.datasets, request.name, context)

    def ListDatasets(self, request: Any, context: Any) -> datasets_pb2.ListDatasetsResponse:  # noqa: N802
        return datasets_pb2.ListDatasetsResponse(datasets=list(self.datasets.values()))

    def DeleteDataset(self, request: Any, context: Any) -> datasets_pb2.Dataset:  # noqa: N802
        dataset = self._find(self.datasets, request.name, context)
        dataset.state = datasets_pb2.DATASET_STATE_DELETED
        return dataset

    # Models and sampling

    def GetModel(self, request: Any, context: Any) -> models_pb2.Model:  # noqa: N802
        return self._find(self.models, request.name, context)

    def ListModels(self, request: Any, context: Any) -> models_pb2.ListModelsResponse:  # noqa: N802
        return models_pb2.ListModelsResponse(models=list(self.models.values()))

    def GetModelVersion(self, request: Any, context: Any) -> models_pb2.ModelVersion:  # noqa: N802
        model = self._find(self.models, request.name.split("/versions/")[0], context)
        return model.latest_version

    def ListModelVersions(self, request: Any, context: Any) -> models_pb2.ListModelVersionsResponse:  # noqa: N802
        model = self._find(self.models, request.parent, context)
        return models_pb2.ListModelVersionsResponse(model_versions=[model.latest_version])

    def Sample(self, request: Any, context: Any) -> sampling_pb2.SampleResponse:  # noqa: N802
        answer = sampling_pb2.SampleResponse(model_version="projects/p/models/plays-tiny/versions/1")
        for number in range(request.samples or 1):
            drawn = answer.samples.add(text=f" or not {number}\x1b]0;owned\x07", seed=number, finish_reason=1)
            token = drawn.tokens.add(id=65, bytes=b"\xc3")
            if request.HasField("logprobs"):
                token.logprob = -0.5
                token.alternatives.add(id=66, bytes=b"B", logprob=-1.5)
        return answer

    def StreamSample(self, request: Any, context: Any) -> Iterator[sampling_pb2.StreamSampleResponse]:  # noqa: N802
        for text in (" or", " not", " to", " be"):
            yield sampling_pb2.StreamSampleResponse(text=text)
        yield sampling_pb2.StreamSampleResponse(finish_reason=sampling_pb2.FINISH_REASON_LENGTH)

    # Projects and cluster

    def GetCaller(self, request: Any, context: Any) -> projects_pb2.Caller:  # noqa: N802
        return projects_pb2.Caller(project="projects/p", role=projects_pb2.ROLE_ADMIN, permissions=["jobs.read"])

    def GetProject(self, request: Any, context: Any) -> projects_pb2.Project:  # noqa: N802
        return projects_pb2.Project(name="projects/p", requests_per_second=50)

    def CreateApiKey(self, request: Any, context: Any) -> projects_pb2.CreateApiKeyResponse:  # noqa: N802
        request.api_key.name = "projects/p/apiKeys/4k2j8x0q7d1c"
        return projects_pb2.CreateApiKeyResponse(api_key=request.api_key, secret="tut_4k2j8x0q7d1c_secret")

    def ListApiKeys(self, request: Any, context: Any) -> projects_pb2.ListApiKeysResponse:  # noqa: N802
        key = projects_pb2.ApiKey(name="projects/p/apiKeys/4k2j8x0q7d1c", role=projects_pb2.ROLE_TRAINER)
        return projects_pb2.ListApiKeysResponse(api_keys=[key])

    def RevokeApiKey(self, request: Any, context: Any) -> projects_pb2.ApiKey:  # noqa: N802
        key = projects_pb2.ApiKey(name=request.name)
        key.revoke_time.GetCurrentTime()
        return key

    def ListAuditEntries(self, request: Any, context: Any) -> projects_pb2.ListAuditEntriesResponse:  # noqa: N802
        entry = projects_pb2.AuditEntry(method="tutelage.v1.Jobs/CancelJob", resource="projects/p/jobs/x")
        entry.time.GetCurrentTime()
        return projects_pb2.ListAuditEntriesResponse(audit_entries=[entry])

    def GetServerInfo(self, request: Any, context: Any) -> cluster_pb2.ServerInfo:  # noqa: N802
        info = cluster_pb2.ServerInfo(version="0.1.0", limits={"dataset_bytes_max": 4294967296})
        info.presets.add(name="tiny", parameters=1_200_000, steps=500, description="learns in two minutes")
        return info

    def ListWorkers(self, request: Any, context: Any) -> cluster_pb2.ListWorkersResponse:  # noqa: N802
        worker = cluster_pb2.Worker(name="workers/w1", state=cluster_pb2.WORKER_STATE_READY, slots=2, device="cpu")
        worker.heartbeat_time.GetCurrentTime()
        return cluster_pb2.ListWorkersResponse(workers=[worker])

    def ListQueues(self, request: Any, context: Any) -> cluster_pb2.ListQueuesResponse:  # noqa: N802
        queue = cluster_pb2.Queue(name="queues/default", waiting_jobs=1, oldest_wait_seconds=75)
        return cluster_pb2.ListQueuesResponse(queues=[queue])

    # What the methods share

    def _job(self, name: str, context: Any) -> jobs_pb2.Job:
        return self._find(self.jobs, name, context)

    def _set_state(self, name: str, state: Any, context: Any) -> jobs_pb2.Job:
        job = self._job(name, context)
        job.state = state
        return job

    def _upload(self, name: str, context: Any) -> datasets_pb2.Upload:
        upload = self._find(self.uploads, name, context)
        upload.received_bytes = len(self.upload_bytes[upload.name])
        return upload

    def _check_offset(self, name: str, offset_bytes: int, context: Any) -> None:
        received = len(self.upload_bytes[name])
        if offset_bytes != received:
            status = failure(grpc.StatusCode.OUT_OF_RANGE, reason="WRONG_OFFSET", received_bytes=str(received))
            self._abort(context, status)

    def _find(self, found: dict[str, Any], name: str, context: Any) -> Any:
        full = name.replace("projects/-/", "projects/p/")
        if full not in found:
            message = f"no {name}; did you mean 'plays'?"
            self._abort(context, failure(grpc.StatusCode.NOT_FOUND, message, reason="NOT_FOUND"))
        return found[full]

    def _hold(self, context: Any) -> None:
        """Keeps a stream open, as for a job that goes on, until the client leaves."""
        gone = threading.Event()
        if self.hold_watch and context.add_callback(gone.set):
            gone.wait(30)

    def _abort(self, context: Any, status: status_pb2.Status) -> None:
        context.abort_with_status(rpc_status.to_status(status))


class Recorder(grpc.ServerInterceptor):
    """Writes down every call, refuses strangers, and lets the next call fail if that was asked for."""

    def __init__(self, service: ServiceDouble) -> None:
        self.service = service

    def intercept_service(self, continuation: Any, details: Any) -> Any:
        handler = continuation(details)
        method = details.method.rsplit("/")[-1]
        metadata = dict(details.invocation_metadata)
        if handler.request_streaming:
            return grpc.stream_unary_rpc_method_handler(
                lambda requests, context: self.answer(handler.stream_unary, method, requests, context, metadata),
                handler.request_deserializer,
                handler.response_serializer,
            )
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(
                lambda request, context: self.answer(handler.unary_stream, method, request, context, metadata),
                handler.request_deserializer,
                handler.response_serializer,
            )
        return grpc.unary_unary_rpc_method_handler(
            lambda request, context: self.answer(handler.unary_unary, method, request, context, metadata),
            handler.request_deserializer,
            handler.response_serializer,
        )

    def answer(self, function: Any, method: str, request: Any, context: Any, metadata: dict[str, str]) -> Any:
        self.service.calls.append((method, request, metadata))
        if metadata.get("authorization") != f"Bearer {KEY}":
            status = failure(grpc.StatusCode.UNAUTHENTICATED, "unknown key", reason="INVALID_KEY")
            context.abort_with_status(rpc_status.to_status(status))
        if self.service.failures[method]:
            context.abort_with_status(rpc_status.to_status(self.service.failures[method].popleft()))
        return self.service.answers.get(method, function)(request, context)

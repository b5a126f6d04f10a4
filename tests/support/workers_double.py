"""A double of the services that workers talk to: the promises of Workers kept in memory, every call written down.

It can be away, lose its answers, and be replaced on the same address without losing what it knows.
"""

import collections
import concurrent.futures
import json
import pathlib
import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from tutelage.v1 import jobs_pb2, training_pb2
from tutelage_internal.v1 import facts_pb2, workers_pb2, workers_pb2_grpc

SECRET = "ab" * 32
_CODES = {grpc.StatusCode.ABORTED: code_pb2.ABORTED, grpc.StatusCode.OUT_OF_RANGE: code_pb2.OUT_OF_RANGE}

_FIELDS: dict[type, str] = {
    training_pb2.TrainSpec: "train",
    training_pb2.FineTuneSpec: "fine_tune",
    training_pb2.ImportModelSpec: "import_model",
    training_pb2.ExportModelSpec: "export_model",
    workers_pb2.Verification: "verification",
}


@dataclass
class Job:
    """What services know of one job."""

    uid: str
    part: dict[str, Any]
    spec: Any = None  # a specification of another kind than training
    epoch: int = 0
    held: bool = False
    over: bool = False  # failed without a FinishAttempt
    claim_id: str = ""
    desire: int = workers_pb2.DESIRE_RUN
    resume: list[int] = field(default_factory=list)  # steps of checkpoints that may be resumed from, newest last
    facts: list[facts_pb2.Fact] = field(default_factory=list)  # of all epochs
    last_seq: int = 0
    committed: list[int] = field(default_factory=list)
    finishes: list[workers_pb2.FinishAttemptRequest] = field(default_factory=list)

    def steps(self) -> list[int]:
        """The steps whose metrics are recorded, in the order of their arrival."""
        return [fact.metric_logged.step for fact in self.facts if fact.HasField("metric_logged")]

    def lineage(self) -> int:
        """The number of the line of steps."""
        return max((fact.rolled_back.lineage for fact in self.facts if fact.HasField("rolled_back")), default=1)

    def recorded_step(self) -> int:
        """The last step of the line whose metrics are recorded."""
        last = 0
        for fact in self.facts:
            if fact.HasField("metric_logged"):
                last = max(last, fact.metric_logged.step)
            elif fact.HasField("rolled_back"):
                last = min(last, fact.rolled_back.to_step)
        return last

    def outcome(self) -> int | None:
        """How the last attempt ended."""
        return self.finishes[-1].outcome if self.finishes else None


@dataclass(frozen=True)
class Call:
    """One call as it arrived."""

    method: str
    request: Any
    time_s: float


class WorkersDouble(workers_pb2_grpc.WorkersServicer):
    """The servicer, and the hands of the test on it."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.jobs: dict[str, Job] = {}
        self.calls: list[Call] = []
        self.refused: list[Call] = []
        self.answers_to_lose: collections.Counter[str] = collections.Counter()
        self.refuse_commits = False
        self.refuse_facts_after = 1 << 60
        self.heartbeat_s, self.lease_s = 0.1, 3.0
        self._lock = threading.RLock()
        self._server: grpc.Server | None = None

    # The hands of the test.

    def start(self) -> None:
        """Serves on the address."""
        self._server = grpc.server(concurrent.futures.ThreadPoolExecutor(8))
        workers_pb2_grpc.add_WorkersServicer_to_server(self, self._server)
        self._server.add_insecure_port(self.address)
        self._server.start()

    def stop(self) -> None:
        """Is away until the next start."""
        if self._server is not None:
            self._server.stop(None).wait()
            self._server = None

    def submit(self, *, spec: Any = None, **part: Any) -> Job:
        """A job that may be claimed: training, or what its specification says."""
        job = Job(uid=str(uuid.uuid4()), part=part, spec=spec)
        with self._lock:
            self.jobs[job.uid] = job
        return job

    def lose_lease(self, job: Job) -> None:
        """Another epoch begins somewhere else."""
        with self._lock:
            job.epoch += 1
            job.last_seq = 0

    def count(self, method: str) -> int:
        """How often a method was called."""
        with self._lock:
            return sum(call.method == method for call in self.calls)

    def last(self, method: str) -> Any:
        """The newest request of a method."""
        with self._lock:
            return next(call.request for call in reversed(self.calls) if call.method == method)

    # What workers call, under the names of the proto.
    # ruff: noqa: N802

    def ClaimJob(self, request: workers_pb2.ClaimJobRequest, context: Any) -> workers_pb2.ClaimJobResponse:
        with self._written("ClaimJob", request, context):
            job = self._claimable(request)
            answer = workers_pb2.ClaimJobResponse()
            if job is not None:
                if not job.held:
                    job.epoch, job.held, job.claim_id, job.last_seq = job.epoch + 1, True, request.claim_id, 0
                answer.assignment.CopyFrom(self._assignment(job))
            return self._answer("ClaimJob", answer, context)

    def Heartbeat(self, request: workers_pb2.HeartbeatRequest, context: Any) -> workers_pb2.HeartbeatResponse:
        with self._written("Heartbeat", request, context):
            orders = [self._order(status.attempt) for status in request.attempts]
            return self._answer("Heartbeat", workers_pb2.HeartbeatResponse(orders=orders), context)

    def ReportFacts(self, request: workers_pb2.ReportFactsRequest, context: Any) -> workers_pb2.ReportFactsResponse:
        with self._written("ReportFacts", request, context):
            job = self._held(request.attempt, context)
            if request.facts[-1].seq > self.refuse_facts_after:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, "a value is no number")
            for fact in request.facts:
                if fact.seq > job.last_seq + 1:
                    self._abort(context, grpc.StatusCode.OUT_OF_RANGE, "FACT_GAP", expected_seq=str(job.last_seq + 1))
                if fact.seq == job.last_seq + 1:
                    job.facts.append(fact)
                    job.last_seq = fact.seq
            answer = workers_pb2.ReportFactsResponse(acknowledged_seq=job.last_seq)
            return self._answer("ReportFacts", answer, context)

    def CommitCheckpoint(self, request: workers_pb2.CommitCheckpointRequest, context: Any) -> Any:
        with self._written("CommitCheckpoint", request, context):
            job = self._held(request.attempt, context)
            self._require_seq(job, request.through_seq, context)
            if self.refuse_commits:
                context.abort(grpc.StatusCode.FAILED_PRECONDITION, "the store holds no such file set")
            if request.checkpoint.step not in job.committed:
                job.committed.append(request.checkpoint.step)
            return self._answer("CommitCheckpoint", workers_pb2.CommitCheckpointResponse(), context)

    def RejectCheckpoint(self, request: workers_pb2.RejectCheckpointRequest, context: Any) -> Any:
        with self._written("RejectCheckpoint", request, context):
            job = self._held(request.attempt, context)
            job.resume = [step for step in job.resume if step != request.step]
            job.held, job.over = bool(job.resume), not job.resume
            answer = workers_pb2.RejectCheckpointResponse(resume=_checkpoint(job.resume[-1]) if job.resume else None)
            return self._answer("RejectCheckpoint", answer, context)

    def FinishAttempt(self, request: workers_pb2.FinishAttemptRequest, context: Any) -> Any:
        with self._written("FinishAttempt", request, context):
            job = self.jobs[request.attempt.job_uid]
            if not (job.finishes and job.finishes[-1].attempt == request.attempt):
                job = self._held(request.attempt, context)
                self._require_seq(job, request.through_seq, context)
                job.finishes.append(request)
                job.held = False
            answer = workers_pb2.FinishAttemptResponse(state=jobs_pb2.JOB_STATE_SUCCEEDED)
            return self._answer("FinishAttempt", answer, context)

    # How promises are kept.

    def _written(self, method: str, request: Any, context: Any) -> threading.RLock:
        metadata = dict(context.invocation_metadata())
        if metadata.get("authorization") != f"Bearer {SECRET}":
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "not the worker's secret")
        with self._lock:
            self.calls.append(Call(method, request, time.monotonic()))
        return self._lock

    def _answer(self, method: str, answer: Any, context: Any) -> Any:
        """Sends the answer, unless it is to be lost: then the effect stays and the caller knows nothing."""
        if self.answers_to_lose[method] > 0:
            self.answers_to_lose[method] -= 1
            context.abort(grpc.StatusCode.UNAVAILABLE, "the answer was lost")
        return answer

    def _claimable(self, request: workers_pb2.ClaimJobRequest) -> Job | None:
        waiting = [job for job in self.jobs.values() if not (job.held or job.over or job.finishes)]
        again = [job for job in self.jobs.values() if job.held and job.claim_id == request.claim_id]
        wished = [job for job in waiting if job.uid == request.wished_job_uid]
        return next(iter(again + wished + waiting), None)

    def _assignment(self, job: Job) -> workers_pb2.Assignment:
        samples = training_pb2.SamplesSpec(prompt=json.dumps(job.part))
        spec = job.spec or training_pb2.TrainSpec(samples=samples)
        return workers_pb2.Assignment(
            attempt=workers_pb2.Attempt(job_uid=job.uid, epoch=job.epoch, token=b"token"),
            job=f"projects/p/jobs/{job.uid}",
            **{_FIELDS[type(spec)]: spec},
            resume=_checkpoint(job.resume[-1]) if job.resume else None,
            lineage=job.lineage(),
            recorded_step=job.recorded_step(),
            checkpoint_prefix=f"checkpoints/{job.uid}/e{job.epoch}",
            lease_seconds=self.lease_s,
            heartbeat_seconds=self.heartbeat_s,
        )

    def _order(self, attempt: workers_pb2.Attempt) -> workers_pb2.AttemptOrder:
        job = self.jobs[attempt.job_uid]
        mine = job.held and job.epoch == attempt.epoch
        return workers_pb2.AttemptOrder(
            job_uid=attempt.job_uid,
            epoch=attempt.epoch,
            desire=job.desire if mine else workers_pb2.DESIRE_STALE,
            acknowledged_seq=job.last_seq,
        )

    def _held(self, attempt: workers_pb2.Attempt, context: Any) -> Job:
        job = self.jobs[attempt.job_uid]
        if not job.held or job.epoch != attempt.epoch:
            self.refused.append(self.calls[-1])
            self._abort(context, grpc.StatusCode.ABORTED, "STALE_ATTEMPT")
        return job

    def _require_seq(self, job: Job, seq: int, context: Any) -> None:
        if seq > job.last_seq:
            self._abort(context, grpc.StatusCode.OUT_OF_RANGE, "FACT_GAP", expected_seq=str(job.last_seq + 1))

    def _abort(self, context: Any, code: grpc.StatusCode, reason: str, **metadata: str) -> None:
        detail = any_pb2.Any()
        detail.Pack(error_details_pb2.ErrorInfo(reason=reason, domain="tutelage", metadata=metadata))
        status = status_pb2.Status(code=_CODES[code], message=reason, details=[detail])
        context.abort_with_status(rpc_status.to_status(status))


def _checkpoint(step: int) -> workers_pb2.CheckpointArtifact:
    return workers_pb2.CheckpointArtifact(step=step, artifact_prefix=f"step-{step}", manifest_sha256=f"{step:064x}")


def address_in(folder: pathlib.Path) -> str:
    """A unix socket in a folder."""
    return f"unix:{folder}/services.sock"

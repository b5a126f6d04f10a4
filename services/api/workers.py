"""The servicer of tutelage_internal.v1.Workers."""

from collections.abc import Iterable
from typing import Any

from services.api.guards import Visit
from services.api.tailer import Tailer
from services.api.translation import from_message, to_message
from services.domain.answers import AnswersDrawn
from services.domain.datasets import Dataset
from services.domain.errors import InvalidField, StaleAttempt
from services.domain.job_events import (
    CheckpointWritten,
    Fact,
    MetricLogged,
    Note,
    RolledBack,
    RowsBlamed,
    SampleDrawn,
)
from services.domain.jobs import Assignment, AttemptEnd, Checkpoint, JobFailure, Usage, Verification
from services.domain.models import ModelFiles
from services.domain.workers import WorkerInfo
from services.jobs.claim_job import claim_job
from services.jobs.commit_checkpoint import commit_checkpoint
from services.jobs.finish_attempt import finish_attempt
from services.jobs.heartbeat import HeldAttempt, heartbeat
from services.jobs.reject_checkpoint import reject_checkpoint
from services.jobs.report_facts import report_facts
from services.ports import House
from tutelage.v1.jobs_pb2 import JobState
from tutelage_internal.v1 import facts_pb2
from tutelage_internal.v1 import workers_pb2 as pb

_TOLD: dict[str, type] = {
    "metric_logged": MetricLogged,
    "sample_drawn": SampleDrawn,
    "note": Note,
    "checkpoint_written": CheckpointWritten,
    "rows_blamed": RowsBlamed,
    "rolled_back": RolledBack,
    "usage": Usage,
    "answers_drawn": AnswersDrawn,
}
_ENDS = {
    pb.OUTCOME_COMPLETE: AttemptEnd.COMPLETE,
    pb.OUTCOME_PAUSED: AttemptEnd.PAUSED,
    pb.OUTCOME_CANCELLED: AttemptEnd.CANCELLED,
    pb.OUTCOME_DRAINED: AttemptEnd.DRAINED,
    pb.OUTCOME_INTERRUPTED: AttemptEnd.INTERRUPTED,
    pb.OUTCOME_FAILED: AttemptEnd.FAILED,
}


class Workers:
    """Translates, calls one verb, translates back, and wakes whoever watches the job."""

    def __init__(self, *, house: House, tailer: Tailer) -> None:
        self._house = house
        self._tailer = tailer

    def claim_job(self, _visit: Visit, request: pb.ClaimJobRequest) -> pb.ClaimJobResponse:
        assignment = claim_job(
            self._house,
            worker=_worker(request.worker),
            claim_id=request.claim_id,
            wished_job_uid=request.wished_job_uid,
        )
        if assignment is None:
            return pb.ClaimJobResponse()
        self._tailer.wake(assignment.job.uid)
        return pb.ClaimJobResponse(assignment=_assignment(self._house, assignment))

    def heartbeat(self, _visit: Visit, request: pb.HeartbeatRequest) -> pb.HeartbeatResponse:
        held = [self._held(status) for status in request.attempts]
        orders = heartbeat(self._house, worker=_worker(request.worker), attempts=held)
        messages = [to_message(order, pb.AttemptOrder, desire=order.order) for order in orders]
        return pb.HeartbeatResponse(orders=messages)

    def report_facts(self, _visit: Visit, request: pb.ReportFactsRequest) -> pb.ReportFactsResponse:
        attempt = self._proved(request.attempt)
        facts = [_fact(fact, index=index) for index, fact in enumerate(request.facts)]
        seq = report_facts(self._house, **attempt, facts=facts)
        self._tailer.wake(request.attempt.job_uid)
        return pb.ReportFactsResponse(acknowledged_seq=seq)

    def commit_checkpoint(self, _visit: Visit, request: pb.CommitCheckpointRequest) -> pb.CommitCheckpointResponse:
        written = from_message(request.checkpoint, CheckpointWritten)
        attempt = self._proved(request.attempt)
        commit_checkpoint(self._house, **attempt, written=written, through_seq=request.through_seq)
        self._tailer.wake(request.attempt.job_uid)
        return pb.CommitCheckpointResponse()

    def reject_checkpoint(self, _visit: Visit, request: pb.RejectCheckpointRequest) -> pb.RejectCheckpointResponse:
        resume = reject_checkpoint(
            self._house,
            **self._proved(request.attempt),
            step=request.step,
            manifest_sha256=request.manifest_sha256,
            message=request.message,
        )
        self._tailer.wake(request.attempt.job_uid)
        return pb.RejectCheckpointResponse(resume=checkpoint_artifact(resume))

    def finish_attempt(self, _visit: Visit, request: pb.FinishAttemptRequest) -> pb.FinishAttemptResponse:
        if request.outcome not in _ENDS:
            raise InvalidField.of("outcome", "is required")
        failure = from_message(request.failure, JobFailure) if request.failure.reason else None
        state = finish_attempt(
            self._house,
            **self._proved(request.attempt),
            end=_ENDS[request.outcome],
            through_seq=request.through_seq,
            failure=failure,
        )
        self._tailer.wake(request.attempt.job_uid)
        return pb.FinishAttemptResponse(state=JobState.Value(f"JOB_STATE_{state.name}"))

    def _proved(self, attempt: pb.Attempt) -> dict[str, Any]:
        """Return which attempt it is, if the token is that of the attempt. Raises: StaleAttempt, without a hint."""
        if not self._genuine(attempt):
            raise StaleAttempt.of(attempt.job_uid, epoch=attempt.epoch)
        return {"job_uid": attempt.job_uid, "epoch": attempt.epoch}

    def _genuine(self, attempt: pb.Attempt) -> bool:
        return self._house.keys.is_attempt_token(attempt.token, job_uid=attempt.job_uid, epoch=attempt.epoch)

    def _held(self, status: pb.AttemptStatus) -> HeldAttempt:
        attempt = status.attempt
        genuine = self._genuine(attempt)
        return HeldAttempt(job_uid=attempt.job_uid, epoch=attempt.epoch, step=status.step, genuine=genuine)


def _worker(worker: pb.WorkerInfo) -> WorkerInfo:
    return WorkerInfo(
        id=worker.worker_id,
        slots=worker.slots,
        slots_used=worker.slots_used,
        device=worker.device,
        version=worker.version,
        draining=worker.draining,
    )


def _fact(fact: facts_pb2.Fact, *, index: int) -> Fact:
    field = fact.WhichOneof("fact")
    if field is None:
        raise InvalidField.of(f"facts[{index}].fact", "is required")
    return Fact(seq=fact.seq, told=from_message(getattr(fact, field), _TOLD[field]))


def _assignment(house: House, assignment: Assignment) -> pb.Assignment:
    job, verification = assignment.job, assignment.verification
    said: dict[str, Any] = {} if verification else {job.kind: job.spec}
    return to_message(
        job,
        pb.Assignment,
        attempt=pb.Attempt(job_uid=job.uid, epoch=job.epoch, token=assignment.token),
        job=job.name,
        **said,
        verification=_verification(verification) if verification else None,
        dataset=_dataset(assignment.dataset),
        mixture=[_dataset(each, weight=part.weight) for each, part in _mixture(assignment)],
        tokenizer=_dataset(assignment.tokenizer),
        base=model_artifact(assignment.base),
        models=[to_message(each, pb.ModelArtifact) for each in assignment.models],
        reward_model=model_artifact(assignment.reward_model),
        resume=checkpoint_artifact(assignment.resume),
        lineage=verification.lineage if verification else job.lineage,
        checkpoint_prefix=assignment.checkpoint_prefix,
        lease_seconds=house.leases.lease_s,
        heartbeat_seconds=house.leases.heartbeat_s,
    )


def _mixture(assignment: Assignment) -> Iterable[tuple[Dataset, Any]]:
    spec = assignment.verification.spec if assignment.verification else assignment.job.spec
    return zip(assignment.mixture, getattr(spec, "mixture", ()), strict=True)


def _verification(verification: Verification) -> pb.Verification:
    said: dict[str, Any] = {verification.kind: verification.spec}
    return to_message(verification, pb.Verification, **said)


def _dataset(dataset: Dataset | None, *, weight: float | None = None) -> pb.DatasetArtifact | None:
    if dataset is None:
        return None
    split = dataset.split
    return to_message(
        dataset,
        pb.DatasetArtifact,
        key=dataset.artifact_key,
        train_bytes=split.train_bytes,
        train_rows=split.train_rows,
        weight=weight,
    )


def model_artifact(files: ModelFiles | None) -> pb.ModelArtifact | None:
    """Return the message that tells where the files of a model are."""
    return to_message(files, pb.ModelArtifact) if files else None


def checkpoint_artifact(checkpoint: Checkpoint | None) -> pb.CheckpointArtifact | None:
    """Return the message that tells where a checkpoint is."""
    return to_message(checkpoint, pb.CheckpointArtifact) if checkpoint else None

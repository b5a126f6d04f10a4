"""The stand-in's part that tunes, verifies, imports, exports, hands out files and looks inside steps."""

import hashlib
from collections.abc import Iterator
from typing import Any

import grpc
from google.rpc import status_pb2
from grpc_status import rpc_status

from tutelage.v1 import inspection_pb2, jobs_pb2, training_pb2

PIECE_BYTES = 1000


class WorkCalls:
    """Calls about work other than pretraining.

    `files` are those of every job, by name; `cut_read_after` breaks each of the next ReadJobFile after so many bytes;
    `damage` changes what is read.
    """

    jobs: dict[str, jobs_pb2.Job]

    def __init__(self) -> None:
        super().__init__()
        self.files: dict[str, bytes] = {}
        self.cut_read_after: list[int] = []
        self.damage = False

    def FineTune(self, request: jobs_pb2.FineTuneRequest, context: Any) -> jobs_pb2.Job:  # noqa: N802
        job = self._accepted("tuned", request, context, fine_tune=request.spec)
        if request.validate_only:
            del self.jobs[job.name]
            job.name = ""
        job.forecast.parameters = 1_200_000
        job.forecast.warnings.append("50 rows are few")
        return job

    def VerifyJob(self, request: jobs_pb2.VerifyJobRequest, context: Any) -> jobs_pb2.Job:  # noqa: N802
        spec = training_pb2.VerifySpec(job=request.name, first_step=request.first_step or 11, steps=request.steps or 10)
        return self._accepted("verifying", request, context, verify=spec)

    def ImportModel(self, request: Any, context: Any) -> jobs_pb2.Job:  # noqa: N802
        return self._accepted("importing", request, context, import_model=request.spec)

    def ExportModel(self, request: Any, context: Any) -> jobs_pb2.Job:  # noqa: N802
        job = self._accepted("exporting", request, context, export_model=request.spec)
        job.state, job.progress.steps_total = jobs_pb2.JOB_STATE_SUCCEEDED, 1
        return job

    def GetReceipt(self, request: Any, context: Any) -> jobs_pb2.Receipt:  # noqa: N802
        receipt = jobs_pb2.Receipt(job=request.name, seed=7, step=20, lineage=2, data_chain="ab" * 16)
        receipt.dataset_sha256s.append("cd" * 32)
        receipt.environment["torch"] = "2.13\x1b[2J"
        return receipt

    def ListJobFiles(self, request: Any, context: Any) -> jobs_pb2.ListJobFilesResponse:  # noqa: N802
        return jobs_pb2.ListJobFilesResponse(
            files=[
                jobs_pb2.JobFile(filename=name, size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
                for name, content in sorted(self.files.items())
            ]
        )

    def ReadJobFile(self, request: Any, context: Any) -> Iterator[jobs_pb2.ReadJobFileResponse]:  # noqa: N802
        content = self.files[request.filename]
        content = content[::-1] if self.damage else content
        cut = request.offset_bytes + self.cut_read_after.pop(0) if self.cut_read_after else None
        for start in range(request.offset_bytes, len(content), PIECE_BYTES):
            if cut is not None and start >= cut:
                context.abort(grpc.StatusCode.UNAVAILABLE, "the line is cut")
            yield jobs_pb2.ReadJobFileResponse(data=content[start : start + PIECE_BYTES])

    def InspectStep(self, request: Any, context: Any) -> inspection_pb2.InspectStepResponse:  # noqa: N802
        answer = inspection_pb2.InspectStepResponse(
            step=min(request.step or 20, 20), loss=2.5, gradient_norm=0.75, learning_rate=1e-3
        )
        answer.trainable_weights, answer.weights, answer.adjusted_steps, answer.adjustments = 900, 1000, 20, 18_000
        answer.changed_weights = 890
        answer.tokens.add(text="To", token=84)
        for text, loss, probability in ((" be", 0.1, 0.9), ("\n\x1b[2J", 4.9, 0.007)):
            token = answer.tokens.add(text=text, token=1, loss=loss, probability=probability)
            for rank in range(request.predictions or 5):
                token.predictions.add(text=f"x{rank}", token=rank, probability=0.1)
        answer.parts.add(name="embedding", weights=500, weight_norm=1.0, gradient_norm=0.1, update_ratio=1e-3)
        answer.parts.add(name="blocks.0.attention.qkv", layer=0, weights=400, gradient_norm=0.7, update_ratio=0.5)
        answer.parts.add(name="norm", weights=100, weight_norm=1.0, gradient_norm=0.0, update_ratio=1e-9)
        return answer

    def _accepted(self, job_id: str, request: Any, context: Any, **spec: Any) -> jobs_pb2.Job:
        for resource in (getattr(request, "name", ""),):
            if resource and resource.replace("projects/-/", "projects/p/") not in self.jobs:
                status = status_pb2.Status(code=grpc.StatusCode.NOT_FOUND.value[0], message=f"no {resource}")
                context.abort_with_status(rpc_status.to_status(status))
        labels = getattr(request, "labels", {})
        job = jobs_pb2.Job(state=jobs_pb2.JOB_STATE_QUEUED, labels=labels, **spec)
        job.name = f"projects/p/jobs/{getattr(request, 'job_id', '') or job_id}"
        self.jobs[job.name] = job
        return job

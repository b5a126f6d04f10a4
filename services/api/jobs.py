"""The servicer of tutelage.v1.Jobs."""

import contextlib
import functools
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from services.api.job_messages import checkpoint_message, event_message, is_final, job_message
from services.api.pool import VerbPool
from services.api.readers import Readers, send_pieces
from services.api.requests import page_request, request_key
from services.api.streams import Stream
from services.api.tailer import Encoded, Follower, ReadEvents, ReadHeads, Tailer
from services.api.translation import from_message, to_message
from services.domain.drawing import DrawDraft, EvaluateDraft
from services.domain.errors import InvalidField
from services.domain.fine_tuning import FineTuneDraft
from services.domain.job_states import FINAL
from services.domain.jobs import Job
from services.domain.projects import Caller
from services.domain.training import TrainDraft
from services.jobs.cancel_job import cancel_job
from services.jobs.draw_answers import draw_answers
from services.jobs.evaluate_model import evaluate_model
from services.jobs.explain_job import explain_job
from services.jobs.fine_tune import fine_tune
from services.jobs.get_job import get_job
from services.jobs.get_receipt import get_receipt
from services.jobs.list_checkpoints import list_checkpoints
from services.jobs.list_job_events import list_job_events
from services.jobs.list_job_files import list_job_files
from services.jobs.list_jobs import list_jobs
from services.jobs.pause_job import pause_job
from services.jobs.query_metrics import query_metrics
from services.jobs.read_job_file import read_job_file, read_piece
from services.jobs.resume_job import resume_job
from services.jobs.retrain_model import retrain_model
from services.jobs.train import train
from services.jobs.verify_job import verify_job
from services.jobs.watch_job import read_job_events, read_job_heads, watch_job
from services.ports import House
from tutelage.v1 import jobs_pb2 as pb


class Jobs:
    """Translates, calls one verb, translates back."""

    def __init__(self, *, house: House, pool: VerbPool, tailer: Tailer) -> None:
        self._house = house
        self._pool = pool
        self._tailer = tailer
        self._readers = Readers()

    def train(self, caller: Caller, request: pb.TrainRequest) -> pb.Job:
        if not request.HasField("spec"):
            raise InvalidField.of("spec", "is required")
        job = train(
            self._house,
            caller=caller,
            parent=request.parent,
            draft=from_message(request.spec, TrainDraft),
            job_id=request.job_id,
            labels=dict(request.labels),
            request=request_key(request),
            validate_only=request.validate_only,
        )
        return job_message(job)

    def fine_tune(self, caller: Caller, request: pb.FineTuneRequest) -> pb.Job:
        if not request.HasField("spec"):
            raise InvalidField.of("spec", "is required")
        job = fine_tune(
            self._house,
            caller=caller,
            parent=request.parent,
            draft=from_message(request.spec, FineTuneDraft),
            job_id=request.job_id,
            labels=dict(request.labels),
            request=request_key(request),
            validate_only=request.validate_only,
        )
        return job_message(job)

    def draw_answers(self, caller: Caller, request: pb.DrawAnswersRequest) -> pb.Job:
        if not request.HasField("spec"):
            raise InvalidField.of("spec", "is required")
        job = draw_answers(
            self._house,
            caller=caller,
            parent=request.parent,
            draft=from_message(request.spec, DrawDraft),
            job_id=request.job_id,
            labels=dict(request.labels),
            request=request_key(request),
        )
        return job_message(job)

    def evaluate_model(self, caller: Caller, request: pb.EvaluateModelRequest) -> pb.Job:
        if not request.HasField("spec"):
            raise InvalidField.of("spec", "is required")
        job = evaluate_model(
            self._house,
            caller=caller,
            parent=request.parent,
            draft=from_message(request.spec, EvaluateDraft),
            job_id=request.job_id,
            labels=dict(request.labels),
            request=request_key(request),
        )
        return job_message(job)

    def get_job(self, caller: Caller, request: pb.GetJobRequest) -> pb.Job:
        return job_message(get_job(self._house, caller=caller, name=request.name))

    def list_jobs(self, caller: Caller, request: pb.ListJobsRequest) -> pb.ListJobsResponse:
        found, token = list_jobs(
            self._house,
            caller=caller,
            parent=request.parent,
            page=page_request(request),
            filter=request.filter,
            order_by=request.order_by,
        )
        return pb.ListJobsResponse(jobs=[job_message(job) for job in found], next_page_token=token)

    def cancel_job(self, caller: Caller, request: pb.CancelJobRequest) -> pb.Job:
        return self._moved(cancel_job(self._house, caller=caller, name=request.name, request=request_key(request)))

    def pause_job(self, caller: Caller, request: pb.PauseJobRequest) -> pb.Job:
        return self._moved(pause_job(self._house, caller=caller, name=request.name, request=request_key(request)))

    def resume_job(self, caller: Caller, request: pb.ResumeJobRequest) -> pb.Job:
        return self._moved(resume_job(self._house, caller=caller, name=request.name, request=request_key(request)))

    def verify_job(self, caller: Caller, request: pb.VerifyJobRequest) -> pb.Job:
        job = verify_job(
            self._house,
            caller=caller,
            name=request.name,
            first_step=request.first_step if request.HasField("first_step") else None,
            steps=request.steps if request.HasField("steps") else None,
            request=request_key(request),
        )
        return job_message(job)

    def retrain_model(self, caller: Caller, request: pb.RetrainModelRequest) -> pb.Job:
        job = retrain_model(
            self._house,
            caller=caller,
            name=request.name,
            labels=dict(request.labels),
            request=request_key(request),
        )
        return job_message(job)

    def get_receipt(self, caller: Caller, request: pb.GetReceiptRequest) -> pb.Receipt:
        return to_message(get_receipt(self._house, caller=caller, name=request.name), pb.Receipt)

    def list_job_files(self, caller: Caller, request: pb.ListJobFilesRequest) -> pb.ListJobFilesResponse:
        found = list_job_files(self._house, caller=caller, parent=request.parent)
        return pb.ListJobFilesResponse(files=[to_message(each, pb.JobFile, filename=each.name) for each in found])

    async def read_job_file(self, stream: Stream, request: pb.ReadJobFileRequest, context: Any) -> None:
        """Write the file in pieces."""
        with self._readers.place(stream.caller.project_id):
            file = await self._pool.run(
                read_job_file,
                self._house,
                caller=stream.caller,
                name=request.name,
                filename=request.filename,
                offset_bytes=request.offset_bytes,
            )

            def tell(data: bytes) -> bytes:
                return pb.ReadJobFileResponse(data=data).SerializeToString()

            read = functools.partial(read_piece, file)
            await send_pieces(file, read=read, tell=tell, pool=self._pool, context=context)

    async def watch_job(self, stream: Stream, request: pb.WatchJobRequest, context: Any) -> None:
        """Write every event after the cursor, and a sign of life when there is none for a while."""
        job = await self._pool.run(
            watch_job, self._house, caller=stream.caller, name=request.name, after_cursor=request.after_cursor
        )
        if job.state in FINAL and request.after_cursor >= job.last_seq:
            return
        follower = Follower(cursor=request.after_cursor, end=stream.end)
        events = self._tailer.follow(job.uid, follower=follower, last_cursor=job.last_seq)
        async with contextlib.aclosing(events):
            async for event in events:
                await context.write(event.data if event is not None else self._sign_of_life())

    def list_job_events(self, caller: Caller, request: pb.ListJobEventsRequest) -> pb.ListJobEventsResponse:
        found, token = list_job_events(self._house, caller=caller, parent=request.parent, page=page_request(request))
        return pb.ListJobEventsResponse(events=[event_message(event) for event in found], next_page_token=token)

    def query_metrics(self, caller: Caller, request: pb.QueryMetricsRequest) -> pb.QueryMetricsResponse:
        series = query_metrics(
            self._house,
            caller=caller,
            name=request.name,
            keys=tuple(request.keys),
            step_min=request.step_min if request.HasField("step_min") else None,
            step_max=request.step_max if request.HasField("step_max") else None,
            points_max=request.points_max,
        )
        return pb.QueryMetricsResponse(series=[to_message(each, pb.MetricSeries) for each in series])

    def list_checkpoints(self, caller: Caller, request: pb.ListCheckpointsRequest) -> pb.ListCheckpointsResponse:
        page = page_request(request)
        job, found, token = list_checkpoints(self._house, caller=caller, parent=request.parent, page=page)
        checkpoints = [checkpoint_message(each, job=job.name) for each in found]
        return pb.ListCheckpointsResponse(checkpoints=checkpoints, next_page_token=token)

    def explain_job(self, caller: Caller, request: pb.ExplainJobRequest) -> pb.ExplainJobResponse:
        return to_message(explain_job(self._house, caller=caller, name=request.name), pb.ExplainJobResponse)

    def _moved(self, job: Job) -> pb.Job:
        self._tailer.wake(job.uid)
        return job_message(job)

    def _sign_of_life(self) -> bytes:
        time = Timestamp()
        time.FromDatetime(self._house.clock.now())
        return bytes(pb.JobEvent(time=time).SerializeToString())


def event_reader(house: House) -> ReadEvents:
    """Return what the tailer reads events with, already encoded."""

    def read(job_uid: str, after: int, count_max: int) -> Sequence[Encoded]:
        found = read_job_events(house, job_uid=job_uid, after=after, count_max=count_max)
        return [
            Encoded(cursor=event.seq, data=event_message(event).SerializeToString(), final=is_final(event))
            for event in found
        ]

    return read


def head_reader(house: House) -> ReadHeads:
    """Return what the tailer asks for the last cursors with."""

    def read(job_uids: Collection[str]) -> Mapping[str, int]:
        return read_job_heads(house, job_uids=job_uids)

    return read

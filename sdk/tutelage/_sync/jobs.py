# Generated from tutelage/_async/jobs.py by sdk/generate_sync.py; change it there.
# ruff: noqa: UP028

"""Jobs by name."""

import os
import pathlib
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Unpack

from tutelage._drawing import DrawingOptions, Models, build_draw_spec, set_drawing
from tutelage._names import dataset_name, job_name, model_name
from tutelage._prompts import Prompts
from tutelage._sync.job import Job
from tutelage._sync.job_calls import (
    control_job,
    explain_job,
    get_job,
    get_receipt,
    inspect_step,
    list_checkpoints,
    list_events,
    query_metrics,
    verify_job,
)
from tutelage._sync.job_files import download_files, list_files
from tutelage._sync.pages import walk_pages
from tutelage._sync.prompts import prompts_dataset
from tutelage._sync.transport import Transport
from tutelage._sync.upload import ignore
from tutelage._sync.watch import watch_job
from tutelage._values.inspection import InspectStepResponse
from tutelage._values.job_events import JobEvent, MetricSeries
from tutelage._values.jobs import Checkpoint, ExplainJobResponse, JobFile, JobInfo, Receipt
from tutelage._values.models import ModelVersionInfo
from tutelage.v1 import jobs_pb2, training_pb2


class Jobs:
    """Finds, follows and steers jobs. A job is named by its id or its full name."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def get(self, job: str, *, timeout: float | None = None) -> Job:
        """Returns a handle of one job. Raises: NotFound."""
        return Job(self._transport, get_job(self._transport, job, timeout=timeout))

    def list(
        self, *, filter: str = "", order_by: str = "", page_size: int = 0, timeout: float | None = None
    ) -> Iterator[Job]:
        """Yields jobs, newest first.

        `filter` is an AIP-160 expression such as `state = RUNNING AND labels.team = "search"`; `order_by` is
        `create_time desc` or `create_time asc`. Raises: InvalidArgument for a filter that cannot be read.
        """
        request = jobs_pb2.ListJobsRequest(parent="projects/-", filter=filter, order_by=order_by, page_size=page_size)
        for message in walk_pages(self._transport, "Jobs", "ListJobs", request, timeout=timeout):
            yield Job(self._transport, JobInfo.from_message(message))

    def cancel(self, job: str, *, timeout: float | None = None) -> Job:
        """Ends a job for good. Raises: NotFound, FailedPrecondition if it has succeeded or failed."""
        return Job(self._transport, control_job(self._transport, "CancelJob", job, timeout=timeout))

    def pause(self, job: str, *, timeout: float | None = None) -> Job:
        """Stops a job at its next step. Raises: NotFound, FailedPrecondition if it is ending or over."""
        return Job(self._transport, control_job(self._transport, "PauseJob", job, timeout=timeout))

    def resume(self, job: str, *, timeout: float | None = None) -> Job:
        """Puts a paused job back into the queue. Raises: NotFound, FailedPrecondition if it is not paused."""
        return Job(self._transport, control_job(self._transport, "ResumeJob", job, timeout=timeout))

    def watch(self, job: str, *, after_cursor: int = 0, timeout: float | None = None) -> Iterator[JobEvent]:
        """Yields what happened after the cursor, then follows until the job is over; resumes by itself."""
        return watch_job(self._transport, job_name(job), after_cursor=after_cursor, timeout=timeout)

    def explain(self, job: str, *, timeout: float | None = None) -> ExplainJobResponse:
        """Says in words why a job waits, is slow or failed, and what would help. Raises: NotFound."""
        return explain_job(self._transport, job, timeout=timeout)

    def metrics(
        self,
        job: str,
        *keys: str,
        step_min: int | None = None,
        step_max: int | None = None,
        points_max: int = 0,
        timeout: float | None = None,
    ) -> dict[str, MetricSeries]:
        """Returns curves by key, each of at most `points_max` points (default 1000). Raises: NotFound."""
        limits = {"step_min": step_min, "step_max": step_max, "points_max": points_max}
        return query_metrics(self._transport, job, keys, limits=limits, timeout=timeout)

    def events(self, job: str, *, page_size: int = 0, timeout: float | None = None) -> Iterator[JobEvent]:
        """Yields what has happened so far, oldest first, without metrics. Raises: NotFound."""
        return list_events(self._transport, job, page_size=page_size, timeout=timeout)

    def checkpoints(self, job: str, *, page_size: int = 0, timeout: float | None = None) -> Iterator[Checkpoint]:
        """Yields the committed checkpoints of a job, newest first. Raises: NotFound."""
        return list_checkpoints(self._transport, job, page_size=page_size, timeout=timeout)

    def verify(
        self,
        job: str,
        *,
        first_step: int | None = None,
        steps: int | None = None,
        request_id: str | None = None,
        timeout: float | None = None,
    ) -> Job:
        """Submits a job that computes steps of another one again and compares them, bit for bit.

        Its `verdict()` waits for what it found. `first_step` is by default the one after the oldest checkpoint that is
        left, `steps` 10 or all there are. Raises: NotFound, FailedPrecondition if there is no checkpoint to begin at or
        the steps were not recorded.
        """
        info = verify_job(
            self._transport, job, first_step=first_step, steps=steps, request_id=request_id, timeout=timeout
        )
        return Job(self._transport, info)

    def draw(
        self,
        models: Models,
        *,
        prompts: Prompts,
        samples: int | None = None,
        prompts_max: int | None = None,
        checker: str | None = None,
        reward_model: str = "",
        job_id: str = "",
        labels: Mapping[str, str] | None = None,
        request_id: str | None = None,
        timeout: float | None = None,
        **options: Unpack[DrawingOptions],
    ) -> Job:
        """Submits a job that lets each model answer each prompt; its file `answers.jsonl` holds every token.

        `prompts` is a dataset, a path, or a list of texts or conversations. `checker` or `reward_model` scores each
        answer. Raises: NotFound for a model or the prompts, FailedPrecondition for a reward model among the models.
        """
        spec = build_draw_spec(
            models,
            prompts_dataset(self._transport, prompts),
            samples=samples,
            prompts_max=prompts_max,
            checker=checker,
            reward_model=reward_model,
            options=options,
        )
        request = jobs_pb2.DrawAnswersRequest(
            parent="projects/-",
            job_id=job_id,
            spec=spec,
            labels=labels or {},
            request_id=request_id or str(uuid.uuid4()),
        )
        answer = self._transport.call("Jobs", "DrawAnswers", request, timeout=timeout)
        return Job(self._transport, JobInfo.from_message(answer))

    def evaluate(
        self,
        model: str | ModelVersionInfo,
        dataset: str,
        *,
        all_rows: bool | None = None,
        job_id: str = "",
        labels: Mapping[str, str] | None = None,
        request_id: str | None = None,
        timeout: float | None = None,
        **options: Unpack[DrawingOptions],
    ) -> Job:
        """Submits a job that measures a model: loss, perplexity and bits per byte, or the share of checks that hold.

        By default all rows of checks are measured, and of others those that were kept for validation, if there are any.
        `options` say how answers to prompts with checks are drawn. Raises: NotFound for the model or the dataset.
        """
        name = model if isinstance(model, str) else model.name
        spec = training_pb2.EvaluateSpec(model=model_name(name), dataset=dataset_name(dataset), all_rows=all_rows)
        set_drawing(spec, options)
        request = jobs_pb2.EvaluateModelRequest(
            parent="projects/-",
            job_id=job_id,
            spec=spec,
            labels=labels or {},
            request_id=request_id or str(uuid.uuid4()),
        )
        answer = self._transport.call("Jobs", "EvaluateModel", request, timeout=timeout)
        return Job(self._transport, JobInfo.from_message(answer))

    def receipt(self, job: str, *, timeout: float | None = None) -> Receipt:
        """Returns what a run can be held to: seeds, hashes and versions.

        Raises: NotFound, FailedPrecondition before its first step.
        """
        return get_receipt(self._transport, job, timeout=timeout)

    def files(self, job: str, *, timeout: float | None = None) -> tuple[JobFile, ...]:
        """Returns the files that a job has made, by name; none before it is complete. Raises: NotFound."""
        return list_files(self._transport, job, timeout=timeout)

    def download(
        self,
        job: str,
        folder: str | os.PathLike[str],
        *,
        overwrite: bool = False,
        on_progress: Callable[[int, int], object] | None = None,
        timeout: float | None = None,
    ) -> tuple[pathlib.Path, ...]:
        """Brings the files that a job has made to a folder and returns their paths; as `Job.download` does."""
        progress = on_progress or ignore
        return download_files(self._transport, job, folder, overwrite=overwrite, on_progress=progress, timeout=timeout)

    def inspect_step(
        self,
        job: str,
        *,
        step: int | None = None,
        text: str = "",
        predictions: int | None = None,
        timeout: float | None = None,
    ) -> InspectStepResponse:
        """Looks inside a step of a job; as `Job.inspect_step` does. Raises: also NotFound."""
        return inspect_step(self._transport, job, step=step, text=text, predictions=predictions, timeout=timeout)

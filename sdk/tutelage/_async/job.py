"""One job: a handle to follow, steer and collect it."""

import contextlib
import os
import pathlib
from collections.abc import AsyncIterator, Callable
from typing import Any, Self

from tutelage import _aio as colour
from tutelage._async.job_calls import (
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
from tutelage._async.job_files import download_files, list_files
from tutelage._async.model_calls import get_version
from tutelage._async.model_version import AsyncModelVersion
from tutelage._async.transport import AsyncTransport
from tutelage._async.upload import ignore
from tutelage._async.watch import RECONNECT_S, watch_job
from tutelage._errors import JobCancelled, JobFailed, TutelageError, WaitTimeout
from tutelage._names import short_name
from tutelage._retry import Patience, is_broken_line
from tutelage._values.inspection import InspectStepResponse
from tutelage._values.job_events import JobEvent, MetricSeries, Note
from tutelage._values.jobs import (
    Checkpoint,
    ExplainJobResponse,
    JobFailure,
    JobFile,
    JobInfo,
    JobProgress,
    JobState,
    Receipt,
)

POLL_S_MAX = 2.0
VERDICTS = ("verified", "differs")


class AsyncJob:
    """A job as it was last seen (`info`), with methods that ask and steer. `refresh` looks again."""

    def __init__(self, transport: AsyncTransport, info: JobInfo) -> None:
        self._transport = transport
        self.info = info

    @property
    def name(self) -> str:
        """The full name, `projects/{project}/jobs/{job}`."""
        return self.info.name

    @property
    def state(self) -> JobState:
        """Where it was in its life when last seen."""
        return self.info.state

    @property
    def progress(self) -> JobProgress | None:
        """How far it had come when last seen."""
        return self.info.progress

    @property
    def failure(self) -> JobFailure | None:
        """Why it failed, if it did."""
        return self.info.failure

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} {self.state}>"

    def to_dict(self) -> dict[str, Any]:
        """Returns the job as JSON of the protos."""
        return self.info.to_dict()

    async def refresh(self, *, timeout: float | None = None) -> Self:
        """Looks at the job again and returns this handle."""
        self.info = await get_job(self._transport, self.name, timeout=timeout)
        return self

    async def watch(self, *, after_cursor: int = 0, timeout: float | None = None) -> AsyncIterator[JobEvent]:
        """Yields everything that happened after the cursor, then follows until the job is over.

        A line that drops is resumed: no event is lost and none comes twice. Raises: WaitTimeout after `timeout`
        seconds; Unavailable if the service stays away for ten minutes.
        """
        events = watch_job(self._transport, self.name, after_cursor=after_cursor, timeout=timeout)
        async with contextlib.aclosing(events):
            async for event in events:
                yield event
        await self.refresh()

    async def wait(self, *, timeout: float | None = None, on_event: Callable[[JobEvent], object] | None = None) -> Self:
        """Waits until the job is over, whatever way, and returns this handle.

        `on_event` is called with each event from the beginning on. Raises: WaitTimeout after `timeout` seconds; the job
        goes on. Unavailable if the service stays away for ten minutes.
        """
        if on_event is not None:
            async for event in self.watch(timeout=timeout):
                on_event(event)
            return self
        limit, patience = Patience(float("inf") if timeout is None else timeout), Patience(RECONNECT_S)
        pause_s = 0.1
        while not await self._is_seen_over(patience):
            if not limit.covers(0):
                raise WaitTimeout(f"{self.name} was not over after {timeout:g} s; it goes on")
            await colour.sleep(min(pause_s, limit.left_s()))
            pause_s = min(pause_s * 1.5, POLL_S_MAX)
        return self

    async def _is_seen_over(self, patience: Patience) -> bool:
        try:
            await self.refresh()
        except TutelageError as error:
            if not is_broken_line(error) or not patience.covers(0):
                raise
            return False
        patience.renew()
        return self.state.is_final

    async def result(self, *, timeout: float | None = None) -> AsyncModelVersion:
        """Waits until the job is over and returns the version that it published.

        Raises: JobFailed with the reason and what would help, JobCancelled, WaitTimeout after `timeout` seconds;
        TutelageError for a job that publishes nothing, such as an export.
        """
        if not self.state.is_final:
            await self.wait(timeout=timeout)
        self.raise_unless_succeeded()
        if not self.info.model_version:
            raise TutelageError(f"{short_name(self.name)} published no model; `job.download(folder)` brings its files")
        return await get_version(self._transport, self.info.model_version, version=None, timeout=None)

    def raise_unless_succeeded(self) -> None:
        """Raises JobCancelled or JobFailed if the job ended so when last seen."""
        if self.state is JobState.CANCELLED:
            raise JobCancelled(f"{short_name(self.name)} was cancelled")
        if self.state is JobState.FAILED:
            raise JobFailed(describe_failure(self.info))

    async def verdict(self, *, timeout: float | None = None) -> Note:
        """Waits until a job that `verify` submitted is over and returns what it found.

        The note's `kind` is `verified` or `differs`, its `message` says it in words, its `details` in numbers.
        Raises: JobFailed, JobCancelled, WaitTimeout after `timeout` seconds; TutelageError for any other job.
        """
        if not self.state.is_final:
            await self.wait(timeout=timeout)
        self.raise_unless_succeeded()
        found = None
        async for event in self.events():
            if event.note is not None and event.note.kind in VERDICTS:
                found = event.note
        if found is None:
            raise TutelageError(f"{short_name(self.name)} has no verdict: it computed no steps of another job again")
        return found

    async def cancel(self, *, timeout: float | None = None) -> Self:
        """Ends the job for good. Raises: FailedPrecondition if it has succeeded or failed."""
        self.info = await control_job(self._transport, "CancelJob", self.name, timeout=timeout)
        return self

    async def pause(self, *, timeout: float | None = None) -> Self:
        """Stops the job at its next step, with a checkpoint. Raises: FailedPrecondition if it is ending or over."""
        self.info = await control_job(self._transport, "PauseJob", self.name, timeout=timeout)
        return self

    async def resume(self, *, timeout: float | None = None) -> Self:
        """Puts the paused job back into the queue. Raises: FailedPrecondition if it is not paused."""
        self.info = await control_job(self._transport, "ResumeJob", self.name, timeout=timeout)
        return self

    async def explain(self, *, timeout: float | None = None) -> ExplainJobResponse:
        """Says in words why the job waits, is slow or failed, and what would help."""
        return await explain_job(self._transport, self.name, timeout=timeout)

    async def metrics(
        self,
        *keys: str,
        step_min: int | None = None,
        step_max: int | None = None,
        points_max: int = 0,
        timeout: float | None = None,
    ) -> dict[str, MetricSeries]:
        """Returns curves by key, such as `train/loss`, each of at most `points_max` points (default 1000)."""
        limits = {"step_min": step_min, "step_max": step_max, "points_max": points_max}
        return await query_metrics(self._transport, self.name, keys, limits=limits, timeout=timeout)

    def events(self, *, page_size: int = 0, timeout: float | None = None) -> AsyncIterator[JobEvent]:
        """Yields what has happened so far, oldest first, without metrics."""
        return list_events(self._transport, self.name, page_size=page_size, timeout=timeout)

    def checkpoints(self, *, page_size: int = 0, timeout: float | None = None) -> AsyncIterator[Checkpoint]:
        """Yields the committed checkpoints, newest first."""
        return list_checkpoints(self._transport, self.name, page_size=page_size, timeout=timeout)

    async def verify(
        self,
        *,
        first_step: int | None = None,
        steps: int | None = None,
        request_id: str | None = None,
        timeout: float | None = None,
    ) -> "AsyncJob":
        """Submits a job that computes steps of this one again and compares them, bit for bit; see `verdict`."""
        info = await verify_job(
            self._transport, self.name, first_step=first_step, steps=steps, request_id=request_id, timeout=timeout
        )
        return AsyncJob(self._transport, info)

    async def receipt(self, *, timeout: float | None = None) -> Receipt:
        """Returns what the run can be held to: seeds, hashes and versions. Raises: FailedPrecondition at first."""
        return await get_receipt(self._transport, self.name, timeout=timeout)

    async def files(self, *, timeout: float | None = None) -> tuple[JobFile, ...]:
        """Returns the files that the job has made, by name; none before it is complete."""
        return await list_files(self._transport, self.name, timeout=timeout)

    async def download(
        self,
        folder: str | os.PathLike[str],
        *,
        overwrite: bool = False,
        on_progress: Callable[[int, int], object] | None = None,
        timeout: float | None = None,
    ) -> tuple[pathlib.Path, ...]:
        """Brings the files that the job has made to a folder, which is made if need be, and returns their paths.

        What an earlier try left half done is gone on with, and a file that is there already is not fetched again. Every
        file is compared with its hash and gets its name only when it is whole. `on_progress` is called with bytes
        received and bytes in all. Raises: NotFound if there are no files (yet), FileExistsError if a file with other
        content is in the way and `overwrite` is not set, DataLoss for damaged bytes.
        """
        progress = on_progress or ignore
        return await download_files(
            self._transport, self.name, folder, overwrite=overwrite, on_progress=progress, timeout=timeout
        )

    async def inspect_step(
        self, *, step: int | None = None, text: str = "", predictions: int | None = None, timeout: float | None = None
    ) -> InspectStepResponse:
        """Looks inside a step: what the model predicts in a text, how wrong it is, and how its weights would move.

        The newest checkpoint at or before `step` is used, by default the newest of all; `text` is by default the prompt
        of the job's samples. `predictions` is how many to return for each token: 1 to 20, default 5. Printed, the
        answer is a page to read. Raises: FailedPrecondition without such a checkpoint, InvalidArgument for less than
        two tokens of text.
        """
        return await inspect_step(
            self._transport, self.name, step=step, text=text, predictions=predictions, timeout=timeout
        )


def describe_failure(info: JobInfo) -> str:
    """Returns what happened to a failed job, and what would help."""
    stem = f"{short_name(info.name)} failed"
    if info.failure is None:
        return stem
    help_line = f"\n  {info.failure.help}" if info.failure.help else ""
    return f"{stem} ({info.failure.reason}): {info.failure.message}{help_line}"

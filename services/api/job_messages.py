"""Jobs and what happens to them, in the words of the public language."""

from collections.abc import Callable
from typing import Any

from services.api.translation import to_message
from services.domain.job_events import (
    CheckpointCommitted,
    Happening,
    JobEvent,
    MetricLogged,
    Note,
    RolledBack,
    RowsBlamed,
    SampleDrawn,
    StateChanged,
)
from services.domain.job_states import FINAL, JobState
from services.domain.jobs import Checkpoint, Job
from tutelage.v1 import jobs_pb2 as pb


def job_message(job: Job) -> pb.Job:
    """Return the message that tells a job."""
    said: dict[str, Any] = {job.kind: job.spec}
    return to_message(
        job,
        pb.Job,
        **said,
        progress=_progress(job),
        attempts=job.epoch,
        worker=f"workers/{job.worker_id}" if job.worker_id else "",
        retry_time=job.not_before if job.state is JobState.BACKOFF else None,
    )


def event_message(event: JobEvent) -> pb.JobEvent:
    """Return the message that tells an event."""
    field, translate = _HAPPENINGS[type(event.happening)]
    said: dict[str, Any] = {field: translate(event.happening)}
    return to_message(event, pb.JobEvent, cursor=event.seq, **said)


def is_final(event: JobEvent) -> bool:
    """Whether nothing comes after this event."""
    return isinstance(event.happening, StateChanged) and event.happening.after in FINAL


def checkpoint_message(checkpoint: Checkpoint, *, job: str) -> pb.Checkpoint:
    """Return the message that tells a checkpoint of the job with this name."""
    return to_message(checkpoint, pb.Checkpoint, name=f"{job}/checkpoints/{checkpoint.step}")


def _progress(job: Job) -> pb.JobProgress:
    return to_message(
        job,
        pb.JobProgress,
        step=job.done_steps,
        steps_total=job.spec.steps,
        remaining_seconds=None if job.state in FINAL else job.remaining_s,
    )


def _state_changed(happening: StateChanged) -> pb.StateChanged:
    return to_message(happening, pb.StateChanged, **{"from": happening.before, "to": happening.after})


_HAPPENINGS: dict[type[Happening], tuple[str, Callable[[Any], Any]]] = {
    StateChanged: ("state_changed", _state_changed),
    MetricLogged: ("metric_logged", lambda happening: to_message(happening, pb.MetricLogged)),
    SampleDrawn: ("sample_drawn", lambda happening: to_message(happening, pb.SampleDrawn)),
    CheckpointCommitted: ("checkpoint_committed", lambda happening: to_message(happening, pb.CheckpointCommitted)),
    Note: ("note", lambda happening: to_message(happening, pb.Note)),
    RowsBlamed: ("rows_blamed", lambda happening: to_message(happening, pb.RowsBlamed)),
    RolledBack: ("rolled_back", lambda happening: to_message(happening, pb.RolledBack)),
}

"""Saying in words why a job waits, is slow or failed, and what would help."""

import dataclasses
import datetime

from services.domain.counting import counted
from services.domain.job_states import WAITING, JobState
from services.domain.jobs import Attempt, AttemptEnd, Job
from services.domain.limits import INTERRUPTIONS_MAX, NO_PROGRESS_ATTEMPTS_MAX

SLOW_SHARE = 0.5
SILENT_S = 60.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that explains a job; `help` is empty if nothing needs to be done."""

    fact: str
    help: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Explanation:
    """What a job is doing and why."""

    summary: str
    findings: tuple[Finding, ...]
    queue_position: int = 0
    start_s: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What is known around a job at one moment. `ahead` counts jobs of its own project only."""

    now: datetime.datetime
    ready_workers: int
    slots: int
    held_jobs: int
    ahead: int
    project_held: int
    project_held_max: int
    last_end: Attempt | None
    start_s: float | None
    expected_tokens_per_second: float | None


def explain(job: Job, around: Surroundings) -> Explanation:
    """Return the explanation of a job."""
    findings = [*_state_findings(job, around), *_history_findings(job, around)]
    waits = job.state in WAITING
    return Explanation(
        summary=_summary(job, around),
        findings=tuple(findings),
        queue_position=around.ahead if waits else 0,
        start_s=around.start_s if waits else None,
    )


def _summary(job: Job, around: Surroundings) -> str:
    words = {
        JobState.QUEUED: f"The job has waited {_span(around.now - job.create_time)} for a worker.",
        JobState.STARTING: f"workers/{job.worker_id} is starting attempt {job.epoch}.",
        JobState.RUNNING: f"workers/{job.worker_id} has {_done(job)}.",
        JobState.FINALIZING: "The work is complete, and what it has made is being published.",
        JobState.SUCCEEDED: f"The job has published {job.model_version}." if job.model_version else _FILES_ARE_THERE,
        JobState.BACKOFF: f"Attempt {job.epoch} was lost, and the next one goes on from the last checkpoint.",
        JobState.PAUSED: "The job is paused and holds no worker.",
        JobState.CANCELLING: "The job is cancelled, and its processes are being stopped.",
        JobState.CANCELLED: "The job was cancelled.",
        JobState.FAILED: f"The job failed: {job.failure.message if job.failure else ''}",
    }
    return words[job.state]


def _done(job: Job) -> str:
    if job.kind == "draw":
        return f"answered {job.done_steps} of {counted(job.spec.steps, 'prompt')}"
    return f"done {job.done_steps} of {counted(job.spec.steps, 'step')}"


def _state_findings(job: Job, around: Surroundings) -> list[Finding]:
    if job.state in WAITING:
        return _waiting_findings(job, around)
    if job.state is JobState.RUNNING:
        return _running_findings(job, around)
    if job.state is JobState.PAUSED:
        return [Finding(fact="It stays paused until somebody resumes it.", help="Resume the job.")]
    if job.state is JobState.FAILED and job.failure is not None:
        return [Finding(fact=f"{job.failure.reason.value}: {job.failure.message}", help=job.failure.help)]
    if job.state is JobState.STARTING:
        return [Finding(fact=_BEGINNINGS.get(job.kind, _BEGINNING))]
    return []


_FILES_ARE_THERE = "The job has made its files: list them, and read them."
_BEGINNING = "The trainer reads data, builds the model and computes the first step."
_BEGINNINGS = {
    "import_model": "The worker unpacks the files, and reads every tensor.",
    "export_model": "The worker reads the model, and writes it anew.",
    "verify": "The worker computes steps again, from the checkpoint before them.",
    "draw": "The worker reads the models and the prompts, and draws the first answers.",
    "evaluate": "The worker reads the model, and measures it on the rows.",
}


def _waiting_findings(job: Job, around: Surroundings) -> list[Finding]:
    found = []
    if job.not_before is not None and job.not_before > around.now:
        found.append(Finding(fact=f"The next attempt may begin in {_span(job.not_before - around.now)}."))
    if around.ready_workers == 0:
        found.append(Finding(fact="No worker that takes jobs was heard from lately.", help="Start a worker."))
    elif around.held_jobs >= around.slots:
        slots = f"Every slot is taken: {counted(around.slots, 'slot')} of {counted(around.ready_workers, 'worker')}."
        found.append(Finding(fact=slots, help="Wait, cancel a job that is not needed, or start another worker."))
    if around.project_held >= around.project_held_max:
        quota = f"The project runs {counted(around.project_held, 'job')}, which is its limit."
        found.append(Finding(fact=quota, help="Wait for one of them, or ask the operator for a higher limit."))
    if around.ahead:
        found.append(Finding(fact=f"{counted(around.ahead, 'job')} of the project will be claimed before it."))
    return found or [Finding(fact="A worker has a free slot and will claim it within seconds.")]


def _running_findings(job: Job, around: Surroundings) -> list[Finding]:
    found = []
    if job.pausing:
        found.append(Finding(fact="A pause was asked for; it takes effect at the next step, with a checkpoint."))
    expected, speed = around.expected_tokens_per_second, job.tokens_per_second
    if expected and speed and speed < SLOW_SHARE * expected:
        fact = f"It trains on {speed:,.0f} tokens per second, and {expected:,.0f} were to be expected on this cluster."
        found.append(Finding(fact=fact, help="Look whether the machine of the worker is busy with something else."))
    silence = around.now - job.update_time
    if silence.total_seconds() > SILENT_S:
        fact = f"Nothing was recorded for {_span(silence)}; the worker still holds its lease."
        found.append(
            Finding(fact=fact, help="A long step or evaluation may be the reason; else look at the worker's log.")
        )
    return found


def _history_findings(job: Job, around: Surroundings) -> list[Finding]:
    found = []
    last = around.last_end
    if last is not None and last.end in (AttemptEnd.INTERRUPTED, AttemptEnd.LEASE_LOST, AttemptEnd.DRAINED):
        reason = last.message or last.end.value.lower().replace("_", " ")
        found.append(Finding(fact=f"Attempt {last.epoch} on workers/{last.worker_id} ended early: {reason}."))
    if job.interruptions:
        fact = f"It was interrupted {counted(job.interruptions, 'time')} of at most {INTERRUPTIONS_MAX}"
        in_a_row = f"{job.attempts_without_progress} in a row of at most {NO_PROGRESS_ATTEMPTS_MAX - 1}"
        vain = f", {in_a_row} without a new checkpoint"
        found.append(Finding(fact=fact + (vain if job.attempts_without_progress else "") + "."))
    return found


def _span(time: datetime.timedelta) -> str:
    seconds = max(0, int(time.total_seconds()))
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"

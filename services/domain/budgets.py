"""What happens after an attempt has ended early: another one, or the end, and who is charged.

Interruptions are never charged to the user; draining is charged to nobody. Three attempts in a row without a newer
checkpoint end a job, so that a poison job cannot take a worker down for ever.
"""

import dataclasses

from services.domain import limits
from services.domain.jobs import AttemptEnd, FailureReason, Job, JobFailure


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
    """The job with its budgets charged, and either how long to wait or why it is over."""

    job: Job
    wait_s: float = 0.0
    failure: JobFailure | None = None


def judge(job: Job, *, end: AttemptEnd, failure: JobFailure | None, jitter: float) -> Verdict:
    """Return what follows from the end of an attempt. `jitter` is random, from -1 to 1."""
    if end is AttemptEnd.FAILED:
        return Verdict(job=job, failure=failure or _UNEXPLAINED)
    if end is AttemptEnd.DRAINED:
        return Verdict(job=job, wait_s=limits.DRAINED_BACKOFF_S)
    if failure is not None and failure.reason is FailureReason.HOST_OUT_OF_MEMORY:
        return _after_host_out_of_memory(job, failure, jitter=jitter)
    return _after_interruption(job, end=end, jitter=jitter)


def backoff_s(attempts_in_vain: int, *, first_s: float = limits.BACKOFF_FIRST_S, jitter: float) -> float:
    """Return how long to wait after this many attempts in a row that brought nothing: doubled each time, with a cap."""
    exponent = max(0, min(attempts_in_vain - 1, 30))
    return min(first_s * 2**exponent, limits.BACKOFF_MAX_S) * (1 + limits.BACKOFF_JITTER * jitter)


def _after_interruption(job: Job, *, end: AttemptEnd, jitter: float) -> Verdict:
    job = dataclasses.replace(
        job, interruptions=job.interruptions + 1, attempts_without_progress=job.attempts_without_progress + 1
    )
    if job.attempts_without_progress >= limits.NO_PROGRESS_ATTEMPTS_MAX:
        return Verdict(job=job, failure=_no_progress(job))
    if job.interruptions > limits.INTERRUPTIONS_MAX:
        return Verdict(job=job, failure=_interrupted_too_often(job))
    first_s = limits.LOST_LEASE_BACKOFF_S if end is AttemptEnd.LEASE_LOST else limits.BACKOFF_FIRST_S
    return Verdict(job=job, wait_s=backoff_s(job.attempts_without_progress, first_s=first_s, jitter=jitter))


def _after_host_out_of_memory(job: Job, failure: JobFailure, *, jitter: float) -> Verdict:
    job = dataclasses.replace(job, host_out_of_memory=job.host_out_of_memory + 1)
    if job.host_out_of_memory > limits.HOST_OUT_OF_MEMORY_RETRIES_MAX:
        return Verdict(job=job, failure=failure)
    return Verdict(job=job, wait_s=backoff_s(1, jitter=jitter))


def _no_progress(job: Job) -> JobFailure:
    step = (
        "without any checkpoint"
        if job.checkpoint_step is None
        else f"since the checkpoint of step {job.checkpoint_step}"
    )
    return JobFailure(
        reason=FailureReason.NO_PROGRESS,
        message=f"{job.attempts_without_progress} attempts in a row ended {step}.",
        help="Look at the notes of the attempts; more frequent checkpoints or a smaller model may get it further.",
    )


def _interrupted_too_often(job: Job) -> JobFailure:
    return JobFailure(
        reason=FailureReason.INTERRUPTED_TOO_OFTEN,
        message=f"The job was interrupted {job.interruptions} times, and the budget is {limits.INTERRUPTIONS_MAX}.",
        help="Ask the operator why workers are lost; submit the job again when that is cured.",
    )


_UNEXPLAINED = JobFailure(
    reason=FailureReason.TRAINER_ERROR,
    message="The trainer ended with an error and did not say which.",
    help="Look at the log of the worker.",
)

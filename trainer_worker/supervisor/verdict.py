"""How an attempt ended, judged by what its trainer said, how it exited and what was asked of it."""

import signal
from dataclasses import dataclass

from trainer_worker.supervisor.orders import Order
from tutelage.v1 import jobs_pb2
from tutelage_internal.v1 import pipe_pb2, workers_pb2

_KILLED_EXIT = 128 + signal.SIGKILL  # how a shell says that its child was killed
_BY_ORDER = {
    Order.PAUSE: workers_pb2.OUTCOME_PAUSED,
    Order.DRAIN: workers_pb2.OUTCOME_DRAINED,
    Order.CANCEL: workers_pb2.OUTCOME_CANCELLED,
}


@dataclass(frozen=True, kw_only=True)
class TrainerEnd:
    """All that is known about a trainer that is gone."""

    exit_code: int = 0  # negative: the signal
    goodbye: pipe_pb2.Goodbye | None = None
    out_of_memory: bool = False  # the kernel killed for memory while it ran
    stderr: str = ""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What services are told."""

    outcome: "workers_pb2.Outcome.ValueType"
    failure: jobs_pb2.JobFailure | None = None


def interrupted(
    message: str, reason: "jobs_pb2.FailureReason.ValueType" = jobs_pb2.FAILURE_REASON_TRAINER_ERROR
) -> Verdict:
    """Worth another attempt."""
    failure = jobs_pb2.JobFailure(reason=reason, message=message)
    return Verdict(outcome=workers_pb2.OUTCOME_INTERRUPTED, failure=failure)


def failed(message: str) -> Verdict:
    """Another attempt would end alike."""
    failure = jobs_pb2.JobFailure(reason=jobs_pb2.FAILURE_REASON_TRAINER_ERROR, message=message)
    return Verdict(outcome=workers_pb2.OUTCOME_FAILED, failure=failure)


def judge(end: TrainerEnd, *, order: Order | None, why: str) -> Verdict:
    """The verdict, under the highest order given and what was said with it.

    An order that leaves no choice comes first, then last words, then an order that was not obeyed, then the exit code.
    """
    if order is Order.CANCEL:
        return Verdict(outcome=workers_pb2.OUTCOME_CANCELLED)
    if order is Order.BROKEN:
        return failed(why)
    if order is Order.LOST:
        return interrupted(why)
    if end.goodbye is not None:
        return _by_goodbye(end, end.goodbye, order=order, why=why)
    if order is Order.HUNG:
        return interrupted(_with_stderr(f"the trainer hung: {why}", end))
    if order is Order.DRAIN:
        return Verdict(outcome=workers_pb2.OUTCOME_DRAINED)
    if order is Order.UNHEARD:
        return interrupted(why)
    return _by_exit(end)


def _by_goodbye(end: TrainerEnd, goodbye: pipe_pb2.Goodbye, *, order: Order | None, why: str) -> Verdict:
    if goodbye.ending == pipe_pb2.ENDING_COMPLETE:
        return Verdict(outcome=workers_pb2.OUTCOME_COMPLETE)
    if goodbye.ending == pipe_pb2.ENDING_FAILED:
        return _failed_by_itself(end, goodbye)
    if goodbye.ending == pipe_pb2.ENDING_STOPPED:
        return _stopped(order, why)
    if goodbye.ending == pipe_pb2.ENDING_BAD_CHECKPOINT:
        return interrupted(f"the trainer could not read its checkpoint: {goodbye.failure.message}")
    return failed(f"the trainer ended in a way that this version does not know ({goodbye.ending})")


def _failed_by_itself(end: TrainerEnd, goodbye: pipe_pb2.Goodbye) -> Verdict:
    failure = jobs_pb2.JobFailure()
    failure.CopyFrom(goodbye.failure)
    if failure.reason == jobs_pb2.FAILURE_REASON_UNSPECIFIED:
        failure.reason = jobs_pb2.FAILURE_REASON_TRAINER_ERROR
    if not failure.message:
        failure.message = _with_stderr("the trainer failed without saying why", end)
    return Verdict(outcome=workers_pb2.OUTCOME_FAILED, failure=failure)


def _stopped(order: Order | None, why: str) -> Verdict:
    if order is not None and order in _BY_ORDER:
        return Verdict(outcome=_BY_ORDER[order])
    return interrupted(why or "the trainer was asked to stop by somebody else than its supervisor")


def _by_exit(end: TrainerEnd) -> Verdict:
    if end.out_of_memory and end.exit_code in (-signal.SIGKILL, _KILLED_EXIT):
        return interrupted(
            "the host ran out of memory and ended the trainer", jobs_pb2.FAILURE_REASON_HOST_OUT_OF_MEMORY
        )
    if end.exit_code < 0:
        return interrupted(_with_stderr(f"the trainer was ended by {_signal_name(-end.exit_code)}", end))
    return interrupted(_with_stderr(f"the trainer exited with {end.exit_code} and without last words", end))


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _with_stderr(message: str, end: TrainerEnd) -> str:
    return f"{message}; it wrote last:\n{end.stderr}" if end.stderr else message

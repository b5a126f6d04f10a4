"""How an attempt ended: orders that leave no choice, then last words, then the exit code."""

import signal

import pytest

from trainer_worker.supervisor.orders import Order
from trainer_worker.supervisor.verdict import TrainerEnd, Verdict, judge
from tutelage.v1 import jobs_pb2
from tutelage_internal.v1 import pipe_pb2, workers_pb2

COMPLETE, PAUSED, CANCELLED = (
    workers_pb2.OUTCOME_COMPLETE,
    workers_pb2.OUTCOME_PAUSED,
    workers_pb2.OUTCOME_CANCELLED,
)
DRAINED, INTERRUPTED, FAILED = (
    workers_pb2.OUTCOME_DRAINED,
    workers_pb2.OUTCOME_INTERRUPTED,
    workers_pb2.OUTCOME_FAILED,
)


def goodbye(ending: int, message: str = "", reason: int = 0) -> pipe_pb2.Goodbye:
    failure = jobs_pb2.JobFailure(reason=reason, message=message)
    return pipe_pb2.Goodbye(ending=ending, failure=failure)


def judged(end: TrainerEnd, order: Order | None = None, why: str = "") -> Verdict:
    return judge(end, order=order, why=why)


@pytest.mark.parametrize(
    ("order", "outcome"),
    [
        (None, INTERRUPTED),
        (Order.HUNG, INTERRUPTED),
        (Order.UNHEARD, INTERRUPTED),
        (Order.DRAIN, DRAINED),
        (Order.PAUSE, PAUSED),
        (Order.LOST, INTERRUPTED),
        (Order.BROKEN, FAILED),
        (Order.CANCEL, CANCELLED),
    ],
)
def test_a_trainer_that_stopped_is_judged_by_what_was_asked(order: Order | None, outcome: int) -> None:
    assert judged(TrainerEnd(goodbye=goodbye(pipe_pb2.ENDING_STOPPED)), order).outcome == outcome


@pytest.mark.parametrize("order", [None, Order.HUNG, Order.UNHEARD, Order.DRAIN, Order.PAUSE])
def test_a_complete_run_is_complete_even_if_a_stop_was_on_its_way(order: Order | None) -> None:
    assert judged(TrainerEnd(goodbye=goodbye(pipe_pb2.ENDING_COMPLETE)), order).outcome == COMPLETE


def test_a_cancel_wins_over_a_complete_run() -> None:
    assert judged(TrainerEnd(goodbye=goodbye(pipe_pb2.ENDING_COMPLETE)), Order.CANCEL).outcome == CANCELLED


def test_a_failure_keeps_the_reason_the_trainer_gave() -> None:
    words = goodbye(pipe_pb2.ENDING_FAILED, "the loss is not finite", jobs_pb2.FAILURE_REASON_DIVERGED)
    verdict = judged(TrainerEnd(goodbye=words), Order.PAUSE)
    assert verdict == Verdict(outcome=FAILED, failure=words.failure)


def test_a_failure_without_words_quotes_standard_error() -> None:
    verdict = judged(TrainerEnd(goodbye=goodbye(pipe_pb2.ENDING_FAILED), stderr="ValueError: 7"))
    assert verdict.failure is not None
    assert verdict.failure.reason == jobs_pb2.FAILURE_REASON_TRAINER_ERROR
    assert verdict.failure.message.endswith("it wrote last:\nValueError: 7")


@pytest.mark.parametrize("exit_code", [-signal.SIGKILL, 137])
def test_a_kill_while_the_kernel_killed_for_memory_is_the_hosts_memory(exit_code: int) -> None:
    verdict = judged(TrainerEnd(exit_code=exit_code, out_of_memory=True))
    assert verdict.outcome == INTERRUPTED and verdict.failure is not None
    assert verdict.failure.reason == jobs_pb2.FAILURE_REASON_HOST_OUT_OF_MEMORY


def test_a_kill_by_somebody_else_is_not_the_hosts_memory() -> None:
    verdict = judged(TrainerEnd(exit_code=-signal.SIGKILL))
    assert verdict.outcome == INTERRUPTED and verdict.failure is not None
    assert verdict.failure.reason == jobs_pb2.FAILURE_REASON_TRAINER_ERROR
    assert verdict.failure.message == "the trainer was ended by SIGKILL"


def test_another_signal_is_not_the_hosts_memory_even_if_the_kernel_killed_somebody() -> None:
    verdict = judged(TrainerEnd(exit_code=-signal.SIGSEGV, out_of_memory=True))
    assert verdict.failure is not None and verdict.failure.reason == jobs_pb2.FAILURE_REASON_TRAINER_ERROR


def test_a_trainer_killed_in_a_drain_is_charged_to_nobody() -> None:
    assert judged(TrainerEnd(exit_code=-signal.SIGKILL), Order.DRAIN).outcome == DRAINED


def test_a_trainer_that_died_under_a_pause_did_not_pause() -> None:
    assert judged(TrainerEnd(exit_code=-signal.SIGSEGV), Order.PAUSE).outcome == INTERRUPTED


def test_a_hang_says_where() -> None:
    verdict = judged(TrainerEnd(exit_code=-signal.SIGABRT, stderr="File loop.py"), Order.HUNG, "no progress for 300 s")
    assert verdict.failure is not None
    assert verdict.failure.message == "the trainer hung: no progress for 300 s; it wrote last:\nFile loop.py"


def test_an_unknown_ending_is_a_failure() -> None:
    assert judged(TrainerEnd(goodbye=goodbye(77))).outcome == FAILED


def test_an_unknown_signal_is_named_by_its_number() -> None:
    verdict = judged(TrainerEnd(exit_code=-60))
    assert verdict.failure is not None and "signal 60" in verdict.failure.message

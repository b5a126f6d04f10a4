"""The watchdog's patience in each section, by a clock that is handed in."""

import pytest

from trainer_worker.supervisor.watchdog import SectionLimits, Watchdog
from tutelage_internal.v1 import pipe_pb2

LIMITS = SectionLimits(load_s=10, first_step_s=20, step_s=30, evaluate_s=40, checkpoint_s=50)


def in_section(section: int, *, now_s: float = 0.0, step: int = 7) -> Watchdog:
    watchdog = Watchdog(LIMITS, now_s=now_s)
    watchdog.progress(pipe_pb2.Progress(section=section, step=step), now_s=now_s)
    return watchdog


@pytest.mark.parametrize(
    ("section", "limit_s"),
    [
        (pipe_pb2.SECTION_LOAD, 10),
        (pipe_pb2.SECTION_FIRST_STEP, 20),
        (pipe_pb2.SECTION_STEP, 30),
        (pipe_pb2.SECTION_EVALUATE, 40),
        (pipe_pb2.SECTION_CHECKPOINT, 50),
        (99, 30),
    ],
)
def test_each_section_has_its_own_limit(section: int, limit_s: float) -> None:
    watchdog = in_section(section, now_s=1000.0)
    assert watchdog.overdue(now_s=1000.0 + limit_s) is None
    assert watchdog.overdue(now_s=1000.1 + limit_s) is not None


def test_every_section_of_the_pipe_has_a_name() -> None:
    for section in pipe_pb2.Section.values():
        if section != pipe_pb2.SECTION_UNSPECIFIED:
            assert "unknown" not in (in_section(section).overdue(now_s=1e6) or "")


def test_a_trainer_that_never_speaks_has_the_time_for_loading() -> None:
    watchdog = Watchdog(LIMITS, now_s=0.0)
    assert watchdog.overdue(now_s=10.1) == "no progress for 10 s in loading, after step 0"


def test_progress_begins_the_time_anew() -> None:
    watchdog = in_section(pipe_pb2.SECTION_STEP)
    watchdog.progress(pipe_pb2.Progress(section=pipe_pb2.SECTION_STEP, step=8), now_s=29.0)
    assert watchdog.overdue(now_s=58.0) is None and watchdog.step == 8
    assert watchdog.overdue(now_s=59.1) == "no progress for 30 s in a step, after step 8"


def test_a_trainer_kept_waiting_by_a_full_spool_does_not_hang() -> None:
    watchdog = in_section(pipe_pb2.SECTION_STEP)
    watchdog.hold()
    assert watchdog.overdue(now_s=1e6) is None
    watchdog.release(now_s=1e6)
    assert watchdog.overdue(now_s=1e6 + 29) is None
    assert watchdog.overdue(now_s=1e6 + 31) is not None

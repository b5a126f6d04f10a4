"""The learning rate rises evenly and goes the way of its schedule."""

import itertools
from typing import Any

import pytest

from trainer_worker.trainer.engine.schedule import learning_rate
from tutelage.v1 import training_pb2

CONSTANT = training_pb2.SCHEDULE_CONSTANT
LINEAR = training_pb2.SCHEDULE_LINEAR
COSINE = training_pb2.SCHEDULE_COSINE
STABLE = training_pb2.SCHEDULE_WARMUP_STABLE_DECAY
ROOT = training_pb2.SCHEDULE_INVERSE_SQUARE_ROOT
ALL = [CONSTANT, LINEAR, COSINE, STABLE, ROOT]


def rate(step: int, schedule: Any = COSINE, *, steps: int = 100, warmup: int = 10, **fields: Any) -> float:
    spec = training_pb2.OptimizationSpec(
        learning_rate=0.5,
        warmup_steps=warmup,
        schedule=schedule,
        **{"final_learning_rate_ratio": 0.1} | fields,
    )
    return learning_rate(step, steps=steps, spec=spec)


@pytest.mark.parametrize("schedule", ALL)
def test_every_schedule_rises_evenly_to_its_peak(schedule: Any) -> None:
    assert [rate(step, schedule) for step in (1, 2, 5, 10)] == pytest.approx([0.05, 0.1, 0.25, 0.5])


@pytest.mark.parametrize("schedule", ALL)
def test_no_schedule_jumps_after_warm_up(schedule: Any) -> None:
    assert rate(11, schedule) == pytest.approx(0.5, rel=0.06)


@pytest.mark.parametrize("schedule", [LINEAR, COSINE, STABLE])
def test_a_fall_ends_at_the_final_share(schedule: Any) -> None:
    assert rate(100, schedule) == pytest.approx(0.05)
    assert rate(100, schedule, final_learning_rate_ratio=0.0) == pytest.approx(0.0)
    assert rate(100, schedule, final_learning_rate_ratio=1.0) == pytest.approx(0.5)


def test_a_job_from_before_there_were_schedules_follows_the_cosine() -> None:
    unset = training_pb2.OptimizationSpec(learning_rate=0.5, final_learning_rate_ratio=0.1, warmup_steps=10)
    assert all(learning_rate(step, steps=100, spec=unset) == rate(step, COSINE) for step in range(1, 101))


def test_the_cosine_passes_the_middle_and_always_falls() -> None:
    assert rate(55) == pytest.approx((0.5 + 0.05) / 2)
    assert all(rate(step) > rate(step + 1) for step in range(10, 100))


def test_a_line_falls_by_the_same_at_every_step() -> None:
    rates = [rate(step, LINEAR) for step in range(10, 101)]
    assert [high - low for high, low in itertools.pairwise(rates)] == pytest.approx([0.45 / 90] * 90)


def test_the_constant_stays() -> None:
    assert {rate(step, CONSTANT) for step in range(10, 101)} == {0.5}


def test_stable_ends_where_its_share_of_the_steps_begins() -> None:
    assert [rate(step, STABLE) for step in (79, 80, 90, 100)] == pytest.approx([0.5, 0.5, 0.275, 0.05])
    assert rate(50, STABLE, decay_ratio=0.5) == 0.5 > rate(51, STABLE, decay_ratio=0.5)


def test_a_decay_longer_than_what_warm_up_leaves_begins_after_it() -> None:
    assert rate(10, STABLE, decay_ratio=1.0) == 0.5
    assert rate(55, STABLE, decay_ratio=1.0) == pytest.approx(0.275)


def test_the_root_falls_to_half_in_four_times_the_warm_up_and_ends_falling_at_its_floor() -> None:
    assert rate(40, ROOT) == pytest.approx(0.25)
    assert rate(100, ROOT, final_learning_rate_ratio=0.6) == pytest.approx(0.3)


@pytest.mark.parametrize("schedule", ALL)
@pytest.mark.parametrize(("steps", "warmup"), [(1, 0), (1, 1), (5, 5), (5, 0), (2, 1)])
def test_short_runs_have_a_rate_at_every_step(schedule: Any, steps: int, warmup: int) -> None:
    assert all(0 < rate(step, schedule, steps=steps, warmup=warmup) <= 0.5 for step in range(1, steps + 1))


def test_an_unknown_schedule_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown schedule 99"):
        rate(50, 99)

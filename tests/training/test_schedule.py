"""The learning rate rises evenly and falls along a cosine."""

import pytest

from trainer_worker.trainer.engine.schedule import learning_rate


def rate(step: int, *, steps: int = 100, warmup: int = 10) -> float:
    return learning_rate(step, steps=steps, peak=0.5, warmup_steps=warmup, final_ratio=0.1)


def test_it_rises_evenly_to_its_peak() -> None:
    assert [rate(step) for step in (1, 2, 5, 10)] == pytest.approx([0.05, 0.1, 0.25, 0.5])


def test_it_falls_to_the_final_share_by_way_of_the_middle() -> None:
    assert rate(100) == pytest.approx(0.05)
    assert rate(55) == pytest.approx((0.5 + 0.05) / 2)
    assert all(rate(step) > rate(step + 1) for step in range(10, 100))


@pytest.mark.parametrize(("steps", "warmup"), [(1, 0), (1, 1), (5, 5), (5, 0)])
def test_short_runs_have_a_rate_at_every_step(steps: int, warmup: int) -> None:
    assert all(0 < rate(step, steps=steps, warmup=warmup) <= 0.5 for step in range(1, steps + 1))

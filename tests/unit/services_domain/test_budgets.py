"""Backoff: doubled, capped, and spread."""

import pytest

from services.domain.budgets import backoff_s


@pytest.mark.parametrize(("vain", "expected"), [(0, 5), (1, 5), (2, 10), (3, 20), (7, 300), (1000, 300)])
def test_it_doubles_up_to_five_minutes(vain: int, expected: float) -> None:
    assert backoff_s(vain, jitter=0.0) == expected


def test_it_is_spread_by_a_fifth() -> None:
    assert (backoff_s(1, jitter=-1.0), backoff_s(1, jitter=1.0)) == (4.0, 6.0)

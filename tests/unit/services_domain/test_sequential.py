"""The test that may be looked at any time: its errors are those it promises, by simulation under fixed seeds."""

import itertools
import math
import random

import pytest

from services.domain.sequential import (
    PAIRS_SAID_MAX,
    confidence_sequence,
    evidence,
    is_decided,
    pairs_missing,
)

RUNS, PAIRS = 1000, 200
LOOKS = (3, 6, 12, 24, 48, 96)


def ever_decided(chance: float, *, error_rate: float, seed: int) -> tuple[int, list[int]]:
    """Return in how many runs the test was ever decided, looking after each pair, and after how many pairs."""
    lots, lengths = random.Random(seed), []
    for _ in range(RUNS):
        wins = 0
        for count in range(1, PAIRS + 1):
            wins += lots.random() < chance
            if is_decided(wins, count - wins, error_rate=error_rate):
                lengths.append(count)
                break
    return len(lengths), lengths


@pytest.mark.parametrize("error_rate", [0.05, 0.2])
def test_equal_versions_are_called_different_as_rarely_as_promised(error_rate: float) -> None:
    decided, _ = ever_decided(0.5, error_rate=error_rate, seed=1)
    assert 0 < decided <= RUNS * error_rate


def test_a_test_of_a_fixed_size_would_err_far_more_often_when_looked_at_after_every_pair() -> None:
    """Why all this: the usual test at 5 % is wrong in a third of the runs, if one stops when it says so."""
    lots, wrong = random.Random(1), 0
    for _ in range(RUNS):
        wins = 0
        for count in range(1, PAIRS + 1):
            wins += lots.random() < 0.5
            if count >= 10 and abs(wins - count / 2) > 1.96 * math.sqrt(count / 4):
                wrong += 1
                break
    assert wrong > 0.25 * RUNS


@pytest.mark.parametrize(("chance", "power", "median_max"), [(0.7, 0.99, 80), (0.9, 1.0, 20), (0.3, 0.99, 80)])
def test_a_real_difference_is_found_before_long(chance: float, power: float, median_max: int) -> None:
    decided, lengths = ever_decided(chance, error_rate=0.05, seed=2)
    assert decided >= power * RUNS
    assert sorted(lengths)[len(lengths) // 2] <= median_max


@pytest.mark.parametrize("chance", [0.5, 0.62, 0.9])
def test_the_interval_holds_the_true_chance_at_all_times(chance: float) -> None:
    lots, missed, runs = random.Random(3), 0, 300
    for _ in range(runs):
        wins = 0
        for before, count in itertools.pairwise((0, *LOOKS)):
            wins += sum(lots.random() < chance for _ in range(count - before))
            low, high = confidence_sequence(wins, count - wins, error_rate=0.1)
            if not low <= chance <= high:
                missed += 1
                break
    assert missed <= runs * 0.1


def test_the_interval_leaves_out_one_half_exactly_when_the_test_is_decided() -> None:
    for wins in range(30):
        for losses in range(30):
            low, high = confidence_sequence(wins, losses, error_rate=0.05)
            assert (not low <= 0.5 <= high) == is_decided(wins, losses, error_rate=0.05), (wins, losses)
            assert 0 <= low <= high <= 1


def test_the_evidence_is_that_of_the_uniform_mixture() -> None:
    """By hand: ten wins in ten have probability 1/11 in the mixture and 1/1024 under equality."""
    assert evidence(10, 0) == pytest.approx(1024 / 11)
    assert evidence(0, 0) == 1.0
    assert evidence(3, 3) == pytest.approx(2**6 / 140)
    assert evidence(100_000, 0) < math.inf


def test_the_expected_gain_of_the_bet_is_nothing_under_equality() -> None:
    for count in (1, 5, 20):
        mean = sum(math.comb(count, wins) * evidence(wins, count - wins) for wins in range(count + 1)) / 2**count
        assert mean == pytest.approx(1.0)


def test_pairs_missing_are_those_after_which_it_is_decided() -> None:
    assert pairs_missing(0, 0, error_rate=0.05) is None
    assert pairs_missing(10, 0, error_rate=0.05) == 0
    assert pairs_missing(4, 0, error_rate=0.05) == 4
    assert is_decided(8, 0, error_rate=0.05) and not is_decided(7, 0, error_rate=0.05)
    assert pairs_missing(50, 50, error_rate=0.05) is None
    many = pairs_missing(53, 47, error_rate=0.05)
    assert many is not None and 1000 < many < PAIRS_SAID_MAX
    assert pairs_missing(30, 20, error_rate=0.01) == pytest.approx(
        pairs_missing(20, 30, error_rate=0.01)  # the sides are alike
    )

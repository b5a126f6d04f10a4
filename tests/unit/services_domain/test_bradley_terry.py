"""Strengths of versions, against a published table and by hand."""

import math

import pytest

from services.domain.bradley_terry import scores, strengths, wilson_interval

TEAMS = ("Milwaukee", "Detroit", "Toronto", "New York", "Boston", "Cleveland", "Baltimore")
# The American League of 1987: Agresti, "Categorical Data Analysis", 2nd ed. 2002, table 10.10.
GAMES = (
    (0, 7, 9, 7, 7, 9, 11),
    (6, 0, 7, 5, 11, 9, 9),
    (4, 6, 0, 7, 7, 8, 12),
    (6, 8, 6, 0, 6, 7, 10),
    (6, 2, 6, 7, 0, 7, 12),
    (4, 4, 5, 6, 6, 0, 6),
    (2, 4, 1, 3, 1, 7, 0),
)
# The strengths over Baltimore's, as the package BradleyTerry2 of R prints them.
PUBLISHED = {
    "Boston": 1.1077,
    "Cleveland": 0.6839,
    "Detroit": 1.4364,
    "Milwaukee": 1.5814,
    "New York": 1.2476,
    "Toronto": 1.2945,
}


def games() -> dict[tuple[str, str], float]:
    return {
        (winner, loser): float(count)
        for winner, row in zip(TEAMS, GAMES, strict=True)
        for loser, count in zip(TEAMS, row, strict=True)
        if count
    }


def test_a_published_league_has_its_published_strengths() -> None:
    found = strengths(games(), prior=1e-9)
    for team, strength in PUBLISHED.items():
        assert found[team].value - found["Baltimore"].value == pytest.approx(strength, abs=2e-4)
    assert sum(each.value for each in found.values()) == pytest.approx(0, abs=1e-9)


def test_two_versions_have_half_the_logarithm_of_their_odds() -> None:
    """30 wins against 10: odds of 3, so the two lie ln(3)/2 to both sides; the variance of ln(3) is 1/30 + 1/10."""
    found = strengths({("a", "b"): 30.0, ("b", "a"): 10.0}, prior=1e-9)
    error = 1.959964 * math.sqrt(1 / 30 + 1 / 10) / 2
    assert found["a"].value == pytest.approx(math.log(3) / 2, abs=1e-6)
    assert found["b"].value == pytest.approx(-math.log(3) / 2, abs=1e-6)
    assert (found["a"].low, found["a"].high) == pytest.approx(
        (math.log(3) / 2 - error, math.log(3) / 2 + error), abs=1e-5
    )


def test_a_version_that_never_lost_has_a_finite_strength_that_grows_with_its_wins() -> None:
    few, many = (strengths({("a", "b"): float(count)})["a"] for count in (3, 300))
    assert 0 < few.value < many.value < 10
    assert few.low is not None and few.high is not None and math.isfinite(few.high)


def test_versions_that_never_met_are_compared_through_the_average() -> None:
    found = strengths({("a", "b"): 8.0, ("b", "a"): 2.0, ("c", "d"): 8.0, ("d", "c"): 2.0})
    assert found["a"].value == pytest.approx(found["c"].value)
    assert found["a"].value > found["b"].value


def test_scores_are_ordered_by_strength_and_ties_are_half_wins() -> None:
    found = scores({("a", "b"): 2.5, ("b", "a"): 1.5, ("b", "c"): 3.0, ("c", "b"): 1.0})
    assert [each.name for each in found] == ["a", "b", "c"]
    assert [(each.wins, each.comparisons) for each in found] == [(2.5, 4), (4.5, 8), (1.0, 4)]
    assert found[1].win_rate.value == pytest.approx(4.5 / 8)
    assert scores({}) == []


def test_the_interval_of_a_share_is_that_of_wilson() -> None:
    """Newcombe 1998, Statistics in Medicine 17, 857-872, table I, method 3: 81/263 and 0/20."""
    found = wilson_interval(81, 263)
    assert (found.low, found.high) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    none = wilson_interval(0, 20)
    assert (none.low, none.high) == pytest.approx((0.0, 0.1611), abs=5e-5)
    nothing = wilson_interval(0, 0)
    assert (nothing.value, nothing.low, nothing.high) == (0.5, 0.0, 1.0)

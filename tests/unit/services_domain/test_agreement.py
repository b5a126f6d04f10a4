"""Agreement of reviewers, against worked examples that others have published."""

import itertools

import pytest

from services.domain.agreement import Scale, cohen_kappa, estimate_alpha, krippendorff_alpha, raw_agreement
from services.domain.resampling import percentile, poisson_weights

# Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability": four observers, twelve units, values 1 to 5.
OBSERVERS = ("123321412...", "12332241 25.3".replace(" ", ""), ".3332342251.", "123324412 51.".replace(" ", ""))
UNITS = [[int(each[unit]) for each in OBSERVERS if each[unit] != "."] for unit in range(12)]
# Krippendorff 2011, section A: two observers, ten units, 0 or 1.
BINARY = [(0, 1), (1, 1), (0, 1), (0, 0), (0, 0), (0, 1), (0, 0), (0, 0), (1, 0), (0, 0)]


def test_the_example_of_four_observers_has_its_published_alphas() -> None:
    assert krippendorff_alpha(UNITS, scale=Scale.NOMINAL) == pytest.approx(0.743, abs=5e-4)
    assert krippendorff_alpha(UNITS, scale=Scale.ORDINAL) == pytest.approx(0.815, abs=5e-4)


def test_the_example_of_two_observers_has_its_published_alpha() -> None:
    assert krippendorff_alpha(BINARY, scale=Scale.NOMINAL) == pytest.approx(0.095, abs=5e-4)


def test_alpha_is_one_for_full_agreement_and_below_zero_for_less_than_chance() -> None:
    assert krippendorff_alpha([(1, 1), (2, 2)], scale=Scale.NOMINAL) == 1.0
    opposed = krippendorff_alpha([(1, 2)] * 10, scale=Scale.NOMINAL)
    assert opposed is not None and opposed < 0


def test_alpha_of_nothing_to_compare_is_unknown() -> None:
    for units in ([], [(1,), (2,)], [(1, 1), (1, 1)]):
        assert krippendorff_alpha(units, scale=Scale.NOMINAL) is None
        assert estimate_alpha([[unit] for unit in units], scale=Scale.ORDINAL, seed=1) is None


def test_on_the_ordinal_scale_near_values_agree_more_than_far_ones() -> None:
    spread = [(value, value) for value in range(1, 10)]
    near, far = [*spread, (5, 6)], [*spread, (1, 9)]
    by_rank = [krippendorff_alpha(units, scale=Scale.ORDINAL) for units in (near, far)]
    assert by_rank[0] is not None and by_rank[1] is not None and by_rank[0] > by_rank[1]
    assert krippendorff_alpha(near, scale=Scale.NOMINAL) == krippendorff_alpha(far, scale=Scale.NOMINAL)


def test_the_interval_holds_alpha_and_is_the_same_under_the_same_seed() -> None:
    clusters = [[unit] for unit in UNITS]
    found = estimate_alpha(clusters, scale=Scale.NOMINAL, seed=7)
    assert found is not None and found.low is not None and found.high is not None
    assert found.value == krippendorff_alpha(UNITS, scale=Scale.NOMINAL)
    assert found.low < found.value < found.high <= 1.0
    assert estimate_alpha(reversed(clusters), scale=Scale.NOMINAL, seed=7) == found
    assert estimate_alpha(clusters, scale=Scale.NOMINAL, seed=8) != found


def test_the_interval_shrinks_with_the_root_of_the_units() -> None:
    def width(times: int) -> float:
        found = estimate_alpha([[unit] for unit in BINARY * times], scale=Scale.NOMINAL, seed=3)
        assert found is not None and found.low is not None and found.high is not None
        return found.high - found.low

    assert width(400) == pytest.approx(width(100) / 2, rel=0.2)


def test_units_of_one_cluster_are_drawn_together() -> None:
    """Three copies of each unit are no new information, and the interval must not shrink as if they were."""
    lone = estimate_alpha([[unit] for unit in BINARY * 20], scale=Scale.NOMINAL, seed=3)
    tripled = estimate_alpha([[unit] * 3 for unit in BINARY * 20], scale=Scale.NOMINAL, seed=3)
    assert lone is not None and tripled is not None
    assert lone.low is not None and tripled.low is not None
    assert tripled.low == pytest.approx(lone.low, abs=0.01)


def test_kappa_of_a_published_example() -> None:
    """Two readers judge 50 proposals: 20 times both yes, 15 times both no, 5 and 10 times they differ; 0.4."""
    pairs = [(1, 1)] * 20 + [(1, 0)] * 5 + [(0, 1)] * 10 + [(0, 0)] * 15
    assert cohen_kappa(pairs) == pytest.approx(0.4)
    assert cohen_kappa([]) is None and cohen_kappa([(1, 1)] * 5) is None


def test_raw_agreement_counts_pairs_of_votes() -> None:
    assert raw_agreement([(1, 1, 2)]) == pytest.approx(1 / 3)
    assert raw_agreement(UNITS) == pytest.approx(
        sum(one == other for unit in UNITS for one, other in itertools.combinations(unit, 2))
        / sum(1 for unit in UNITS for _ in itertools.combinations(unit, 2))
    )
    assert raw_agreement([(1,)]) is None


@pytest.mark.parametrize("count", [1, 7, 400])
def test_resamples_have_the_mean_and_spread_of_poisson(count: int) -> None:
    drawn = [weights[0] for weights in poisson_weights([count], seed=11, draws=4000)]
    mean = sum(drawn) / len(drawn)
    assert mean == pytest.approx(count, rel=0.06)
    assert sum((each - mean) ** 2 for each in drawn) / len(drawn) == pytest.approx(count, rel=0.1)


def test_a_percentile_lies_between_its_neighbours() -> None:
    assert [percentile([1.0, 2.0, 4.0], share) for share in (0.0, 0.25, 0.5, 1.0)] == [1.0, 1.5, 2.0, 4.0]


def test_full_agreement_has_no_interval() -> None:
    found = estimate_alpha([[(1, 1)], [(2, 2)]] * 10, scale=Scale.NOMINAL, seed=1)
    assert found is not None and (found.value, found.low, found.high) == (1.0, None, None)

"""What votes say, by hand."""

from typing import Any

import pytest

from services.domain.judgements import Judgement, ReviewKind, Thumb, Verdict
from services.domain.review_stats import CountedVote, JudgedItem, ReviewStats, agree, review_stats, units_of, wins_of

ONE, TWO, THREE = (f"projects/own/models/chat/versions/{number}" for number in (1, 2, 3))
FIRST, SECOND = (Judgement(verdict=Verdict.PREFERS, preferred=place) for place in (0, 1))
EQUAL, BOTH_BAD = Judgement(verdict=Verdict.EQUAL), Judgement(verdict=Verdict.BOTH_BAD)
PAIR, SINGLE, RANKING = ReviewKind.PAIR, ReviewKind.SINGLE, ReviewKind.RANKING


def item(number: int, *, lengths: tuple[int, ...] = (5, 9), gold: Judgement | None = None, **said: Any) -> JudgedItem:
    return JudgedItem(number=number, versions=said.get("versions", (ONE, TWO)), lengths=lengths, gold=gold)


def vote(of: JudgedItem | int, judgement: Judgement, *, by: str = "anna", **said: Any) -> CountedVote:
    judged = item(of) if isinstance(of, int) else of
    return CountedVote(item=judged, judgement=judgement, reviewer=by, **{"shown_order": (0, 1), **said})


def stats(*votes: CountedVote, kind: ReviewKind = PAIR) -> ReviewStats:
    return review_stats(votes, kind=kind, seed_of="review")


def test_without_votes_nothing_is_said() -> None:
    found = stats()
    assert (found.krippendorff_alpha, found.cohen_kappa, found.raw_agreement) == (None, None, None)
    assert (found.versions, found.reviewers, found.first_share, found.gold_accuracy) == ((), (), None, None)


def test_reviewers_who_agree_have_an_alpha_of_one() -> None:
    votes = [vote(number, FIRST if number % 2 else EQUAL, by=by) for number in range(9) for by in ("anna", "bert")]
    found = stats(*votes)
    assert found.krippendorff_alpha is not None and found.krippendorff_alpha.value == 1.0
    assert (found.cohen_kappa, found.raw_agreement) == (1.0, 1.0)


def test_kappa_is_for_two_reviewers_only() -> None:
    votes = [vote(1, FIRST, by=by) for by in ("anna", "bert", "carl")]
    assert stats(*votes).cohen_kappa is None
    half = [vote(number, FIRST if number % 2 else SECOND) for number in range(4)]
    half += [vote(number, FIRST if number < 2 else SECOND, by="bert") for number in range(4)]
    assert stats(*half).cohen_kappa == pytest.approx(0.0)


def test_equal_and_both_bad_are_the_same_to_agreement() -> None:
    assert stats(vote(1, EQUAL), vote(1, BOTH_BAD, by="bert")).raw_agreement == 1.0


def test_ratings_are_compared_by_rank_and_thumbs_by_name() -> None:
    rated = [vote(number, Judgement(rating=number)) for number in range(1, 10)]
    near = [vote(number, Judgement(rating=min(number + 1, 9)), by="bert") for number in range(1, 10)]
    by_rank = stats(*rated, *near, kind=SINGLE).krippendorff_alpha
    assert by_rank is not None and by_rank.value > 0.9
    assert stats(*rated, *near, kind=SINGLE).raw_agreement == pytest.approx(1 / 9)
    thumbs = [vote(1, Judgement(thumb=Thumb.UP), by=by) for by in ("anna", "bert")]
    assert stats(*thumbs, kind=SINGLE).raw_agreement == 1.0
    assert units_of([*rated[:1], *thumbs], kind=SINGLE) == [[[1]]]


def test_a_ranking_judges_every_pair() -> None:
    three = item(1, versions=(ONE, TWO, THREE), lengths=(1, 2, 3))
    votes = [vote(three, Judgement(ranking=(2, 0, 1))), vote(three, Judgement(ranking=(0, 2, 1)), by="bert")]
    assert units_of(votes, kind=RANKING) == [[[1, 1], [0, 1], [0, 0]]]
    assert stats(*votes, kind=RANKING).raw_agreement == pytest.approx(2 / 3)
    assert wins_of(votes[:1], kind=RANKING)[THREE, ONE] == 1.0
    assert [each.model_version for each in stats(*votes, kind=RANKING).versions] in (
        [ONE, THREE, TWO],
        [THREE, ONE, TWO],
    )


def test_versions_win_and_tie() -> None:
    found = stats(vote(1, SECOND), vote(2, SECOND), vote(3, FIRST), vote(4, EQUAL), vote(5, BOTH_BAD)).versions
    assert [(each.model_version, each.wins, each.comparisons) for each in found] == [(TWO, 3.0, 5), (ONE, 2.0, 5)]
    assert found[0].win_rate.value == pytest.approx(0.6)
    assert found[0].strength is not None and found[0].strength.value > 0


def test_two_samples_of_one_version_are_no_comparison() -> None:
    assert stats(vote(item(1, versions=(ONE, ONE)), FIRST)).versions == ()
    assert stats(vote(item(1, versions=(ONE, "")), FIRST)).versions == ()


def test_choices_of_the_first_and_of_the_longer_are_counted() -> None:
    votes = [
        vote(1, FIRST),  # shown first, shorter
        vote(2, SECOND, shown_order=(1, 0)),  # shown first, longer
        vote(3, SECOND),  # shown second, longer
        vote(item(4, lengths=(7, 7)), FIRST, shown_order=(1, 0)),  # shown second, of the same length
        vote(5, EQUAL),
    ]
    found = stats(*votes)
    assert found.first_share is not None and found.first_share.value == pytest.approx(2 / 4)
    assert found.longer_share is not None and found.longer_share.value == pytest.approx(2 / 3)
    assert found.longer_share.low is not None and found.longer_share.low < 2 / 3
    (anna,) = found.reviewers
    assert (anna.first_share, anna.longer_share) == (0.5, pytest.approx(2 / 3))


def test_gold_items_are_compared_whatever_the_strength() -> None:
    gold = Judgement(verdict=Verdict.PREFERS, preferred=0, strength=4)
    votes = [vote(item(1, gold=gold), FIRST), vote(item(2, gold=gold), SECOND), vote(3, SECOND)]
    found = stats(*votes, vote(item(1, gold=gold), FIRST, by="bert"))
    assert found.gold_accuracy == pytest.approx(2 / 3)
    assert [(each.reviewer, each.gold_accuracy, each.gold_votes) for each in found.reviewers] == [
        ("anna", 0.5, 2),
        ("bert", 1.0, 1),
    ]


def test_repetitions_say_whether_somebody_agrees_with_themselves_and_nothing_else() -> None:
    votes = [vote(1, FIRST), vote(2, FIRST), vote(1, FIRST, repeat=True), vote(2, SECOND, repeat=True)]
    found = stats(*votes)
    (anna,) = found.reviewers
    assert (anna.self_agreement, anna.votes, anna.first_share) == (0.5, 2, 1.0)
    assert found.raw_agreement is None
    assert found.versions[0].comparisons == 2


def test_times_are_told_by_their_median() -> None:
    votes = [vote(number, FIRST, active_seconds=seconds) for number, seconds in enumerate((2.0, 90.0, 4.0, 0.0))]
    assert stats(*votes).reviewers[0].seconds_median == 4.0
    assert stats(vote(1, FIRST)).reviewers[0].seconds_median is None


def test_answers_agree_if_they_choose_the_same() -> None:
    assert agree(Judgement(rating=5), Judgement(rating=6)) and not agree(Judgement(rating=5), Judgement(rating=7))
    assert agree(Judgement(ranking=(1, 0, 2)), Judgement(ranking=(1, 0, 2), rationale="so"))
    assert not agree(FIRST, EQUAL)


def test_the_same_votes_have_the_same_interval() -> None:
    votes = [vote(number, FIRST if number % 4 else SECOND) for number in range(20)]
    votes += [vote(number, FIRST if number % 3 else SECOND, by="bert") for number in range(20)]
    assert stats(*votes) == stats(*votes)
    assert stats(*votes).krippendorff_alpha != review_stats(votes, kind=PAIR, seed_of="other").krippendorff_alpha

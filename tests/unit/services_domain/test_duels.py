"""Duels: from pairs and votes to a verdict in words."""

import dataclasses

import pytest

from services.domain.answers import AnswersDrawn, Candidate, Prompt
from services.domain.drawing import Checker
from services.domain.duel_resolution import DuelDraft, check_versions, fill_duel
from services.domain.duels import (
    DuelJudge,
    DuelPair,
    DuelResult,
    DuelVerdict,
    PairVotes,
    Tally,
    pairs_of,
    result_of,
    tally_votes,
)
from services.domain.errors import InvalidField
from services.domain.judgements import ReviewKind


def result(wins: int, losses: int, *, ties: int = 0, judged: int | None = None, **said: bool | int) -> DuelResult:
    tally = Tally(wins=wins, losses=losses, ties=ties, judged=wins + losses + ties if judged is None else judged)
    given = {"pairs": 100, "error_rate": 0.05, "drawn": False, "failed": False, "closed": False, **said}
    return result_of(tally, **given)  # type: ignore[arg-type]


def drawn(number: int, *answers: tuple[str, float | None]) -> AnswersDrawn:
    candidates = tuple(Candidate(text=text, score=score) for text, score in answers)
    return AnswersDrawn(prompt_number=number, prompt=Prompt(text="?"), answers=candidates)


def test_pairs_are_the_same_samples_of_both() -> None:
    told = drawn(3, ("a", 0.5), ("b", 1.0), ("c", 0.25), ("b", 1.0))
    assert pairs_of(told, judge=DuelJudge.CHECKER) == [
        DuelPair(number=5, same=False, champion_score=0.5, challenger_score=0.25),
        DuelPair(number=6, same=True, champion_score=1.0, challenger_score=1.0),
    ]


def test_scores_are_not_kept_where_people_judge_or_one_is_missing() -> None:
    assert pairs_of(drawn(1, ("a", 0.5), ("b", 1.0)), judge=DuelJudge.REVIEWERS) == [DuelPair(number=1, same=False)]
    assert pairs_of(drawn(1, ("a", None), ("b", 1.0)), judge=DuelJudge.CHECKER) == [DuelPair(number=1, same=False)]


@pytest.mark.parametrize(
    ("votes", "ended"),
    [
        (PairVotes(wins=1), (1, 0, 0)),
        (PairVotes(wins=2, losses=1), (1, 0, 0)),
        (PairVotes(losses=1, ties=5), (0, 1, 0)),
        (PairVotes(wins=1, losses=1), (0, 0, 1)),
        (PairVotes(ties=1), (0, 0, 1)),
        (PairVotes(discards=1), (0, 0, 0)),
        (PairVotes(discards=1, wins=1), (1, 0, 0)),
    ],
)
def test_a_pair_is_one_observation_of_its_majority(votes: PairVotes, ended: tuple[int, int, int]) -> None:
    tally = tally_votes({votes: 1}, same=0, overlap=1, closed=False)
    assert (tally.wins, tally.losses, tally.ties) == ended and tally.judged == 1


def test_a_pair_waits_for_all_its_votes_unless_no_more_are_taken() -> None:
    votes = {PairVotes(wins=1): 1, PairVotes(wins=1, discards=1): 3}
    assert tally_votes(votes, same=2, overlap=2, closed=False) == Tally(wins=3, ties=2, judged=5)
    assert tally_votes(votes, same=2, overlap=2, closed=True) == Tally(wins=4, ties=2, judged=6)


def test_verdicts() -> None:
    assert result(9, 0).verdict is DuelVerdict.BETTER
    assert result(0, 9).verdict is DuelVerdict.WORSE
    assert result(5, 4).verdict is DuelVerdict.UNDECIDED
    assert result(5, 4, drawn=True, pairs=9).verdict is DuelVerdict.NO_DIFFERENCE
    assert result(5, 4, drawn=True, pairs=10).verdict is DuelVerdict.UNDECIDED
    assert result(5, 4, judged=100).verdict is DuelVerdict.UNDECIDED  # more may be drawn
    assert result(5, 4, closed=True).verdict is DuelVerdict.NO_DIFFERENCE
    assert result(5, 4, failed=True).verdict is DuelVerdict.FAILED
    assert result(9, 0, failed=True).verdict is DuelVerdict.BETTER


def test_the_verdict_is_told_with_its_numbers() -> None:
    assert result(0, 0).summary == "Not decided yet."
    assert result(0, 0, ties=3).summary == "Not decided yet: 3 ties."
    won = result(18, 2, ties=1)
    assert won.summary == (
        "The challenger is better: it won 18 of 20 decided pairs"
        f" (90%; from {won.win_rate_low:.0%} to {won.win_rate_high:.0%} with 95% confidence), with 1 tie."
    )
    going = result(6, 2)
    assert going.pairs_missing is not None
    assert going.summary.endswith(f"; about {going.pairs_missing} more decided pairs would decide it if this goes on.")
    assert "would decide" not in result(5, 5).summary and result(5, 5).pairs_missing is None
    assert "99.9% confidence" in result(20, 0, error_rate=0.001).summary  # type: ignore[arg-type]


def test_evidence_and_interval_say_the_same_as_the_verdict() -> None:
    for wins in range(12):
        for losses in range(12):
            said = result(wins, losses)
            decided = said.verdict in (DuelVerdict.BETTER, DuelVerdict.WORSE)
            assert decided == (said.evidence >= 20)
            if wins + losses:
                assert said.win_rate_low is not None and said.win_rate_high is not None
                assert decided == (not said.win_rate_low <= 0.5 <= said.win_rate_high)


ASKED = DuelDraft(champion="a", challenger="b", prompts="c")


def test_a_draft_becomes_what_is_drawn_and_reviewed() -> None:
    filled = fill_duel(dataclasses.replace(ASKED, overlap=3, guidelines="Be kind."))
    assert (filled.judge, filled.error_rate) == (DuelJudge.REVIEWERS, 0.05)
    assert (filled.draw.models, filled.draw.prompts, filled.draw.samples) == (("a", "b"), "c", 1)
    review = filled.review
    assert (review.kind, review.overlap, review.guidelines) == (ReviewKind.PAIR, 3, "Be kind.")


def test_every_wrong_field_is_named_at_once() -> None:
    wrong = DuelDraft(champion="a", error_rate=0.9, checker=Checker(name="json-parses"), judge=DuelJudge.REWARD_MODEL)
    with pytest.raises(InvalidField) as caught:
        fill_duel(dataclasses.replace(wrong, guidelines="x"))
    assert {each.field for each in caught.value.violations} == {
        "duel.challenger",
        "duel.prompts",
        "duel.error_rate",
        "duel.checker",
        "duel.reward_model",
        "duel.guidelines",
    }


def test_a_version_does_not_duel_itself() -> None:
    with pytest.raises(InvalidField, match="is the champion itself"):
        check_versions(dataclasses.replace(ASKED, challenger="a"))
    check_versions(ASKED)

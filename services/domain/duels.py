"""Duels: a challenger against a champion, judged pair by pair, with a verdict that may be looked at any time."""

import collections
import dataclasses
import datetime
import enum
from collections.abc import Mapping

from services.domain.answers import AnswersDrawn
from services.domain.counting import counted
from services.domain.drawing import Checker, DrawOptions
from services.domain.names import DUEL, JOB, REVIEW
from services.domain.sequential import confidence_sequence, evidence, is_decided, pairs_missing


class DuelJudge(enum.Enum):
    """Who compares."""

    REVIEWERS = "REVIEWERS"
    CHECKER = "CHECKER"
    REWARD_MODEL = "REWARD_MODEL"


class DuelVerdict(enum.Enum):
    """What a duel says of its challenger."""

    UNDECIDED = "UNDECIDED"
    BETTER = "BETTER"
    WORSE = "WORSE"
    NO_DIFFERENCE = "NO_DIFFERENCE"
    FAILED = "FAILED"


@dataclasses.dataclass(frozen=True, kw_only=True)
class DuelPair:
    """The answers of both to one prompt, as far as a duel needs them; scores are None where people judge."""

    number: int
    same: bool
    champion_score: float | None = None
    challenger_score: float | None = None


def pairs_of(drawn: AnswersDrawn, *, judge: DuelJudge) -> list[DuelPair]:
    """Return the pairs of the answers to one prompt: the first half is the champion's, in the same order of samples.

    A pair without both scores, where scores judge, has none.
    """
    half = len(drawn.answers) // 2
    found = []
    for place, (one, other) in enumerate(zip(drawn.answers[:half], drawn.answers[half:], strict=True)):
        number = (drawn.prompt_number - 1) * half + place + 1
        pair = DuelPair(number=number, same=one.text == other.text)
        if judge is not DuelJudge.REVIEWERS and one.score is not None and other.score is not None:
            pair = dataclasses.replace(pair, champion_score=one.score, challenger_score=other.score)
        found.append(pair)
    return found


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tally:
    """How pairs went, seen from the challenger; `judged` counts all that are done, also those nobody could judge."""

    wins: int = 0
    losses: int = 0
    ties: int = 0
    judged: int = 0
    champion_score: float | None = None
    challenger_score: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class DuelResult:
    """What a duel says up to now; `win_rate` is the challenger's share of the pairs that one of them won."""

    verdict: DuelVerdict
    wins: int
    losses: int
    ties: int
    pairs: int
    win_rate: float | None
    win_rate_low: float | None
    win_rate_high: float | None
    evidence: float
    pairs_missing: int | None
    champion_score: float | None
    challenger_score: float | None
    summary: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Duel:
    """A comparison of two versions; `champion`, `challenger` and `reward_model` are the names of exact versions."""

    project_id: str
    id: str
    uid: str
    champion: str
    challenger: str
    prompts: str
    judge: DuelJudge
    options: DrawOptions
    error_rate: float
    pairs: int
    job_uid: str
    job_id: str
    creator: str
    create_time: datetime.datetime
    checker: Checker | None = None
    reward_model: str = ""
    overlap: int = 1
    guidelines: str = ""
    reviewers: tuple[str, ...] = ()
    review_uid: str | None = None
    review_id: str = ""
    result: DuelResult | None = None

    @property
    def name(self) -> str:
        """Its resource name."""
        return DUEL.format(self.project_id, self.id)

    @property
    def job(self) -> str:
        """Resource name of the job that draws the answers."""
        return JOB.format(self.project_id, self.job_id)

    @property
    def review(self) -> str:
        """Resource name of the review whose votes decide; empty without reviewers."""
        return REVIEW.format(self.project_id, self.review_id) if self.review_id else ""


@dataclasses.dataclass(frozen=True)
class PairVotes:
    """What was voted on one pair, seen from the challenger: for it, against it, for neither, and discarded."""

    wins: int = 0
    losses: int = 0
    ties: int = 0
    discards: int = 0

    @property
    def votes(self) -> int:
        """All of them."""
        return self.wins + self.losses + self.ties + self.discards


def tally_votes(votes: Mapping[PairVotes, int], *, same: int, overlap: int, closed: bool) -> Tally:
    """Return how pairs went, from how many were voted on alike: a pair is one observation, made by the majority.

    A pair counts once it has all its votes, or once no more are taken: before, its winner could still change, and the
    test must not be looked at through changes of mind. Pairs of equal answers, which nobody is shown, are ties.
    """
    ended: collections.Counter[str] = collections.Counter(ties=same, judged=same)
    for each, pairs in votes.items():
        if each.votes < overlap and not closed:
            continue
        ended["judged"] += pairs
        if each.wins != each.losses:
            ended["wins" if each.wins > each.losses else "losses"] += pairs
        elif each.votes > each.discards:
            ended["ties"] += pairs
    return Tally(**ended)


def result_of(tally: Tally, *, pairs: int, error_rate: float, drawn: bool, failed: bool, closed: bool) -> DuelResult:
    """Return what a duel says.

    `drawn` says whether all pairs are there, `failed` whether they never will be, `closed` whether votes are taken no
    more. What is decided stays so, even if the rest of the answers could not be drawn.
    """
    wins, losses = tally.wins, tally.losses
    over = closed or (drawn and tally.judged >= pairs)
    verdict = _verdict(wins, losses, error_rate=error_rate, over=over, failed=failed)
    low, high = confidence_sequence(wins, losses, error_rate=error_rate)
    known = wins + losses > 0
    missing = pairs_missing(wins, losses, error_rate=error_rate) if verdict is DuelVerdict.UNDECIDED else None
    result = DuelResult(
        verdict=verdict,
        wins=wins,
        losses=losses,
        ties=tally.ties,
        pairs=pairs,
        win_rate=wins / (wins + losses) if known else None,
        win_rate_low=low if known else None,
        win_rate_high=high if known else None,
        evidence=evidence(wins, losses),
        pairs_missing=missing,
        champion_score=tally.champion_score,
        challenger_score=tally.challenger_score,
        summary="",
    )
    return dataclasses.replace(result, summary=_summary(result, error_rate=error_rate))


def _verdict(wins: int, losses: int, *, error_rate: float, over: bool, failed: bool) -> DuelVerdict:
    if is_decided(wins, losses, error_rate=error_rate):
        return DuelVerdict.BETTER if wins > losses else DuelVerdict.WORSE
    if failed:
        return DuelVerdict.FAILED
    return DuelVerdict.NO_DIFFERENCE if over else DuelVerdict.UNDECIDED


_OPENINGS: Mapping[DuelVerdict, str] = {
    DuelVerdict.UNDECIDED: "Not decided yet",
    DuelVerdict.BETTER: "The challenger is better",
    DuelVerdict.WORSE: "The challenger is worse",
    DuelVerdict.NO_DIFFERENCE: "No difference was found",
    DuelVerdict.FAILED: "The answers could not be drawn",
}


def _summary(result: DuelResult, *, error_rate: float) -> str:
    """Return the verdict in words, with the numbers that it rests on."""
    opening, decided = _OPENINGS[result.verdict], result.wins + result.losses
    if not decided:
        ties = f": {counted(result.ties, 'tie')}" if result.ties else ""
        return f"{opening}{ties}."
    words = f"{opening}: it won {result.wins:,} of {counted(decided, 'decided pair')}"
    words += f" ({result.win_rate:.0%}; from {result.win_rate_low:.0%}"
    words += f" to {result.win_rate_high:.0%} with {100 * (1 - error_rate):.4g}% confidence)"
    words += f", with {counted(result.ties, 'tie')}" if result.ties else ""
    if result.verdict is DuelVerdict.UNDECIDED and result.pairs_missing:
        words += f"; about {counted(result.pairs_missing, 'more decided pair')} would decide it if this goes on"
    return f"{words}."

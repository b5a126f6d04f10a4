"""Duels: comparisons of two versions."""

import dataclasses
import datetime

from tutelage._values.drawing import Checker, DrawOptions
from tutelage._values.value import Value, WireEnum


class DuelJudge(WireEnum):
    """Who compares."""

    UNSPECIFIED = "UNSPECIFIED"
    """REVIEWERS."""
    REVIEWERS = "REVIEWERS"
    """People, by votes."""
    CHECKER = "CHECKER"
    """A checker, by scores."""
    REWARD_MODEL = "REWARD_MODEL"
    """A reward model, by scores."""


class DuelVerdict(WireEnum):
    """What a duel says."""

    UNSPECIFIED = "UNSPECIFIED"
    """Never used."""
    UNDECIDED = "UNDECIDED"
    """Not known yet."""
    BETTER = "BETTER"
    """The challenger is better."""
    WORSE = "WORSE"
    """The challenger is worse."""
    NO_DIFFERENCE = "NO_DIFFERENCE"
    """All is judged, and no difference was found."""
    FAILED = "FAILED"
    """It came to nothing: the answers could not be drawn."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DuelResult(Value):
    """What a duel says up to now; it is computed from the votes or scores each time."""

    verdict: DuelVerdict
    """The verdict."""
    wins: int
    """Pairs that the challenger won."""
    losses: int
    """Pairs that it lost."""
    ties: int
    """Pairs without a winner."""
    pairs: int
    """Pairs there will be."""
    win_rate: float | None
    """Share of the decided pairs that the challenger won."""
    win_rate_low: float | None
    """Lower end of the interval that holds the true share at all times with the confidence of the duel."""
    win_rate_high: float | None
    """Upper end."""
    evidence: float
    """How strongly the votes speak against equality: above 1 / `error_rate` the duel is decided."""
    pairs_missing: int | None
    """About how many more decided pairs it would take, if things go on like this; unset if it cannot be said."""
    champion_score: float | None
    """Mean score of the champion's answers, with a checker or a reward model."""
    challenger_score: float | None
    """Mean score of the challenger's answers."""
    summary: str
    """The verdict in words."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Duel(Value):
    """A comparison of two versions."""

    name: str
    """`projects/{project}/duels/{duel}`."""
    uid: str
    """A UUID that is never used again."""
    champion: str
    """The version to beat: a model, a version or an alias. Answers show the exact version."""
    challenger: str
    """The version that wants to be better."""
    prompts: str
    """The dataset of prompts, `projects/{project}/datasets/{dataset}`."""
    judge: DuelJudge
    """Who compares."""
    checker: Checker | None
    """The checker, with DUEL_JUDGE_CHECKER."""
    reward_model: str
    """The reward model, with DUEL_JUDGE_REWARD_MODEL: a model, a version or an alias."""
    options: DrawOptions | None
    """How answers are drawn: those of both versions to a prompt by the same seed; equal versions answer alike."""
    error_rate: float
    """Chance of calling two equal versions different, however often one looks; 0.001 to 0.2. Default 0.05."""
    overlap: int
    """Votes wanted of each pair, with reviewers. Default 1."""
    guidelines: str
    """What reviewers should know."""
    reviewers: tuple[str, ...]
    """API keys that may review; none means every key that may vote."""
    review: str
    """The review, with reviewers."""
    job: str
    """The job that draws the answers."""
    result: DuelResult | None
    """What it says up to now."""
    create_time: datetime.datetime | None
    """When it began."""
    creator: str
    """Who began it, `projects/{project}/apiKeys/{key}`."""

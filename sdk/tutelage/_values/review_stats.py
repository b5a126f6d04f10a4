"""What the votes of a review say."""

import dataclasses

from tutelage._values.reviews import ReviewProgress
from tutelage._values.value import Value


@dataclasses.dataclass(frozen=True, kw_only=True)
class Estimate(Value):
    """A measured value with the interval that holds it with 95 % confidence."""

    value: float
    """The value."""
    low: float | None
    """Lower end."""
    high: float | None
    """Upper end."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class VersionScore(Value):
    """How often a version was preferred."""

    model_version: str
    """`projects/{project}/models/{model}/versions/{version}`."""
    wins: float
    """Comparisons won; a tie is half a win."""
    comparisons: int
    """Comparisons in all."""
    win_rate: Estimate | None
    """Share of comparisons won."""
    strength: Estimate | None
    """Strength after Bradley and Terry: the chance to beat the average version, as a logarithm of odds."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReviewerStats(Value):
    """How one reviewer votes."""

    reviewer: str
    """`projects/{project}/apiKeys/{key}`."""
    votes: int
    """Votes that count."""
    gold_accuracy: float | None
    """Share of gold items answered rightly."""
    gold_votes: int
    """Gold items answered."""
    self_agreement: float | None
    """Share of repeated items answered as before."""
    first_share: float | None
    """Share of choices that fell on the first candidate shown; one half is fair."""
    longer_share: float | None
    """Share of choices that fell on the longer candidate."""
    seconds_median: float | None
    """Median time of a vote, in seconds."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReviewStats(Value):
    """What the votes of a review say."""

    progress: ReviewProgress | None
    """How far it has come."""
    krippendorff_alpha: Estimate | None
    """Krippendorff's alpha over all votes, by ranks for ratings; unset with fewer than two votes of one item."""
    cohen_kappa: float | None
    """Cohen's kappa; set with two reviewers."""
    raw_agreement: float | None
    """Share of pairs of votes on the same item that agree."""
    versions: tuple[VersionScore, ...]
    """Each version, strongest first."""
    reviewers: tuple[ReviewerStats, ...]
    """Each reviewer, most votes first."""
    first_share: Estimate | None
    """Share of choices that fell on the first candidate shown."""
    longer_share: Estimate | None
    """Share of choices that fell on the longer candidate."""
    gold_accuracy: float | None
    """Share of gold items answered rightly."""

"""What the votes of a review say: do reviewers agree, which versions win, and can the votes be trusted?

Silent repetitions say whether a reviewer agrees with themselves, and count for nothing else. Two answers agree if they
choose the same: how much better does not matter, and a rating may differ by one.
"""

import collections
import dataclasses
import hashlib
import itertools
import statistics
from collections.abc import Iterable, Iterator, Sequence

from services.domain.agreement import (
    Estimate,
    Scale,
    Unit,
    cohen_kappa,
    estimate_alpha,
    raw_agreement,
)
from services.domain.bradley_terry import scores, wilson_interval
from services.domain.judgements import Judgement, ReviewKind, Thumb, Verdict
from services.domain.reviews import ReviewProgress

_NEITHER = -1
RATING_TOLERANCE = 1  # of 9: people seldom hit the same number twice


@dataclasses.dataclass(frozen=True, kw_only=True)
class JudgedItem:
    """An item as far as numbers need it: who wrote its candidates, their lengths in characters, its right answer."""

    number: int
    versions: tuple[str, ...]
    lengths: tuple[int, ...]
    gold: Judgement | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class CountedVote:
    """A vote that counts. `judgement` counts candidates in the order of the item, `shown_order` tells the shown one."""

    item: JudgedItem
    reviewer: str
    judgement: Judgement
    shown_order: tuple[int, ...]
    active_seconds: float = 0.0
    repeat: bool = False

    @property
    def choice(self) -> int | None:
        """The candidate of two that it prefers, if it prefers one."""
        return self.judgement.preferred if self.judgement.verdict is Verdict.PREFERS else None


@dataclasses.dataclass(frozen=True, kw_only=True)
class VersionScore:
    """How often a version was preferred."""

    model_version: str
    wins: float
    comparisons: int
    win_rate: Estimate
    strength: Estimate | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReviewerStats:
    """How one reviewer votes; `reviewer` is the name of a key."""

    reviewer: str
    votes: int
    gold_accuracy: float | None
    gold_votes: int
    self_agreement: float | None
    first_share: float | None
    longer_share: float | None
    seconds_median: float | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReviewStats:
    """What the votes of a review say."""

    krippendorff_alpha: Estimate | None
    cohen_kappa: float | None
    raw_agreement: float | None
    versions: tuple[VersionScore, ...]
    reviewers: tuple[ReviewerStats, ...]
    first_share: Estimate | None
    longer_share: Estimate | None
    gold_accuracy: float | None
    progress: ReviewProgress | None = None


def review_stats(votes: Sequence[CountedVote], *, kind: ReviewKind, seed_of: str) -> ReviewStats:
    """Return what votes of a review say; intervals by resampling are the same for the same `seed_of`."""
    first = [vote for vote in votes if not vote.repeat]
    scale = Scale.ORDINAL if _rated(first) else Scale.NOMINAL
    clusters = units_of(first, kind=kind)
    seed = int.from_bytes(hashlib.sha256(seed_of.encode()).digest()[:8], "big")
    return ReviewStats(
        krippendorff_alpha=estimate_alpha(clusters, scale=scale, seed=seed),
        cohen_kappa=_kappa(first, kind=kind),
        raw_agreement=raw_agreement(unit for cluster in clusters for unit in cluster),
        versions=tuple(_versions(first, kind=kind)),
        reviewers=tuple(_reviewers(votes)),
        first_share=_estimate(_first_shown(first)),
        longer_share=_estimate(_longer_chosen(first)),
        gold_accuracy=_mean(_gold(first)),
    )


def agree(one: Judgement, other: Judgement) -> bool:
    """Whether two answers to the same item choose the same."""
    if one.rating is not None and other.rating is not None:
        return abs(one.rating - other.rating) <= RATING_TOLERANCE
    return _chosen(one) == _chosen(other)


def units_of(votes: Sequence[CountedVote], *, kind: ReviewKind) -> list[list[Unit]]:
    """Return what was judged, item by item, with the values that votes gave it.

    A ranking judges every pair of its candidates; a pair or a single answer is judged as it is. Where some rate and
    others give thumbs, ratings are compared.
    """
    values: dict[int, dict[int, list[int]]] = collections.defaultdict(lambda: collections.defaultdict(list))
    rated = _rated(votes)
    for vote in votes:
        for unit, value in _values(vote.judgement, kind=kind, rated=rated):
            values[vote.item.number][unit].append(value)
    return [list(units.values()) for _, units in sorted(values.items())]


def wins_of(votes: Iterable[CountedVote], *, kind: ReviewKind) -> dict[tuple[str, str], float]:
    """Return how often a version was preferred to another; who prefers neither gives half a win to each."""
    wins: dict[tuple[str, str], float] = collections.defaultdict(float)
    for vote in votes:
        for winner, loser, share in _won(vote, kind=kind):
            one, other = vote.item.versions[winner], vote.item.versions[loser]
            if one != other and one and other:
                wins[one, other] += share
                wins[other, one] += 1 - share
    return dict(wins)


def _rated(votes: Iterable[CountedVote]) -> bool:
    return any(vote.judgement.rating is not None for vote in votes)


def _chosen(judgement: Judgement) -> tuple[object, ...]:
    return judgement.verdict, judgement.preferred, judgement.thumb, judgement.rating, judgement.ranking


def _values(judgement: Judgement, *, kind: ReviewKind, rated: bool) -> Iterator[tuple[int, int]]:
    """Yield each thing that a judgement values, by a number of its own within the item, and the value."""
    if kind is ReviewKind.PAIR and judgement.verdict is not None:
        preferred = judgement.preferred if judgement.verdict is Verdict.PREFERS else None
        yield 0, _NEITHER if preferred is None else preferred
    elif kind is ReviewKind.SINGLE and rated and judgement.rating is not None:
        yield 0, judgement.rating
    elif kind is ReviewKind.SINGLE and not rated and judgement.thumb is not None:
        yield 0, int(judgement.thumb is Thumb.UP)
    elif kind is ReviewKind.RANKING:
        places = {candidate: place for place, candidate in enumerate(judgement.ranking)}
        for unit, (one, other) in enumerate(itertools.combinations(sorted(places), 2)):
            yield unit, int(places[one] < places[other])


def _won(vote: CountedVote, *, kind: ReviewKind) -> Iterator[tuple[int, int, float]]:
    """Yield winner and loser among the candidates, and the share of the win."""
    if kind is ReviewKind.PAIR and vote.judgement.verdict is not None:
        winner = vote.choice
        yield (0, 1, 0.5) if winner is None else (winner, 1 - winner, 1.0)
    elif kind is ReviewKind.RANKING:
        for better, worse in itertools.combinations(vote.judgement.ranking, 2):
            yield better, worse, 1.0


def _versions(votes: Iterable[CountedVote], *, kind: ReviewKind) -> Iterator[VersionScore]:
    for score in scores(wins_of(votes, kind=kind)):
        yield VersionScore(
            model_version=score.name,
            wins=score.wins,
            comparisons=score.comparisons,
            win_rate=score.win_rate,
            strength=score.strength,
        )


def _kappa(votes: Sequence[CountedVote], *, kind: ReviewKind) -> float | None:
    """Return Cohen's kappa where exactly two reviewers have voted."""
    said: dict[str, dict[tuple[int, int], int]] = collections.defaultdict(dict)
    rated = _rated(votes)
    for vote in votes:
        for unit, value in _values(vote.judgement, kind=kind, rated=rated):
            said[vote.reviewer][vote.item.number, unit] = value
    if len(said) != 2:
        return None
    one, other = said.values()
    return cohen_kappa([(one[what], other[what]) for what in one.keys() & other.keys()])


def _reviewers(votes: Iterable[CountedVote]) -> list[ReviewerStats]:
    by_reviewer: dict[str, list[CountedVote]] = collections.defaultdict(list)
    for vote in votes:
        by_reviewer[vote.reviewer].append(vote)
    found = [_of_reviewer(reviewer, own) for reviewer, own in by_reviewer.items()]
    return sorted(found, key=lambda each: (-each.votes, each.reviewer))


def _of_reviewer(reviewer: str, votes: Sequence[CountedVote]) -> ReviewerStats:
    first = [vote for vote in votes if not vote.repeat]
    gold, seconds = _gold(first), [vote.active_seconds for vote in first if vote.active_seconds > 0]
    return ReviewerStats(
        reviewer=reviewer,
        votes=len(first),
        gold_accuracy=_mean(gold),
        gold_votes=len(gold),
        self_agreement=_mean(_repeated(votes)),
        first_share=_mean(_first_shown(first)),
        longer_share=_mean(_longer_chosen(first)),
        seconds_median=statistics.median(seconds) if seconds else None,
    )


def _gold(votes: Iterable[CountedVote]) -> list[bool]:
    """Return for each vote on a gold item whether it is right."""
    return [agree(vote.item.gold, vote.judgement) for vote in votes if vote.item.gold is not None]


def _repeated(votes: Sequence[CountedVote]) -> list[bool]:
    """Return for each repetition of one reviewer whether the answer is the one given before."""
    before = {vote.item.number: vote.judgement for vote in votes if not vote.repeat}
    again = (vote for vote in votes if vote.repeat and vote.item.number in before)
    return [agree(before[vote.item.number], vote.judgement) for vote in again]


def _first_shown(votes: Iterable[CountedVote]) -> list[bool]:
    """Return for each choice between two whether it fell on the one that was shown first."""
    return [choice == vote.shown_order[0] for vote in votes if (choice := vote.choice) is not None]


def _longer_chosen(votes: Iterable[CountedVote]) -> list[bool]:
    """Return for each choice between two of different lengths whether it fell on the longer one."""
    chosen = ((choice, vote.item.lengths) for vote in votes if (choice := vote.choice) is not None)
    return [lengths[choice] == max(lengths) for choice, lengths in chosen if min(lengths) < max(lengths)]


def _mean(answers: Sequence[bool]) -> float | None:
    return sum(answers) / len(answers) if answers else None


def _estimate(answers: Sequence[bool]) -> Estimate | None:
    return wilson_interval(sum(answers), len(answers)) if answers else None

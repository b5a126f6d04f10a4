"""What a vote says of texts, question by question: is this one good, and which of these two is better?

Votes are about texts and not about places: whatever the order in which answers were shown, and whichever item they
belonged to, the same two texts make the same question. A correction says three things at once: the better text is
preferred to the answer that it was made of, that answer is bad, and the better text is good.
"""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence

from services.domain.conflicts import Answer
from services.domain.judgements import Judgement, Thumb, Verdict
from services.domain.limits import BAD_RATING_DEFAULT, GOOD_RATING_DEFAULT
from services.domain.reviews import Vote


@dataclasses.dataclass(frozen=True)
class Opinion:
    """What one vote says to one question; the question is its texts, one or two in the order of the alphabet."""

    texts: tuple[str, ...]
    answer: Answer


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scale:
    """From which rating on an answer is good, and up to which it is bad."""

    good_rating: int = GOOD_RATING_DEFAULT
    bad_rating: int = BAD_RATING_DEFAULT

    def grade(self, rating: int) -> Answer:
        """Return what a rating says."""
        if rating >= self.good_rating:
            return Answer.GOOD
        return Answer.BAD if rating <= self.bad_rating else Answer.BETWEEN


def voter_of(vote: Vote) -> str:
    """Return who has one say to each question: a reviewer, or a user of an application. Unnamed users are several."""
    if vote.item.review_uid or vote.end_user:
        return f"{vote.reviewer} {vote.end_user}"
    return vote.uid


def opinions_of(judgement: Judgement, candidates: Sequence[str], *, scale: Scale) -> tuple[Opinion, ...]:
    """Return everything that a judgement says, each question once; `candidates` are texts in its order.

    An explicit word on an answer counts more than what follows from a correction of it.
    """
    said: dict[tuple[str, ...], Answer] = {}
    for opinion in itertools.chain(
        _of_grade(judgement, candidates, scale),
        _of_verdict(judgement, candidates),
        _of_ranking(judgement, candidates),
        _of_correction(judgement, candidates),
    ):
        said.setdefault(opinion.texts, opinion.answer)
    return tuple(Opinion(texts, answer) for texts, answer in said.items())


def kind_of(judgement: Judgement) -> str:
    """Return what a judgement is in a word, to be counted; it may say more than that."""
    if judgement.verdict is not None:
        return {Verdict.PREFERS: "preference", Verdict.EQUAL: "tie", Verdict.BOTH_BAD: "both bad"}[judgement.verdict]
    if judgement.ranking:
        return "ranking"
    if judgement.thumb is not None:
        return "thumb"
    return "rating" if judgement.rating is not None else "correction"


def prefers(better: str, worse: str) -> Opinion:
    """Return the opinion that one text is better than another."""
    if better < worse:
        return Opinion((better, worse), Answer.FIRST)
    return Opinion((worse, better), Answer.SECOND)


def _of_grade(judgement: Judgement, candidates: Sequence[str], scale: Scale) -> Iterator[Opinion]:
    if judgement.thumb is not None:
        yield Opinion((candidates[0],), Answer.GOOD if judgement.thumb is Thumb.UP else Answer.BAD)
    if judgement.rating is not None:
        yield Opinion((candidates[0],), scale.grade(judgement.rating))


def _of_verdict(judgement: Judgement, candidates: Sequence[str]) -> Iterator[Opinion]:
    if judgement.verdict is None or candidates[0] == candidates[1]:
        return
    first, second = sorted(candidates[:2])
    match judgement.verdict:
        case Verdict.PREFERS:
            better = judgement.preferred or 0
            yield prefers(candidates[better], candidates[1 - better])
        case Verdict.EQUAL:
            yield Opinion((first, second), Answer.EQUAL)
        case Verdict.BOTH_BAD:
            yield Opinion((first, second), Answer.BOTH_BAD)
            yield Opinion((first,), Answer.BAD)
            yield Opinion((second,), Answer.BAD)


def _of_ranking(judgement: Judgement, candidates: Sequence[str]) -> Iterator[Opinion]:
    for better, worse in itertools.combinations(judgement.ranking, 2):
        if candidates[better] != candidates[worse]:
            yield prefers(candidates[better], candidates[worse])


def _of_correction(judgement: Judgement, candidates: Sequence[str]) -> Iterator[Opinion]:
    correction = judgement.correction
    if correction is None or correction.text == candidates[correction.candidate]:
        return
    original = candidates[correction.candidate]
    yield prefers(correction.text, original)
    yield Opinion((original,), Answer.BAD)
    yield Opinion((correction.text,), Answer.GOOD)

"""Which items a review has, and in which order a reviewer sees their candidates.

Texts that are the same word for word make no item: nobody could say which is better. The numbers of items follow from
the prompt and from the places of the answers, so that what is told twice makes the same items.
"""

import dataclasses
import hashlib
import itertools
import uuid
from collections.abc import Iterator, Sequence

from services.domain.answers import AnswersDrawn, Candidate
from services.domain.judgements import ReviewKind, in_shown_order
from services.domain.reviews import Review, ReviewItem, Vote


def items_of(review: Review, drawn: AnswersDrawn) -> Iterator[ReviewItem]:
    """Yield the items that the answers to one prompt make; those of the first prompt are numbered from 1."""
    groups = groups_of(review.kind, models=len(review.draw.models), samples=review.draw.samples)
    first = (drawn.prompt_number - 1) * len(groups) + 1
    for number, places in enumerate(groups, start=first):
        candidates = _distinct([drawn.answers[place] for place in places])
        if len(candidates) >= candidates_min(review.kind):
            yield ReviewItem(
                uid=str(uuid.uuid5(uuid.UUID(review.uid), str(number))),
                project_id=review.project_id,
                prompt=drawn.prompt,
                candidates=candidates,
                review_uid=review.uid,
                review_id=review.id,
                number=number,
            )


def groups_of(kind: ReviewKind, *, models: int, samples: int) -> tuple[tuple[int, ...], ...]:
    """Return which answers to a prompt are judged together, as their places among all answers to it.

    Pairs of one model are its samples two by two; of several, each sample of one with the same sample of each other.
    """
    if kind is ReviewKind.SINGLE:
        return tuple((place,) for place in range(models * samples))
    if kind is ReviewKind.RANKING:
        return (tuple(range(models * samples)),)
    if models == 1:
        return tuple((place, place + 1) for place in range(0, samples - 1, 2))
    return tuple(
        (one * samples + sample, other * samples + sample)
        for one, other in itertools.combinations(range(models), 2)
        for sample in range(samples)
    )


def candidates_min(kind: ReviewKind) -> int:
    """Return how many different candidates are needed to ask anything."""
    return {ReviewKind.SINGLE: 1, ReviewKind.PAIR: 2, ReviewKind.RANKING: 3}[kind]


def shown_order(count: int, *, seed: int) -> tuple[int, ...]:
    """Return the order in which candidates are shown: each order is as likely as any other, and the seed decides."""
    return tuple(sorted(range(count), key=lambda number: hashlib.sha256(f"{seed} {number}".encode()).digest()))


def swapped(order: Sequence[int]) -> tuple[int, ...]:
    """Return the order in which an item is shown to the same reviewer a second time."""
    return tuple(reversed(order))


def blind(vote: Vote) -> Vote:
    """Return a vote as its reviewer may see it: the order in which candidates were shown, and nothing of models.

    The item is not named, or two votes on the same one would tell that it was a repetition.
    """
    shown = tuple(Candidate(text=vote.candidates[number].text) for number in vote.shown_order)
    item = dataclasses.replace(vote.item, candidates=shown, review_id="", gold=None)
    judgement = in_shown_order(vote.judgement, vote.shown_order)
    return dataclasses.replace(vote, item=item, judgement=judgement, shown_order=(), repeat=False)


def _distinct(candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Return the first candidate of each text."""
    return tuple({candidate.text: candidate for candidate in reversed(candidates)}.values())[::-1]

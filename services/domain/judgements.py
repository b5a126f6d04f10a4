"""Judgements: what somebody thinks of candidates, and whether it is one that a review takes.

Candidates are counted from 0 in the order in which they were shown. The ledger keeps judgements in the order of the
item: `in_item_order` turns them, and `in_shown_order` turns them back.
"""

import dataclasses
import enum
import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from services.domain.errors import FieldViolation, InvalidField
from services.domain.limits import (
    ANSWER_CHARACTERS_MAX,
    RATING_MAX,
    RATIONALE_CHARACTERS_MAX,
    RUBRIC_QUESTIONS_MAX,
    STRENGTH_MAX,
)

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


class ReviewKind(enum.Enum):
    """What reviewers are asked."""

    PAIR = "PAIR"
    SINGLE = "SINGLE"
    RANKING = "RANKING"


class Verdict(enum.Enum):
    """Which of two is better."""

    PREFERS = "PREFERS"
    EQUAL = "EQUAL"
    BOTH_BAD = "BOTH_BAD"


class Thumb(enum.Enum):
    """Good or bad."""

    UP = "UP"
    DOWN = "DOWN"


class DiscardReason(enum.Enum):
    """Why an item could not be judged."""

    BAD_PROMPT = "BAD_PROMPT"
    UNSAFE = "UNSAFE"
    NOT_MY_EXPERTISE = "NOT_MY_EXPERTISE"
    LANGUAGE = "LANGUAGE"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Correction:
    """A better answer, made of one of the candidates."""

    text: str
    candidate: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Judgement:
    """What somebody thinks; what is None or empty was not said."""

    verdict: Verdict | None = None
    preferred: int | None = None
    strength: int | None = None
    thumb: Thumb | None = None
    rating: int | None = None
    ranking: tuple[int, ...] = ()
    correction: Correction | None = None
    rubric: Mapping[str, int] = dataclasses.field(default_factory=dict)
    rationale: str = ""
    discard: DiscardReason | None = None

    @property
    def says_nothing(self) -> bool:
        """Whether nothing was said at all."""
        return self == Judgement()


def in_item_order(judgement: Judgement, shown_order: Sequence[int]) -> Judgement:
    """Return a judgement of candidates as they were shown with their numbers in the item."""
    return _renumbered(judgement, dict(enumerate(shown_order)))


def in_shown_order(judgement: Judgement, shown_order: Sequence[int]) -> Judgement:
    """Return a judgement of the candidates of an item with the numbers under which they were shown."""
    return _renumbered(judgement, {number: place for place, number in enumerate(shown_order)})


def kind_of_candidates(count: int) -> ReviewKind:
    """Return what can be asked of so many candidates."""
    if count == 1:
        return ReviewKind.SINGLE
    return ReviewKind.PAIR if count == 2 else ReviewKind.RANKING


def check_judgement(
    judgement: Judgement,
    *,
    kind: ReviewKind,
    candidates: Sequence[str],
    rubric: Collection[str] = (),
    complete: bool = True,
    field: str = "judgement",
) -> None:
    """Refuse a judgement that cannot be taken of these candidates, whose texts are in the order of the judgement.

    A draft is not `complete`: what is there must be well, and anything may be missing.
    Raises: InvalidField with every wrong field.
    """
    found = judgement_violations(judgement, kind=kind, candidates=candidates, rubric=rubric, complete=complete)
    if found:
        raise InvalidField.of_all(FieldViolation(f"{field}.{each.field}", each.description) for each in found)


def judgement_violations(
    judgement: Judgement,
    *,
    kind: ReviewKind,
    candidates: Sequence[str],
    rubric: Collection[str] = (),
    complete: bool = True,
) -> list[FieldViolation]:
    """Return what is wrong with a judgement; fields are named as in `Judgement`."""
    found = list(text_violations("rationale", judgement.rationale, most=RATIONALE_CHARACTERS_MAX))
    if judgement.discard is not None:
        return [*found, *_beside_discard(judgement)]
    found += _of_kind(judgement, kind, len(candidates))
    found += _of_correction(judgement.correction, candidates, complete=complete)
    found += _of_rubric(judgement.rubric, rubric)
    return found + _missing(judgement, kind, len(candidates)) if complete else found


def text_violations(field: str, text: str, *, most: int, least: int = 0) -> Iterator[FieldViolation]:
    """Yield what is wrong with a text that a person wrote."""
    if not least <= len(text) <= most:
        wanted = f"at most {most:,}" if not least else f"{least} to {most:,}"
        yield FieldViolation(field, f"must be {wanted} characters, got {len(text):,}")
    control = _CONTROL.search(text)
    if control:
        name = f"U+{ord(control[0]):04X}"
        words = f"holds the control character {name} at character {control.start() + 1:,}, which text does not"
        yield FieldViolation(field, words)


def _renumbered(judgement: Judgement, numbers: Mapping[int, int]) -> Judgement:
    correction = judgement.correction
    return dataclasses.replace(
        judgement,
        preferred=None if judgement.preferred is None else numbers[judgement.preferred],
        ranking=tuple(numbers[place] for place in judgement.ranking),
        correction=correction and dataclasses.replace(correction, candidate=numbers[correction.candidate]),
    )


def _beside_discard(judgement: Judgement) -> list[FieldViolation]:
    if judgement == Judgement(discard=judgement.discard, rationale=judgement.rationale):
        return []
    return [FieldViolation("discard", "stands alone: leave out everything else but `rationale`, or judge the item")]


def _of_kind(judgement: Judgement, kind: ReviewKind, count: int) -> list[FieldViolation]:
    """Return what is wrong with the answer to the main question."""
    asked = {
        ReviewKind.PAIR: ("verdict", "preferred", "strength"),
        ReviewKind.SINGLE: ("thumb", "rating"),
        ReviewKind.RANKING: ("ranking",),
    }
    found = []
    for other, fields in asked.items():
        if other is not kind:
            said = [name for name in fields if getattr(judgement, name) not in (None, ())]
            words = f"is not asked of {_candidates(count)}: give {_asked_of(kind)}"
            found += [FieldViolation(name, words) for name in said]
    if kind is ReviewKind.PAIR:
        return found + list(_of_verdict(judgement))
    if kind is ReviewKind.SINGLE:
        return found + list(_in_range("rating", judgement.rating, most=RATING_MAX))
    return found + list(_of_ranking(judgement.ranking, count))


def _of_verdict(judgement: Judgement) -> Iterator[FieldViolation]:
    if judgement.preferred is not None and judgement.preferred not in (0, 1):
        yield FieldViolation("preferred", f"must be 0 or 1, got {judgement.preferred}")
    yield from _in_range("strength", judgement.strength, most=STRENGTH_MAX)
    if judgement.verdict is not Verdict.PREFERS:
        for name in ("preferred", "strength"):
            if getattr(judgement, name) is not None:
                yield FieldViolation(name, "goes with the verdict PREFERS only")


def _of_ranking(ranking: Sequence[int], count: int) -> Iterator[FieldViolation]:
    for place, number in enumerate(ranking[: count + 1]):
        if not 0 <= number < count:
            yield FieldViolation(f"ranking[{place}]", f"must be 0 to {count - 1}, got {number}")
        elif number in ranking[:place]:
            yield FieldViolation(f"ranking[{place}]", f"names candidate {number} again")
    if len(ranking) > count:
        yield FieldViolation("ranking", f"must name each of {count} candidates once, got {len(ranking):,} numbers")


def _of_correction(
    correction: Correction | None, candidates: Sequence[str], *, complete: bool
) -> Iterator[FieldViolation]:
    if correction is None:
        return
    yield from text_violations(
        "correction.text", correction.text, least=1 if complete else 0, most=ANSWER_CHARACTERS_MAX
    )
    if not 0 <= correction.candidate < len(candidates):
        yield FieldViolation("correction.candidate", f"must be 0 to {len(candidates) - 1}, got {correction.candidate}")
    elif complete and correction.text == candidates[correction.candidate]:
        words = (
            "is the candidate itself: change something, or leave `correction` out and say that the candidate is good"
        )
        yield FieldViolation("correction.text", words)


def _of_rubric(answers: Mapping[str, int], keys: Collection[str]) -> Iterator[FieldViolation]:
    for key, answer in sorted(answers.items())[: RUBRIC_QUESTIONS_MAX + 1]:
        path = f"rubric[{ascii(key[:80])}]"
        if key not in keys:
            asked = ", ".join(sorted(keys)) or "nothing"
            yield FieldViolation(path, f"is not asked: there is {asked}")
        yield from _in_range(path, answer, most=RATING_MAX)


def _missing(judgement: Judgement, kind: ReviewKind, count: int) -> list[FieldViolation]:
    """Return what a finished judgement lacks."""
    if kind is ReviewKind.PAIR:
        if judgement.verdict is None:
            return [FieldViolation("verdict", f"is missing: give {_asked_of(kind)}")]
        if judgement.verdict is Verdict.PREFERS and judgement.preferred is None:
            return [FieldViolation("preferred", "is missing: 0 for the first candidate, 1 for the second")]
    elif kind is ReviewKind.SINGLE:
        if judgement.thumb is None and judgement.rating is None and judgement.correction is None:
            return [FieldViolation("rating", f"is missing: give {_asked_of(kind)}")]
    elif len(judgement.ranking) < count:
        words = f"must name each of {count} candidates once, best first, got {len(judgement.ranking)}"
        return [FieldViolation("ranking", words)]
    return []


def _in_range(field: str, value: int | None, *, most: int) -> Iterator[FieldViolation]:
    if value is not None and not 1 <= value <= most:
        yield FieldViolation(field, f"must be 1 to {most}, got {value}")


def _candidates(count: int) -> str:
    return "one candidate" if count == 1 else f"{count} candidates"


def _asked_of(kind: ReviewKind) -> str:
    return {
        ReviewKind.PAIR: "`verdict`, with `preferred` if one is better",
        ReviewKind.SINGLE: "`thumb`, `rating` or `correction`",
        ReviewKind.RANKING: "`ranking`, best first",
    }[kind] + ", or `discard`"

"""From what a caller asks for to a review: every default filled in, every wrong field named."""

import dataclasses
from collections.abc import Iterator

from services.domain import names
from services.domain.drawing import DrawDraft
from services.domain.errors import FieldViolation, InvalidField
from services.domain.judgements import ReviewKind, text_violations
from services.domain.limits import (
    CANDIDATES_MAX,
    GUIDELINES_CHARACTERS_MAX,
    OVERLAP_MAX,
    REPEAT_SHARE_MAX,
    REVIEWERS_MAX,
    RUBRIC_DESCRIPTION_CHARACTERS_MAX,
    RUBRIC_QUESTIONS_MAX,
    SEAT_SECONDS_DEFAULT,
    SEAT_SECONDS_MAX,
    SEAT_SECONDS_MIN,
)
from services.domain.ranges import outside
from services.domain.review_items import candidates_min
from services.domain.reviews import RubricQuestion
from services.domain.work import DrawSpec


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReviewDraft:
    """A review as a caller asks for it; what is None, 0 or empty is left to the service."""

    draw: DrawDraft = DrawDraft()
    kind: ReviewKind | None = None
    overlap: int = 0
    guidelines: str = ""
    rubric: tuple[RubricQuestion, ...] = ()
    reviewers: tuple[str, ...] = ()
    repeat_share: float = 0.0
    seat_seconds: int = 0


def fill_review(draft: ReviewDraft, *, path: str = "review") -> ReviewDraft:
    """Return the draft with its defaults, but for the kind, which follows from what is drawn.

    Raises: InvalidField with every wrong field below `path`.
    """
    filled = dataclasses.replace(
        draft, overlap=draft.overlap or 1, seat_seconds=draft.seat_seconds or SEAT_SECONDS_DEFAULT
    )
    found = list(_violations(filled, path))
    if found:
        raise InvalidField.of_all(found)
    return filled


def kind_of_review(asked: ReviewKind | None, spec: DrawSpec, *, path: str = "review") -> ReviewKind:
    """Return what reviewers are asked of what is drawn. Raises: InvalidField for a kind that the draw does not bear."""
    models, samples = len(spec.models), spec.samples
    count = models * samples
    kind = asked or (ReviewKind.PAIR if count >= candidates_min(ReviewKind.PAIR) else ReviewKind.SINGLE)
    if count < candidates_min(kind):
        words = f"needs {candidates_min(kind)} answers to a prompt, and {count} drawn: raise draw.samples"
        raise InvalidField.of(f"{path}.kind", words)
    if kind is ReviewKind.PAIR and models == 1 and samples % 2:
        raise InvalidField.of(f"{path}.draw.samples", f"must be even, for pairs are made of them; got {samples}")
    if kind is ReviewKind.RANKING and count > CANDIDATES_MAX:
        raise InvalidField.of(f"{path}.kind", f"puts at most {CANDIDATES_MAX} answers in order, and {count} are drawn")
    return kind


def _violations(draft: ReviewDraft, path: str) -> Iterator[FieldViolation]:
    ranges: dict[str, tuple[float, float]] = {
        "overlap": (1, OVERLAP_MAX),
        "repeat_share": (0, REPEAT_SHARE_MAX),
        "seat_seconds": (SEAT_SECONDS_MIN, SEAT_SECONDS_MAX),
    }
    yield from outside(draft, path, ranges)
    yield from text_violations(f"{path}.guidelines", draft.guidelines, most=GUIDELINES_CHARACTERS_MAX)
    if len(draft.reviewers) > REVIEWERS_MAX:
        yield FieldViolation(f"{path}.reviewers", f"must be at most {REVIEWERS_MAX:,}, got {len(draft.reviewers):,}")
    if draft.reviewers and len(set(draft.reviewers)) < draft.overlap:
        words = f"must be at least {draft.overlap}, for so many votes of each item are wanted from different people"
        yield FieldViolation(f"{path}.reviewers", words)
    yield from _of_rubric(draft.rubric, f"{path}.rubric")


def _of_rubric(rubric: tuple[RubricQuestion, ...], path: str) -> Iterator[FieldViolation]:
    if len(rubric) > RUBRIC_QUESTIONS_MAX:
        yield FieldViolation(path, f"must be at most {RUBRIC_QUESTIONS_MAX} questions, got {len(rubric):,}")
    keys = [question.key for question in rubric]
    for place, question in enumerate(rubric[:RUBRIC_QUESTIONS_MAX]):
        if not names.is_chosen_id(question.key):
            words = f"{names.CHOSEN_ID_RULE}, got {ascii(question.key[:80])}"
            yield FieldViolation(f"{path}[{place}].key", words)
        elif question.key in keys[:place]:
            yield FieldViolation(f"{path}[{place}].key", f"{question.key!r} is asked twice")
        yield from text_violations(
            f"{path}[{place}].description", question.description, most=RUBRIC_DESCRIPTION_CHARACTERS_MAX
        )

"""From what a caller asks for to a duel: every default filled in, every wrong field named."""

import dataclasses
from collections.abc import Iterator

from services.domain.drawing import Checker, DrawDraft, DrawOptionsDraft
from services.domain.duels import DuelJudge
from services.domain.errors import FieldViolation, InvalidField
from services.domain.judgements import ReviewKind
from services.domain.limits import ERROR_RATE_DEFAULT, ERROR_RATE_MAX, ERROR_RATE_MIN
from services.domain.review_resolution import ReviewDraft


@dataclasses.dataclass(frozen=True, kw_only=True)
class DuelDraft:
    """A duel as a caller asks for it; what is None, 0 or empty is left to the service."""

    champion: str = ""
    challenger: str = ""
    prompts: str = ""
    judge: DuelJudge | None = None
    checker: Checker | None = None
    reward_model: str = ""
    options: DrawOptionsDraft = DrawOptionsDraft()
    error_rate: float = 0.0
    overlap: int = 0
    guidelines: str = ""
    reviewers: tuple[str, ...] = ()

    @property
    def judged_by(self) -> DuelJudge:
        """Who compares."""
        return self.judge or DuelJudge.REVIEWERS

    @property
    def draw(self) -> DrawDraft:
        """What is drawn: one answer of each version to each prompt."""
        return DrawDraft(
            models=(self.champion, self.challenger),
            prompts=self.prompts,
            samples=1,
            options=self.options,
            checker=self.checker,
            reward_model=self.reward_model,
        )

    @property
    def review(self) -> ReviewDraft:
        """The review whose votes decide."""
        return ReviewDraft(
            kind=ReviewKind.PAIR, overlap=self.overlap, guidelines=self.guidelines, reviewers=self.reviewers
        )


def fill_duel(draft: DuelDraft) -> DuelDraft:
    """Return the draft with its defaults. Raises: InvalidField with every wrong field."""
    wrong = list(_violations(draft))
    if wrong:
        raise InvalidField.of_all(wrong)
    return dataclasses.replace(draft, judge=draft.judged_by, error_rate=draft.error_rate or ERROR_RATE_DEFAULT)


def check_versions(draft: DuelDraft) -> None:
    """Refuse a duel of a version with itself, once the exact versions are known. Raises: InvalidField."""
    if draft.champion == draft.challenger:
        raise InvalidField.of("duel.challenger", f"is the champion itself, {draft.champion}: name two versions")


def _violations(draft: DuelDraft) -> Iterator[FieldViolation]:
    for field in ("champion", "challenger", "prompts"):
        if not getattr(draft, field):
            yield FieldViolation(f"duel.{field}", "is required")
    if draft.error_rate and not ERROR_RATE_MIN <= draft.error_rate <= ERROR_RATE_MAX:
        words = f"must be {ERROR_RATE_MIN} to {ERROR_RATE_MAX}, got {draft.error_rate}"
        yield FieldViolation("duel.error_rate", words)
    judge = draft.judged_by
    yield from _of_judge("checker", draft.checker is not None, judge is DuelJudge.CHECKER)
    yield from _of_judge("reward_model", bool(draft.reward_model), judge is DuelJudge.REWARD_MODEL)
    if judge is not DuelJudge.REVIEWERS:
        for field in ("overlap", "guidelines", "reviewers"):
            if getattr(draft, field):
                yield FieldViolation(f"duel.{field}", "is for reviewers, and here nobody is asked: leave it out")


def _of_judge(field: str, given: bool, wanted: bool) -> Iterator[FieldViolation]:
    word = f"DUEL_JUDGE_{field.upper()}"
    if wanted and not given:
        yield FieldViolation(f"duel.{field}", f"is required with {word}")
    if given and not wanted:
        yield FieldViolation(f"duel.{field}", f"would do nothing: set duel.judge to {word}, or leave it out")

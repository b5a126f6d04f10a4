"""Makes a feedback set of the votes that count now."""

import dataclasses
from collections.abc import Iterator, Sequence

from services.domain import names
from services.domain.conflicts import ConflictPolicy
from services.domain.errors import FieldViolation, InvalidField, NotFound
from services.domain.feedback_sets import FeedbackSet, FreezeSettings, Scope, settings_violations
from services.domain.limits import (
    BAD_RATING_DEFAULT,
    FROZEN_SOURCES_MAX,
    GOOD_RATING_DEFAULT,
    VALIDATION_SHARE_DEFAULT,
)
from services.domain.projects import Caller
from services.domain.requests import RequestKey
from services.domain.signals import Scale
from services.feedback.freezing import SetDraft, earlier_set, freeze
from services.ports import House, UnitOfWork

_WORD = "feedback"


@dataclasses.dataclass(frozen=True, kw_only=True)
class FreezeDraft:
    """A feedback set as a caller asks for it; what is None or empty is left to the service."""

    parent: str
    feedback_set_id: str = ""
    reviews: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    policy: ConflictPolicy | None = None
    validation_share: float | None = None
    good_rating: int | None = None
    bad_rating: int | None = None

    @property
    def settings(self) -> FreezeSettings:
        """How votes become rows, every default filled in."""
        return FreezeSettings(
            policy=self.policy or ConflictPolicy.MAJORITY,
            validation_share=VALIDATION_SHARE_DEFAULT if self.validation_share is None else self.validation_share,
            scale=Scale(
                good_rating=GOOD_RATING_DEFAULT if self.good_rating is None else self.good_rating,
                bad_rating=BAD_RATING_DEFAULT if self.bad_rating is None else self.bad_rating,
            ),
        )


def freeze_feedback(house: House, *, caller: Caller, draft: FreezeDraft, request: RequestKey) -> FeedbackSet:
    """Return the new set; the same one when the request is repeated.

    Raises: InvalidField with every wrong field, NotFound for a review, WrongState if no vote can be learnt from,
    AlreadyExists for the id, LimitReached, NoSpace, RequestIdReused.
    """
    names.ids_in_own_project(draft.parent, pattern=names.PROJECT, own_project=caller.project_id, field="parent")
    wrong = [*_violations(draft), *settings_violations(draft.settings)]
    if wrong:
        raise InvalidField.of_all(wrong)
    with house.storage.read() as uow:
        earlier = earlier_set(uow, caller=caller, request=request)
        if earlier is not None:
            return earlier
        reviews = _review_ids(uow, caller=caller, reviews=draft.reviews)
    sources = tuple(sorted(set(draft.sources)))
    asked = SetDraft(
        id=draft.feedback_set_id or f"{_WORD}-{house.chance.uid().replace('-', '')[:12]}",
        scope=Scope(reviews=reviews, sources=sources),
        settings=draft.settings,
        reviews=tuple(names.REVIEW.format(caller.project_id, review_id) for review_id in reviews),
        sources=sources,
    )
    return freeze(house, caller=caller, draft=asked, request=request)


def _violations(draft: FreezeDraft) -> Iterator[FieldViolation]:
    if draft.feedback_set_id and not names.is_chosen_id(draft.feedback_set_id):
        yield FieldViolation("feedback_set_id", f"{names.CHOSEN_ID_RULE}, got {ascii(draft.feedback_set_id[:80])}")
    if not draft.reviews and not draft.sources:
        yield FieldViolation("reviews", "name at least one review, or an application in `sources`")
    for field in ("reviews", "sources"):
        count = len(getattr(draft, field))
        if count > FROZEN_SOURCES_MAX:
            yield FieldViolation(field, f"must be at most {FROZEN_SOURCES_MAX}, got {count:,}")
    for place, source in enumerate(draft.sources[:FROZEN_SOURCES_MAX]):
        if not names.is_chosen_id(source):
            yield FieldViolation(f"sources[{place}]", f"{names.CHOSEN_ID_RULE}, got {ascii(source[:80])}")


def _review_ids(uow: UnitOfWork, *, caller: Caller, reviews: Sequence[str]) -> tuple[str, ...]:
    found = set()
    for place, name in enumerate(reviews):
        pattern, field = names.REVIEW, f"reviews[{place}]"
        (review_id,) = names.ids_in_own_project(name, pattern=pattern, own_project=caller.project_id, field=field)
        if uow.reviews.find(caller.project_id, review_id) is None:
            hint = names.did_you_mean(review_id, uow.reviews.ids(caller.project_id))
            raise NotFound.of(name, hint=hint, field=field)
        found.add(review_id)
    return tuple(sorted(found))

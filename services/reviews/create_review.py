"""Making a review, and the job that draws its candidates: both, or neither."""

import dataclasses
from collections.abc import Sequence

from services.domain import names
from services.domain.errors import FieldViolation, InvalidField
from services.domain.jobs import Job
from services.domain.projects import Caller
from services.domain.requests import NO_REQUEST_KEY, RequestKey
from services.domain.review_resolution import ReviewDraft, fill_review, kind_of_review
from services.domain.reviews import Review
from services.domain.work import DrawSpec
from services.jobs.accepting import enter, named
from services.jobs.drawing import prepare_drawing
from services.ports import House, UnitOfWork
from services.reviews.get_review import with_progress
from services.reviews.own_review import find_own_review

_WORD = "review"


def create_review(
    house: House,
    *,
    caller: Caller,
    parent: str,
    draft: ReviewDraft,
    review_id: str = "",
    request: RequestKey = NO_REQUEST_KEY,
) -> Review:
    """Return the new review, whose items appear while its job runs; the same one when the request is repeated.

    Raises: InvalidField with every wrong field, NotFound for a model or the prompts, WrongState for a dataset without
    prompts, AlreadyExists for the id, LimitReached, RequestIdReused.
    """
    names.ids_in_own_project(parent, pattern=names.PROJECT, own_project=caller.project_id, field="parent")
    if review_id:
        names.check_chosen_id(review_id, field="review_id")
    with house.storage.read() as uow:
        earlier = uow.requests.find(caller, request)
        if earlier is not None:
            return with_progress(uow, find_own_review(uow, caller=caller, name=earlier))[0]
        draft = fill_review(draft)
        draft = dataclasses.replace(draft, reviewers=find_reviewers(uow, draft.reviewers, caller=caller))
        drawing = prepare_drawing(house, uow, caller=caller, draft=draft.draw, path="review.draw")
    job = named(house, drawing.job, word=_WORD)
    review = new_review(house, job, caller=caller, draft=draft, review_id=review_id)
    with house.storage.write() as uow:
        now = uow.now()
        earlier = uow.requests.remember(caller, request, resource=review.name, time=now)
        if earlier is not None:
            return with_progress(uow, find_own_review(uow, caller=caller, name=earlier))[0]
        enter(uow, job, caller=caller, datasets=drawing.datasets)
        review = dataclasses.replace(review, create_time=now, update_time=now)
        uow.reviews.add(review)
        (review,) = with_progress(uow, review)
        uow.audit.record(caller, resource=review.name, time=now)
        uow.commit()
    return review


def new_review(
    house: House, job: Job, *, caller: Caller, draft: ReviewDraft, review_id: str = "", duel_id: str | None = None
) -> Review:
    """Return the review for which a job draws, which has its name; nothing is written. `draft` has its defaults.

    Raises: InvalidField for a kind that the draw does not bear.
    """
    assert isinstance(job.spec, DrawSpec)
    uid = house.chance.uid()
    return Review(
        project_id=caller.project_id,
        id=review_id or f"{_WORD}-{uid.replace('-', '')[:12]}",
        uid=uid,
        kind=kind_of_review(draft.kind, job.spec),
        draw=job.spec,
        job_uid=job.uid,
        job_id=job.id,
        creator=caller.api_key,
        create_time=job.create_time,
        update_time=job.create_time,
        overlap=draft.overlap,
        guidelines=draft.guidelines,
        rubric=draft.rubric,
        reviewers=draft.reviewers,
        repeat_share=draft.repeat_share,
        seat_seconds=draft.seat_seconds,
        duel_id=duel_id,
    )


def find_reviewers(
    uow: UnitOfWork, reviewers: Sequence[str], *, caller: Caller, path: str = "review"
) -> tuple[str, ...]:
    """Return the full names of the keys that may review, each once.

    Raises: InvalidField with each that is no key, or one that may not vote.
    """
    found: dict[str, None] = {}
    wrong: list[FieldViolation] = []
    for place, name in enumerate(reviewers):
        field = f"{path}.reviewers[{place}]"
        (key_id,) = names.ids_in_own_project(name, pattern=names.API_KEY, own_project=caller.project_id, field=field)
        key = uow.api_keys.find(caller.project_id, key_id)
        if key is None:
            wrong.append(FieldViolation(field, "is no key of your project"))
        elif "reviews.vote" not in key.permissions:
            wrong.append(FieldViolation(field, f"has the role {key.role.value}, which may not vote"))
        else:
            found[key.name] = None
    if wrong:
        raise InvalidField.of_all(wrong)
    return tuple(found)

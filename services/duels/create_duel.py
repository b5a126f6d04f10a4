"""Beginning a duel: the job that draws its answers, with reviewers the review that judges them, and the duel itself."""

import dataclasses

from services.domain import names
from services.domain.duel_resolution import DuelDraft, check_versions, fill_duel
from services.domain.duels import Duel, DuelJudge
from services.domain.jobs import Job
from services.domain.projects import Caller
from services.domain.requests import NO_REQUEST_KEY, RequestKey
from services.domain.review_resolution import ReviewDraft, fill_review
from services.domain.reviews import Review
from services.domain.work import DrawSpec
from services.duels.own_duel import find_own_duel
from services.jobs.accepting import enter, named
from services.jobs.bases import find_writer
from services.jobs.drawing import Drawing, prepare_drawing
from services.models.judged_duels import judged
from services.ports import House, UnitOfWork
from services.reviews.create_review import find_reviewers, new_review

_WORD = "duel"


def create_duel(
    house: House,
    *,
    caller: Caller,
    parent: str,
    draft: DuelDraft,
    duel_id: str = "",
    request: RequestKey = NO_REQUEST_KEY,
) -> Duel:
    """Return the new duel; the same one when the request is repeated. Job, review and duel are written, or nothing.

    Raises: InvalidField with every wrong field, also for two names of one version; NotFound for a version or the
    prompts, WrongState for a dataset without prompts and for models that do not write or score as they should,
    AlreadyExists for the id, LimitReached, RequestIdReused.
    """
    names.ids_in_own_project(parent, pattern=names.PROJECT, own_project=caller.project_id, field="parent")
    if duel_id:
        names.check_chosen_id(duel_id, field="duel_id")
    with house.storage.read() as uow:
        earlier = uow.requests.find(caller, request)
        if earlier is not None:
            return judged(uow, find_own_duel(uow, caller=caller, name=earlier))
        draft = _exact(uow, fill_duel(draft), caller=caller)
        people = _people(uow, draft, caller=caller)
        drawing = _drawing(house, uow, draft, caller=caller)
    job = named(house, drawing.job, word=_WORD)
    duel, review = _parts(house, draft, job, people, caller=caller, duel_id=duel_id)
    with house.storage.write() as uow:
        now = uow.now()
        earlier = uow.requests.remember(caller, request, resource=duel.name, time=now)
        if earlier is not None:
            return judged(uow, find_own_duel(uow, caller=caller, name=earlier))
        enter(uow, job, caller=caller, datasets=drawing.datasets)
        if review is not None:
            uow.reviews.add(dataclasses.replace(review, create_time=now, update_time=now))
        duel = dataclasses.replace(duel, create_time=now)
        uow.duels.add(duel)
        uow.audit.record(caller, resource=duel.name, time=now)
        duel = judged(uow, duel)
        uow.commit()
    return duel


def _exact(uow: UnitOfWork, draft: DuelDraft, *, caller: Caller) -> DuelDraft:
    """Return the draft with the names of the exact versions."""
    champion = find_writer(uow, caller=caller, name=draft.champion, field="duel.champion")
    challenger = find_writer(uow, caller=caller, name=draft.challenger, field="duel.challenger")
    exact = dataclasses.replace(draft, champion=champion.name, challenger=challenger.name)
    check_versions(exact)
    return exact


def _people(uow: UnitOfWork, draft: DuelDraft, *, caller: Caller) -> ReviewDraft | None:
    """Return the review that the duel needs, if people judge, with its defaults."""
    if draft.judge is not DuelJudge.REVIEWERS:
        return None
    filled = fill_review(draft.review, path="duel")
    reviewers = find_reviewers(uow, filled.reviewers, caller=caller, path="duel")
    return dataclasses.replace(filled, reviewers=reviewers)


def _drawing(house: House, uow: UnitOfWork, draft: DuelDraft, *, caller: Caller) -> Drawing:
    return prepare_drawing(house, uow, caller=caller, draft=draft.draw, path="duel")


def _parts(
    house: House, draft: DuelDraft, job: Job, people: ReviewDraft | None, *, caller: Caller, duel_id: str
) -> tuple[Duel, Review | None]:
    uid = house.chance.uid()
    duel_id = duel_id or f"{_WORD}-{uid.replace('-', '')[:12]}"
    review = new_review(house, job, caller=caller, draft=people, duel_id=duel_id) if people else None
    assert isinstance(job.spec, DrawSpec) and draft.judge is not None
    duel = Duel(
        project_id=caller.project_id,
        id=duel_id,
        uid=uid,
        champion=draft.champion,
        challenger=draft.challenger,
        prompts=job.spec.prompts,
        judge=draft.judge,
        checker=draft.checker,
        reward_model=job.spec.reward_model,
        options=job.spec.options,
        error_rate=draft.error_rate,
        pairs=job.spec.steps,
        overlap=people.overlap if people else 1,
        guidelines=draft.guidelines,
        reviewers=people.reviewers if people else (),
        review_uid=review.uid if review else None,
        review_id=review.id if review else "",
        job_uid=job.uid,
        job_id=job.id,
        creator=caller.api_key,
        create_time=job.create_time,
    )
    return duel, review

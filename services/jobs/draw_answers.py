"""Accepting the drawing of answers to many prompts."""

from collections.abc import Mapping

from services.domain import names
from services.domain.drawing import DrawDraft
from services.domain.jobs import Job
from services.domain.projects import Caller
from services.domain.requests import NO_REQUEST_KEY, RequestKey
from services.jobs.accepting import accept, earlier_job
from services.jobs.drawing import WORD, prepare_drawing
from services.jobs.short_work import check_envelope
from services.ports import House


def draw_answers(
    house: House,
    *,
    caller: Caller,
    parent: str,
    draft: DrawDraft,
    job_id: str = "",
    labels: Mapping[str, str] | None = None,
    request: RequestKey = NO_REQUEST_KEY,
) -> Job:
    """Return the accepted job; the same one when the request is repeated.

    Raises: InvalidField with every wrong field, NotFound for a model or the prompts, WrongState for a reward model
    where a model that writes is wanted, the other way round, and for a dataset without prompts; AlreadyExists for the
    id, LimitReached, RequestIdReused.
    """
    names.ids_in_own_project(parent, pattern=names.PROJECT, own_project=caller.project_id, field="parent")
    check_envelope(job_id=job_id, labels=labels or {})
    with house.storage.read() as uow:
        earlier = earlier_job(uow, caller=caller, request=request)
        if earlier is not None:
            return earlier
        drawing = prepare_drawing(house, uow, caller=caller, draft=draft, labels=labels)
    datasets = drawing.datasets
    return accept(house, drawing.job, caller=caller, request=request, datasets=datasets, job_id=job_id, word=WORD)

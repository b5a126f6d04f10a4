"""Accepting the measuring of a model."""

from collections.abc import Mapping

from services.domain import names
from services.domain.datasets import TRAINABLE, Dataset, RowKind
from services.domain.draw_resolution import resolve_evaluate
from services.domain.drawing import EvaluateDraft
from services.domain.errors import WrongState
from services.domain.jobs import Job
from services.domain.projects import Caller
from services.domain.requests import NO_REQUEST_KEY, RequestKey
from services.jobs.accepting import accept, earlier_job, find_own_dataset
from services.jobs.bases import find_writer
from services.jobs.short_work import check_envelope, short_job
from services.ports import House

_WORD = "evaluate"
_NOTHING_TO_MEASURE = frozenset([RowKind.PROMPT, RowKind.PREFERENCE, RowKind.LABELLED, RowKind.FEEDBACK])


def evaluate_model(
    house: House,
    *,
    caller: Caller,
    parent: str,
    draft: EvaluateDraft,
    job_id: str = "",
    labels: Mapping[str, str] | None = None,
    request: RequestKey = NO_REQUEST_KEY,
) -> Job:
    """Return the accepted job; the same one when the request is repeated.

    Raises: InvalidField with every wrong field, NotFound for the model or the dataset, WrongState for a reward model
    and for a dataset that holds nothing to measure on; AlreadyExists for the id, LimitReached, RequestIdReused.
    """
    names.ids_in_own_project(parent, pattern=names.PROJECT, own_project=caller.project_id, field="parent")
    check_envelope(job_id=job_id, labels=labels or {})
    with house.storage.read() as uow:
        earlier = earlier_job(uow, caller=caller, request=request)
        if earlier is not None:
            return earlier
        version = find_writer(uow, caller=caller, name=draft.model, field="spec.model")
        dataset = find_own_dataset(uow, caller=caller, name=draft.dataset, field="spec.dataset")
        _check_rows(dataset)
        spec = resolve_evaluate(draft, model=version.name, dataset=dataset, seed=house.chance.seed())
        job = short_job(
            house,
            uow,
            spec,
            caller=caller,
            size_bytes=version.size_bytes,
            parameters=version.parameters,
            dataset=dataset,
            base=version.files,
            labels=labels,
        )
    return accept(house, job, caller=caller, request=request, datasets=[dataset], job_id=job_id, word=_WORD)


def _check_rows(dataset: Dataset) -> None:
    if dataset.format not in TRAINABLE:
        words = f"{dataset.name} is {dataset.format.value}, and holds nothing to measure a model on; name rows or text"
        raise WrongState.of(words, state=dataset.format.value)
    if dataset.row_kind in _NOTHING_TO_MEASURE:
        kind = dataset.row_kind.value
        words = f"{dataset.name} holds rows of {kind}, with nothing to predict and no checks"
        raise WrongState.of(f"{words}; name rows with `text`, `completion`, `messages` or `checks`", state=kind)

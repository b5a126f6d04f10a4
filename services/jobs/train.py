"""Accepting a training job: validated, forecast, and written together with its first event and its bell."""

from collections.abc import Mapping

from services.domain import names
from services.domain.datasets import Dataset
from services.domain.errors import InvalidField
from services.domain.forecast import Forecast
from services.domain.forecasting import forecast
from services.domain.jobs import Job
from services.domain.projects import Caller
from services.domain.requests import NO_REQUEST_KEY, RequestKey
from services.domain.resolution import resolve
from services.domain.training import TrainDraft, TrainSpec
from services.jobs.accepting import (
    accept,
    earlier_job,
    envelope_violations,
    expected_queue_s,
    find_own_dataset,
    new_job,
)
from services.ports import House, UnitOfWork, store_errors

OPENING_WORDS = 4
_OPENING_BYTES = 200


def train(
    house: House,
    *,
    caller: Caller,
    parent: str,
    draft: TrainDraft,
    job_id: str = "",
    labels: Mapping[str, str] | None = None,
    request: RequestKey = NO_REQUEST_KEY,
    validate_only: bool = False,
) -> Job:
    """Return the accepted job; the same one when the request is repeated.

    With `validate_only` nothing is written, and the job has neither name nor uid.
    Raises: InvalidField with every wrong field, NotFound for the dataset, AlreadyExists for the id, LimitReached,
    RequestIdReused.
    """
    names.ids_in_own_project(parent, pattern=names.PROJECT, own_project=caller.project_id, field="parent")
    with house.storage.read() as uow:
        earlier = None if validate_only else earlier_job(uow, caller=caller, request=request)
        if earlier is not None:
            return earlier
        dataset = find_own_dataset(uow, caller=caller, name=draft.dataset, field="spec.dataset")
    spec = _resolved(house, draft, dataset=dataset, job_id=job_id, labels=labels or {})
    with house.storage.read() as uow:
        said = _forecast(house, uow, spec=spec, dataset=dataset)
        job = new_job(spec, said, caller=caller, dataset=dataset, labels=labels or {}, now=uow.now())
    if validate_only:
        return job
    return accept(house, job, caller=caller, request=request, datasets=[dataset], job_id=job_id, word=spec.preset)


def _resolved(
    house: House, draft: TrainDraft, *, dataset: Dataset, job_id: str, labels: Mapping[str, str]
) -> TrainSpec:
    violations = envelope_violations(job_id=job_id, labels=labels)
    try:
        opening = _opening(house, dataset) if draft.samples.prompt is None else ""
        spec = resolve(draft, dataset=dataset, opening=opening, seed=house.chance.seed())
    except InvalidField as error:
        raise InvalidField.of_all([*violations, *error.violations]) from None
    if violations:
        raise InvalidField.of_all(violations)
    return spec


def _opening(house: House, dataset: Dataset) -> str:
    """Return the first words of the validation part."""
    first = dataset.split.train_bytes
    with store_errors(), house.store.open(dataset.artifact_key, offset=first, length=_OPENING_BYTES) as file:
        text = file.read().decode(errors="ignore")
    words = text.replace("\x00", " ").split()[:OPENING_WORDS]
    return " ".join(words)[: _OPENING_BYTES // 2]


def _forecast(house: House, uow: UnitOfWork, *, spec: TrainSpec, dataset: Dataset) -> Forecast:
    queue_s = expected_queue_s(house, uow)
    free_bytes = house.store.free_bytes()
    return forecast(spec, dataset=dataset, speeds=uow.attempts.speeds(), queue_s=queue_s, free_bytes=free_bytes)

"""Accepting a training job: validated, forecast, and written together with its first event and its bell."""

from collections.abc import Mapping

from services.domain import names
from services.domain.errors import InvalidField
from services.domain.inputs import Inputs
from services.domain.jobs import Job
from services.domain.projects import Caller
from services.domain.requests import NO_REQUEST_KEY, RequestKey
from services.domain.resolution import resolve
from services.domain.training import TrainDraft, TrainSpec
from services.jobs.accepting import accept, earlier_job, envelope_violations, new_job
from services.jobs.looking_up import find_inputs, forecast_of, with_files
from services.ports import House


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
    Raises: InvalidField with every wrong field, NotFound for a dataset, AlreadyExists for the id, LimitReached,
    RequestIdReused.
    """
    names.ids_in_own_project(parent, pattern=names.PROJECT, own_project=caller.project_id, field="parent")
    with house.storage.read() as uow:
        earlier = None if validate_only else earlier_job(uow, caller=caller, request=request)
        if earlier is not None:
            return earlier
        inputs = find_inputs(
            house,
            uow,
            caller=caller,
            dataset=draft.dataset,
            mixture=draft.mixture,
            tokenizer=draft.tokenizer.dataset,
        )
    inputs = with_files(house, inputs, samples=draft.samples)
    spec = _resolved(draft, inputs, job_id=job_id, labels=labels or {})
    with house.storage.read() as uow:
        said = forecast_of(house, uow, spec, inputs=inputs)
        job = new_job(spec, said, caller=caller, dataset=inputs.dataset, labels=labels or {}, now=uow.now())
    if validate_only:
        return job
    return accept(house, job, caller=caller, request=request, datasets=inputs.held, job_id=job_id, word=spec.preset)


def _resolved(draft: TrainDraft, inputs: Inputs, *, job_id: str, labels: Mapping[str, str]) -> TrainSpec:
    violations = envelope_violations(job_id=job_id, labels=labels)
    try:
        spec = resolve(draft, inputs)
    except InvalidField as error:
        raise InvalidField.of_all([*violations, *error.violations]) from None
    if violations:
        raise InvalidField.of_all(violations)
    return spec

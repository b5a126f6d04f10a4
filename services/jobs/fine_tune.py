"""Accepting a fine-tuning job: what it begins with is found first, and kept for as long as the job needs it."""

import dataclasses
from collections.abc import Mapping

from services.domain import names
from services.domain.errors import InvalidField
from services.domain.fine_tuning import FineTuneDraft, FineTuneSpec
from services.domain.inputs import Inputs
from services.domain.jobs import Job
from services.domain.projects import Caller
from services.domain.requests import NO_REQUEST_KEY, RequestKey
from services.domain.resolution import resolve_fine_tune
from services.jobs.accepting import accept, earlier_job, envelope_violations, new_job
from services.jobs.bases import Base, find_base, find_reward_model, refuse_reward_model
from services.jobs.looking_up import find_inputs, forecast_of, with_files
from services.jobs.shapes_of_bases import describe_base
from services.ports import House

_WORD = "tune"


def fine_tune(
    house: House,
    *,
    caller: Caller,
    parent: str,
    draft: FineTuneDraft,
    job_id: str = "",
    labels: Mapping[str, str] | None = None,
    request: RequestKey = NO_REQUEST_KEY,
    validate_only: bool = False,
) -> Job:
    """Return the accepted job; the same one when the request is repeated.

    With `validate_only` nothing is written, and the job has neither name nor uid.
    Raises: InvalidField with every wrong field, NotFound for the base, a reward model or a dataset, also one that is
    gone; WrongState for a checkpoint of work without weights, a reward model where a model that writes is wanted, and
    the other way round; AlreadyExists for the id, LimitReached, RequestIdReused.
    """
    names.ids_in_own_project(parent, pattern=names.PROJECT, own_project=caller.project_id, field="parent")
    with house.storage.read() as uow:
        earlier = None if validate_only else earlier_job(uow, caller=caller, request=request)
        if earlier is not None:
            return earlier
        base = find_base(uow, caller=caller, name=draft.base, field="spec.base")
        refuse_reward_model(base.spec, name=base.files.name)
        inputs = find_inputs(house, uow, caller=caller, dataset=draft.dataset, mixture=draft.mixture)
        scorer = find_reward_model(uow, caller=caller, name=draft.grpo.reward_model, field="spec.grpo.reward_model")
    if scorer:
        inputs = dataclasses.replace(inputs, reward_model=scorer.name, reward_parameters=scorer.parameters)
    inputs = with_files(house, inputs, samples=draft.samples)
    spec = _resolved(house, draft, inputs, base=base, job_id=job_id, labels=labels or {})
    with house.storage.read() as uow:
        said = forecast_of(house, uow, spec, inputs=inputs)
        job = new_job(spec, said, caller=caller, dataset=inputs.dataset, labels=labels or {}, now=uow.now())
    job = dataclasses.replace(job, base=base.files)
    if validate_only:
        return job
    return accept(house, job, caller=caller, request=request, datasets=inputs.held, job_id=job_id, word=_WORD)


def _resolved(
    house: House, draft: FineTuneDraft, inputs: Inputs, *, base: Base, job_id: str, labels: Mapping[str, str]
) -> FineTuneSpec:
    violations = envelope_violations(job_id=job_id, labels=labels)
    found = describe_base(house, base)
    try:
        spec = resolve_fine_tune(draft, inputs, base=base.files.name, model=base.model_id, found=found)
    except InvalidField as error:
        raise InvalidField.of_all([*violations, *error.violations]) from None
    if violations:
        raise InvalidField.of_all(violations)
    return spec

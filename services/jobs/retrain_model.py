"""Tunes again what a version was tuned with, without the votes that were retracted since."""

import dataclasses
from collections.abc import Mapping

from services.domain.data_checks import text_violations
from services.domain.datasets import Dataset
from services.domain.errors import InvalidField, WrongState
from services.domain.feedback_sets import FeedbackSet
from services.domain.fine_tuning import FineTuneSpec
from services.domain.inputs import Inputs
from services.domain.jobs import Job
from services.domain.labels import label_violations
from services.domain.method_rows import count_violations, kind_violations
from services.domain.methods import NEEDING_VALIDATION
from services.domain.models import ModelVersion
from services.domain.projects import Caller
from services.domain.requests import NO_REQUEST_KEY, RequestKey
from services.domain.run_settings import MixturePartDraft
from services.domain.work import reward_model_of
from services.feedback.without_retracted import set_without_retracted
from services.jobs.accepting import accept, earlier_job, new_job
from services.jobs.bases import Base, find_base, find_reward_model
from services.jobs.looking_up import find_inputs, forecast_of
from services.models.find_version import find_version
from services.ports import House, UnitOfWork

_WORD = "retrain"


def retrain_model(
    house: House,
    *,
    caller: Caller,
    name: str,
    labels: Mapping[str, str] | None = None,
    request: RequestKey = NO_REQUEST_KEY,
) -> Job:
    """Freeze the sets of a version anew, and submit the same specification on them; it becomes the next version.

    The base stays the one that it was tuned from. Sets that hold no retracted vote stay, too. A call that is repeated
    finds the sets that it has made.
    Raises: InvalidField, NotFound for the version, its base or a dataset that is gone; WrongState if no vote in its
    sets is retracted, if it was not tuned on feedback, or if too little is left; LimitReached, RequestIdReused.
    """
    violations = label_violations(labels or {})
    if violations:
        raise InvalidField.of_all(violations)
    with house.storage.read() as uow:
        earlier = earlier_job(uow, caller=caller, request=request)
        if earlier is not None:
            return earlier
        version = find_version(uow, caller=caller, name=name, field="name")
        spec = _tuned(version)
        base = find_base(uow, caller=caller, name=spec.base, field="name")
        touched = _touched(uow, version, _datasets_of(uow, version, caller=caller))
    fresh = {of.dataset: set_without_retracted(house, caller=caller, of=of).dataset for of in touched}
    spec = _renamed(spec, fresh)
    return _submitted(house, spec, caller=caller, base=base, labels=labels or {}, request=request)


def _tuned(version: ModelVersion) -> FineTuneSpec:
    if version.fine_tune is None:
        raise WrongState.of(f"{version.name} was not tuned on a feedback set", state="NO_FEEDBACK")
    return version.fine_tune


def _datasets_of(uow: UnitOfWork, version: ModelVersion, *, caller: Caller) -> tuple[Dataset, ...]:
    """Return what a version was tuned on: by uid, for a name may be another dataset's by now."""
    job = uow.jobs.find_by_uid(version.job_uid)
    assert job is not None, "jobs are never removed"
    found = (uow.datasets.find_by_uid(uid) for uid in (job.dataset_uid, *job.mixture_uids) if uid)
    return tuple(dataset for dataset in found if dataset is not None)


def _touched(uow: UnitOfWork, version: ModelVersion, datasets: tuple[Dataset, ...]) -> list[FeedbackSet]:
    """Return the sets among them with a retracted vote. Raises: WrongState if there is none."""
    sets = [found for dataset in datasets if (found := uow.feedback_sets.find_by_uid(dataset.uid)) is not None]
    touched = [each for each in sets if each.retracted_votes]
    if not sets:
        raise WrongState.of(f"{version.name} was not tuned on a feedback set", state="NO_FEEDBACK")
    if not touched:
        names = ", ".join(each.name for each in sets)
        words = f"no vote of {version.name} is retracted: it was tuned on {names}"
        raise WrongState.of(words, state="NOTHING_RETRACTED")
    return touched


def _renamed(spec: FineTuneSpec, fresh: Mapping[str, str]) -> FineTuneSpec:
    mixture = tuple(dataclasses.replace(part, dataset=fresh.get(part.dataset, part.dataset)) for part in spec.mixture)
    return dataclasses.replace(spec, dataset=fresh.get(spec.dataset, spec.dataset), mixture=mixture)


def _submitted(
    house: House, spec: FineTuneSpec, *, caller: Caller, base: Base, labels: Mapping[str, str], request: RequestKey
) -> Job:
    with house.storage.read() as uow:
        mixture = [MixturePartDraft(dataset=part.dataset, weight=part.weight) for part in spec.mixture]
        inputs = find_inputs(house, uow, caller=caller, dataset=spec.dataset, mixture=mixture)
        _check_rows(inputs, spec)
        scorer = find_reward_model(uow, caller=caller, name=reward_model_of(spec), field="name")
        if scorer:
            inputs = dataclasses.replace(inputs, reward_model=scorer.name, reward_parameters=scorer.parameters)
        said = forecast_of(house, uow, spec, inputs=inputs)
        job = new_job(spec, said, caller=caller, dataset=inputs.dataset, labels=labels, now=uow.now())
    job = dataclasses.replace(job, base=base.files)
    return accept(house, job, caller=caller, request=request, datasets=inputs.held, word=_WORD)


def _check_rows(inputs: Inputs, spec: FineTuneSpec) -> None:
    """Refuse what cannot be learnt any more with these settings. Raises: WrongState that names what is left."""
    wrong = list(kind_violations(inputs, method=spec.method)) or [
        *text_violations(
            inputs,
            context_length=spec.context_length,
            context_field="context_length",
            batch_size=spec.optimization.batch_size,
            sequences=None,
            needs_validation=spec.method in NEEDING_VALIDATION,
        ),
        *count_violations(
            inputs,
            method=spec.method,
            batch_size=spec.optimization.batch_size,
            patience=spec.regularization.early_stopping.patience,
        ),
    ]
    if wrong:
        said = "; ".join(f"{each.field} {each.description}" for each in wrong)
        words = f"{spec.dataset} is what is left, and it is too little for the same settings: {said}"
        raise WrongState.of(f"{words}. Tune on it with others", state="TOO_LITTLE_LEFT")

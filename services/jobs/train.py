"""Accepting a job: validated, forecast, and written together with its first event and its bell."""

import dataclasses
import datetime
from collections.abc import Mapping

from services.domain import limits, names
from services.domain.counting import counted
from services.domain.datasets import Dataset
from services.domain.errors import FieldViolation, InvalidField, LimitReached, NotFound
from services.domain.forecast import Forecast
from services.domain.forecasting import expected_wait_s, forecast
from services.domain.job_events import StateChanged
from services.domain.job_states import OPEN, Desire, JobState
from services.domain.jobs import Job
from services.domain.labels import label_violations
from services.domain.projects import Caller
from services.domain.requests import NO_REQUEST_KEY, RequestKey
from services.domain.resolution import resolve
from services.domain.training import TrainDraft, TrainSpec
from services.jobs.own_job import find_own_job
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
        earlier = None if validate_only else uow.requests.find(caller, request)
        if earlier is not None:
            return find_own_job(uow, caller=caller, name=earlier)
        dataset = _find_dataset(uow, caller=caller, name=draft.dataset)
    spec = _resolved(house, draft, dataset=dataset, job_id=job_id, labels=labels or {})
    with house.storage.read() as uow:
        said = _forecast(house, uow, spec=spec, dataset=dataset)
        job = _new_job(spec, said, caller=caller, dataset=dataset, labels=labels or {}, now=uow.now())
    if validate_only:
        return job
    uid = house.chance.uid()
    job = dataclasses.replace(job, uid=uid, id=job_id or f"{spec.preset}-{uid.replace('-', '')[:12]}")
    return _accept(house, job, caller=caller, request=request)


def _find_dataset(uow: UnitOfWork, *, caller: Caller, name: str) -> Dataset:
    path = "spec.dataset"
    (dataset_id,) = names.ids_in_own_project(name, pattern=names.DATASET, own_project=caller.project_id, field=path)
    dataset = uow.datasets.find(caller.project_id, dataset_id)
    if dataset is None:
        raise NotFound.of(name, hint=names.did_you_mean(dataset_id, uow.datasets.ids(caller.project_id)))
    return dataset


def _resolved(
    house: House, draft: TrainDraft, *, dataset: Dataset, job_id: str, labels: Mapping[str, str]
) -> TrainSpec:
    violations = label_violations(labels)
    if job_id and not names.is_chosen_id(job_id):
        violations.append(FieldViolation("job_id", f"{names.CHOSEN_ID_RULE}, got {ascii(job_id[:80])}"))
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
    alive = uow.workers.alive(now=uow.now(), lease_s=house.leases.lease_s)
    queue_s = expected_wait_s(
        slots=sum(worker.slots for worker in alive if not worker.draining),
        held_s=[job.remaining_s for job in uow.jobs.held()],
        ahead_s=uow.jobs.waiting_s(before=None),
    )
    free_bytes = house.store.free_bytes()
    return forecast(spec, dataset=dataset, speeds=uow.attempts.speeds(), queue_s=queue_s, free_bytes=free_bytes)


def _new_job(
    spec: TrainSpec,
    said: Forecast,
    *,
    caller: Caller,
    dataset: Dataset,
    labels: Mapping[str, str],
    now: datetime.datetime,
) -> Job:
    return Job(
        project_id=caller.project_id,
        id="",
        uid="",
        state=JobState.QUEUED,
        desire=Desire.RUN,
        spec=spec,
        forecast=said,
        dataset_uid=dataset.uid,
        creator=caller.api_key,
        create_time=now,
        update_time=now,
        labels=dict(labels),
    )


def _accept(house: House, job: Job, *, caller: Caller, request: RequestKey) -> Job:
    """Write job, event, bell and audit entry, or nothing; the promise of the whole service begins with this commit."""
    with house.storage.write() as uow:
        now = uow.now()
        earlier = uow.requests.remember(caller, request, resource=job.name, time=now)
        if earlier is not None:
            return find_own_job(uow, caller=caller, name=earlier)
        _check_room(uow, caller=caller)
        _check_dataset(uow, job, caller=caller)
        job = dataclasses.replace(job, create_time=now, update_time=now)
        uow.jobs.add(job)
        job = uow.events.append(job, [StateChanged(before=None, after=job.state, message="it is submitted")], time=now)
        uow.jobs.save(job)
        uow.outbox.add(job.uid, due_time=now)
        uow.audit.record(caller, resource=job.name, time=now)
        uow.commit()
    return job


def _check_room(uow: UnitOfWork, *, caller: Caller) -> None:
    project = uow.projects.lock(caller.project_id)
    most = project.open_jobs_max if project else limits.OPEN_JOBS_MAX_DEFAULT
    if uow.jobs.count(caller.project_id, states=OPEN) >= most:
        message = f"{caller.project} has {counted(most, 'job')} not over yet, which is its limit; wait, or cancel some"
        raise LimitReached(message, metadata={"limit": "open_jobs_max", "value": str(most)})


def _check_dataset(uow: UnitOfWork, job: Job, *, caller: Caller) -> None:
    """Hold the dataset, so that it cannot be deleted between the look at it and the commit."""
    dataset = uow.datasets.lock(caller.project_id, job.spec.dataset.rsplit("/", 1)[-1])
    if dataset is None or dataset.uid != job.dataset_uid:
        raise NotFound.of(job.spec.dataset)

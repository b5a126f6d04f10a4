"""What every kind of accepted job has in common: its id, its inputs held, its first event, its bell, its audit entry.

A verb looks at its inputs and decides on a specification; `accept` then writes all of it, or nothing. A verb that makes
more than a job gives the job its name with `named`, and writes it with `enter` in a transaction of its own.
"""

import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from services.domain import limits, names
from services.domain.counting import counted
from services.domain.datasets import Dataset
from services.domain.errors import FieldViolation, LimitReached, NotFound
from services.domain.forecast import Forecast
from services.domain.forecasting import expected_wait_s
from services.domain.job_events import StateChanged
from services.domain.job_states import OPEN, Desire, JobState
from services.domain.jobs import Job
from services.domain.labels import label_violations
from services.domain.projects import Caller
from services.domain.requests import RequestKey
from services.domain.work import mixture_of, tokenizer_dataset_of
from services.jobs.own_job import find_own_job
from services.ports import House, UnitOfWork


def earlier_job(uow: UnitOfWork, *, caller: Caller, request: RequestKey) -> Job | None:
    """Return the job that an earlier call with this request_id made. Raises: RequestIdReused for another body."""
    earlier = uow.requests.find(caller, request)
    return None if earlier is None else find_own_job(uow, caller=caller, name=earlier)


def find_own_dataset(uow: UnitOfWork, *, caller: Caller, name: str, field: str) -> Dataset:
    """Return a dataset of the caller's project.

    Raises: NotFound with the nearest id, InvalidField for a name of another shape, with its `field`.
    """
    (dataset_id,) = names.ids_in_own_project(name, pattern=names.DATASET, own_project=caller.project_id, field=field)
    dataset = uow.datasets.find(caller.project_id, dataset_id)
    if dataset is None:
        raise NotFound.of(name, hint=names.did_you_mean(dataset_id, uow.datasets.ids(caller.project_id)), field=field)
    return dataset


def envelope_violations(*, job_id: str, labels: Mapping[str, str]) -> list[FieldViolation]:
    """Return what is wrong with the id and the labels that the caller chose."""
    violations = label_violations(labels)
    if job_id and not names.is_chosen_id(job_id):
        violations.append(FieldViolation("job_id", f"{names.CHOSEN_ID_RULE}, got {ascii(job_id[:80])}"))
    return violations


def expected_queue_s(house: House, uow: UnitOfWork) -> float | None:
    """Return how long one more job would wait, if that can be said."""
    alive = uow.workers.alive(now=uow.now(), lease_s=house.leases.lease_s)
    return expected_wait_s(
        slots=sum(worker.slots for worker in alive if not worker.draining),
        held_s=[job.remaining_s for job in uow.jobs.held()],
        ahead_s=uow.jobs.waiting_s(before=None),
    )


def new_job(
    spec: Any,
    said: Forecast,
    *,
    caller: Caller,
    dataset: Dataset | None,
    labels: Mapping[str, str],
    now: datetime.datetime,
) -> Job:
    """Return a job that was only looked at: it has neither name nor uid. `dataset` is its first, if it has any."""
    return Job(
        project_id=caller.project_id,
        id="",
        uid="",
        state=JobState.QUEUED,
        desire=Desire.RUN,
        spec=spec,
        forecast=said,
        dataset_uid=dataset.uid if dataset else "",
        creator=caller.api_key,
        create_time=now,
        update_time=now,
        labels=dict(labels),
    )


def accept(
    house: House,
    job: Job,
    *,
    caller: Caller,
    request: RequestKey,
    datasets: Sequence[Dataset] = (),
    job_id: str = "",
    word: str = "job",
) -> Job:
    """Write job, event, bell and audit entry, or nothing; the promise of the whole service begins with this commit.

    `datasets` are all that it reads; none of them can be deleted between the look at them and the commit. Without
    `job_id` the id begins with `word`. Returns the earlier job when the request is repeated.
    Raises: AlreadyExists for the id, LimitReached, NotFound for a dataset that is gone, RequestIdReused, WrongState for
    a checkpoint to begin with that is gone.
    """
    job = named(house, job, job_id=job_id, word=word)
    with house.storage.write() as uow:
        now = uow.now()
        earlier = uow.requests.remember(caller, request, resource=job.name, time=now)
        if earlier is not None:
            return find_own_job(uow, caller=caller, name=earlier)
        job = enter(uow, job, caller=caller, datasets=datasets)
        uow.audit.record(caller, resource=job.name, time=now)
        uow.commit()
    return job


def named(house: House, job: Job, *, job_id: str = "", word: str = "job") -> Job:
    """Return a job that was only looked at with its uid and its id, which begins with `word` if none was chosen."""
    uid = house.chance.uid()
    return dataclasses.replace(job, uid=uid, id=job_id or f"{word}-{uid.replace('-', '')[:12]}")


def enter(uow: UnitOfWork, job: Job, *, caller: Caller, datasets: Sequence[Dataset]) -> Job:
    """Write a job that has its name, with its first event and its bell, in the transaction of the verb.

    `datasets` are all that it reads; they are held until the end of the transaction.
    Raises: AlreadyExists for the id, LimitReached, NotFound for a dataset or a base that is gone.
    """
    now = uow.now()
    _check_room(uow, caller=caller)
    _hold(uow, datasets, caller=caller)
    _hold_base(uow, job)
    job = dataclasses.replace(_with_inputs(job, datasets), create_time=now, update_time=now)
    uow.jobs.add(job)
    job = uow.events.append(job, [StateChanged(before=None, after=job.state, message="it is submitted")], time=now)
    uow.jobs.save(job)
    uow.outbox.add(job.uid, due_time=now)
    return job


def _with_inputs(job: Job, datasets: Sequence[Dataset]) -> Job:
    """Return the job with the uids of what its specification names: a name may be another dataset's one day."""
    uids = {dataset.name: dataset.uid for dataset in datasets}
    mixture, tokenizer = mixture_of(job.spec), tokenizer_dataset_of(job.spec)
    return dataclasses.replace(
        job,
        mixture_uids=tuple(uids[name] for name in mixture) or job.mixture_uids,
        tokenizer_uid=uids[tokenizer] if tokenizer else job.tokenizer_uid,
    )


def _check_room(uow: UnitOfWork, *, caller: Caller) -> None:
    project = uow.projects.lock(caller.project_id)
    most = project.open_jobs_max if project else limits.OPEN_JOBS_MAX_DEFAULT
    if uow.jobs.count(caller.project_id, states=OPEN) >= most:
        message = f"{caller.project} has {counted(most, 'job')} not over yet, which is its limit; wait, or cancel some"
        raise LimitReached(message, metadata={"limit": "open_jobs_max", "value": str(most)})


def _hold(uow: UnitOfWork, datasets: Sequence[Dataset], *, caller: Caller) -> None:
    """Hold the rows of the datasets, in one order for all callers, so that two of them never wait for each other."""
    for seen in sorted(datasets, key=lambda each: each.id):
        held = uow.datasets.lock(caller.project_id, seen.id)
        if held is None or held.uid != seen.uid:
            raise NotFound.of(seen.name)


def _hold_base(uow: UnitOfWork, job: Job) -> None:
    """Hold the checkpoint that the job begins with: its files may be collected until the job names them."""
    base = job.base
    found = uow.checkpoints.find_at(base.artifact_prefix) if base else None
    held = uow.checkpoints.lock([found.uid]) if found else ()
    if base is not None and not any(each.usable for each in held):
        words = f"{base.name} was removed just now; begin with a newer checkpoint or a model version"
        raise NotFound(words, metadata={"resource": base.name})

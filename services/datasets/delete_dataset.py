"""Deletes a dataset."""

import dataclasses

from services.domain.datasets import Dataset, DatasetState
from services.domain.errors import NotFound, WrongState
from services.domain.names import DATASET, check_request_id, did_you_mean, ids_in_own_project
from services.domain.projects import Caller
from services.domain.requests import RequestKey
from services.ports import House, UnitOfWork, store_errors


def delete_dataset(house: House, *, caller: Caller, name: str, request: RequestKey) -> Dataset:
    """Make a dataset DELETED, free its id, and remove its bytes.

    A feedback set stays: who asks which votes are in a model must find them, and its name must not mean another thing.
    Raises: NotFound, WrongState while a job that is not over uses it and for a feedback set, RequestIdReused.
    """
    check_request_id(request.request_id)
    (dataset_id,) = ids_in_own_project(name, pattern=DATASET, own_project=caller.project_id)
    with house.storage.write() as uow:
        earlier = uow.requests.find(caller, request)
        deleted = uow.datasets.find_by_uid(earlier) if earlier else None
        if deleted is not None:
            return deleted
        dataset = _lock_unused(uow, caller, dataset_id=dataset_id, name=name)
        now = uow.now()
        uow.datasets.mark_deleted(dataset.uid)
        uow.requests.remember(caller, request, resource=dataset.uid, time=now)
        uow.audit.record(caller, resource=dataset.name, time=now)
        uow.commit()
    with store_errors():
        house.store.delete(dataset.artifact_key)
    return dataclasses.replace(dataset, state=DatasetState.DELETED)


def _lock_unused(uow: UnitOfWork, caller: Caller, *, dataset_id: str, name: str) -> Dataset:
    dataset = uow.datasets.lock(caller.project_id, dataset_id)
    if dataset is None:
        raise NotFound.of(name, hint=did_you_mean(dataset_id, uow.datasets.ids(caller.project_id)))
    job = uow.jobs.open_job_using(dataset.uid)
    if job is not None:
        raise WrongState.of(f"{dataset.name} is used by {job}; cancel that job or wait until it is over", state="READY")
    if uow.feedback_sets.find_by_uid(dataset.uid) is not None:
        words = f"{dataset.name} is a feedback set, which stays so that models can be traced to its votes"
        raise WrongState.of(f"{words}; retract a vote that must not be used", state="FEEDBACK_SET")
    return dataset

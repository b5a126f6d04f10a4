"""Datasets: found by name in their own project, listed, deleted, on both databases."""

import pytest

from services.datasets.delete_dataset import delete_dataset
from services.datasets.get_dataset import get_dataset
from services.datasets.list_datasets import list_datasets
from services.domain.datasets import DatasetState
from services.domain.errors import AlreadyExists, InvalidField, NotFound, WrongState
from services.domain.pages import PageRequest
from services.domain.requests import NO_REQUEST_KEY, RequestKey
from services.jobs.cancel_job import cancel_job
from tests.support.houses import Bench, add_dataset, add_project

REQUEST = RequestKey(request_id="6f2a1f9e-3c55-4a7a-9a5e-7d1f7b8d9c01", body_sha256="a" * 64)


def delete(bench: Bench, name: str, *, request: RequestKey = NO_REQUEST_KEY):
    return delete_dataset(bench.house, caller=bench.caller, name=name, request=request)


def test_a_wrong_name_is_answered_with_the_nearest(bench: Bench) -> None:
    with pytest.raises(NotFound, match="did you mean 'plays'"):
        get_dataset(bench.house, caller=bench.caller, name="projects/-/datasets/playz")


def test_the_nearest_name_is_never_that_of_another_project(bench: Bench) -> None:
    add_project(bench.house, "foreign")
    add_dataset(bench.house, "foreign", id="secret-plans")
    with pytest.raises(NotFound) as caught:
        get_dataset(bench.house, caller=bench.caller, name="projects/-/datasets/secret-plan")
    assert "did you mean" not in str(caught.value)


def test_the_same_id_may_be_taken_in_every_project(bench: Bench) -> None:
    stranger = add_project(bench.house, "foreign")
    theirs = add_dataset(bench.house, "foreign")
    assert get_dataset(bench.house, caller=stranger, name="projects/-/datasets/plays") == theirs
    assert get_dataset(bench.house, caller=bench.caller, name="projects/-/datasets/plays") == bench.dataset
    with pytest.raises(AlreadyExists):
        add_dataset(bench.house, "own")


def test_datasets_are_listed_page_by_page(bench: Bench) -> None:
    names = {"plays", *(add_dataset(bench.house, "own", id=f"d{number}").id for number in range(4))}
    found, token = [], None
    while token != "":
        page = PageRequest(size=2, token=token or "")
        shown, token = list_datasets(bench.house, caller=bench.caller, parent="projects/-", page=page)
        found += [dataset.id for dataset in shown]
    assert len(found) == 5 and set(found) == names


def test_a_negative_page_is_refused(bench: Bench) -> None:
    with pytest.raises(InvalidField, match="page_size"):
        list_datasets(bench.house, caller=bench.caller, parent="projects/-", page=PageRequest(size=-1))


def test_a_deleted_dataset_is_gone_and_its_id_is_free(bench: Bench) -> None:
    assert delete(bench, bench.dataset.name).state is DatasetState.DELETED
    with pytest.raises(NotFound):
        get_dataset(bench.house, caller=bench.caller, name=bench.dataset.name)
    assert list(bench.house.store.keys("datasets/")) == []
    assert add_dataset(bench.house, "own").uid != bench.dataset.uid


def test_deleting_again_with_the_same_request_returns_the_deleted_one(bench: Bench) -> None:
    deleted = delete(bench, bench.dataset.name, request=REQUEST)
    add_dataset(bench.house, "own")
    assert delete(bench, bench.dataset.name, request=REQUEST) == deleted
    assert get_dataset(bench.house, caller=bench.caller, name=bench.dataset.name).state is DatasetState.READY


def test_a_dataset_stays_while_a_job_needs_it(bench: Bench) -> None:
    job = bench.submit()
    with pytest.raises(WrongState, match=job.name):
        delete(bench, bench.dataset.name)
    cancel_job(bench.house, caller=bench.calling("CancelJob"), name=job.name)
    delete(bench, bench.dataset.name)


def test_a_foreign_dataset_cannot_be_deleted(bench: Bench) -> None:
    add_project(bench.house, "foreign")
    theirs = add_dataset(bench.house, "foreign", id="theirs")
    for name in (theirs.name, "projects/own/datasets/theirs"):
        with pytest.raises(NotFound):
            delete(bench, name)

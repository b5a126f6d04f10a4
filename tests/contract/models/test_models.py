"""Models: published once by each job, numbered, found by name, on both databases."""

import concurrent.futures
import dataclasses

import pytest

from services.domain.errors import InvalidField, NotFound
from services.domain.models import ModelVersion
from services.domain.pages import PageRequest
from services.models.get_model import get_model
from services.models.get_model_version import get_model_version
from services.models.list_model_versions import list_model_versions
from services.models.list_models import list_models
from services.models.resolve_model import resolve_model
from tests.support.houses import Bench, add_project


def published(bench: Bench, job_id: str, *, model: str = "novel") -> ModelVersion:
    at = bench.started(job_id=job_id, model=model)
    bench.complete(at)
    with bench.house.storage.read() as uow:
        versions = uow.models.page_of_versions("own", model, page=_first_page())
    return versions[0]


def _first_page():
    from services.domain.pages import Page

    return Page(size=100)


def test_each_job_publishes_the_next_version(bench: Bench) -> None:
    first, second = published(bench, "job-1"), published(bench, "job-2")
    model = get_model(bench.house, caller=bench.caller, name="projects/-/models/novel")
    assert (first.version, second.version, model.versions) == (1, 2, 2)
    assert model.latest_version == second
    assert model.update_time == second.create_time


def test_publishing_again_for_the_same_job_returns_the_first(bench: Bench) -> None:
    first = published(bench, "job-1")
    with bench.house.storage.write() as uow:
        again = uow.models.publish(dataclasses.replace(first, version=0, uid=bench.house.chance.uid()))
        uow.commit()
    assert again == first


def test_publishing_at_the_same_time_leaves_no_gap_and_no_double(bench: Bench) -> None:
    template = published(bench, "job-0", model="other")
    jobs = [bench.started(job_id=f"job-{number}").job for number in range(1, 5)]

    def publish(job) -> int:
        version = dataclasses.replace(
            template, version=0, uid=bench.house.chance.uid(), job_uid=job.uid, job_id=job.id, model_id="novel"
        )
        with bench.house.storage.write() as uow:
            number = uow.models.publish(version).version
            uow.commit()
        return number

    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        assert sorted(threads.map(publish, jobs)) == [1, 2, 3, 4]


def test_a_version_is_found_by_number_and_as_the_latest(bench: Bench) -> None:
    first, second = published(bench, "job-1"), published(bench, "job-2")

    def found(version: str) -> ModelVersion:
        return get_model_version(bench.house, caller=bench.caller, name=f"projects/-/models/novel/versions/{version}")

    assert (found("1"), found("2"), found("latest")) == (first, second, second)
    with pytest.raises(NotFound, match="the newest version is 2"):
        found("3")
    for wrong in ("0", "newest", "99999999999999999999", "1e3"):
        with pytest.raises(InvalidField):
            found(wrong)


def test_the_lineage_is_in_the_version(bench: Bench) -> None:
    version = published(bench, "job-1")
    assert version.dataset_sha256 == bench.dataset.sha256
    assert version.train.dataset == bench.dataset.name
    assert version.job == "projects/own/jobs/job-1"


def test_a_wrong_name_is_answered_with_the_nearest_of_the_own_project(bench: Bench) -> None:
    published(bench, "job-1")
    with pytest.raises(NotFound, match="did you mean 'novel'"):
        get_model(bench.house, caller=bench.caller, name="projects/-/models/novell")
    stranger = add_project(bench.house, "foreign")
    with pytest.raises(NotFound) as caught:
        get_model(bench.house, caller=stranger, name="projects/-/models/novell")
    assert "did you mean" not in str(caught.value)


def test_models_and_versions_are_listed_page_by_page(bench: Bench) -> None:
    for number in range(3):
        published(bench, f"job-{number}", model=f"m{number}")
    published(bench, "job-3", model="m0")
    models, token = list_models(bench.house, caller=bench.caller, parent="projects/-", page=PageRequest(size=2))
    rest, end = list_models(
        bench.house, caller=bench.caller, parent="projects/-", page=PageRequest(size=2, token=token)
    )
    assert [model.id for model in (*models, *rest)] == ["m0", "m2", "m1"] and end == ""
    parent = "projects/-/models/m0"
    first, token = list_model_versions(bench.house, caller=bench.caller, parent=parent, page=PageRequest(size=1))
    page = PageRequest(size=1, token=token)
    second, end = list_model_versions(bench.house, caller=bench.caller, parent=parent, page=page)
    assert [version.version for version in (*first, *second)] == [2, 1] and end == ""
    with pytest.raises(NotFound):
        list_model_versions(bench.house, caller=bench.caller, parent="projects/-/models/no", page=PageRequest())


def test_the_sampler_finds_the_files_under_its_caller_only(bench: Bench) -> None:
    version = published(bench, "job-1")
    for name in ("projects/own/models/novel", "projects/-/models/novel/versions/1"):
        found = resolve_model(bench.house, caller=bench.caller, model=name)
        assert (found.artifact_prefix, found.manifest_sha256) == (version.artifact_prefix, version.manifest_sha256)
    stranger = add_project(bench.house, "foreign")
    with pytest.raises(NotFound):
        resolve_model(bench.house, caller=stranger, model="projects/own/models/novel")
    with pytest.raises(InvalidField, match="model"):
        resolve_model(bench.house, caller=bench.caller, model="novel")

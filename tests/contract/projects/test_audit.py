"""The record of what was done, on both databases."""

import pytest
import sqlalchemy as sa

from services.domain.pages import PageRequest
from services.domain.requests import NO_REQUEST_KEY
from services.jobs.cancel_job import cancel_job
from services.projects.list_audit_entries import list_audit_entries
from services.storage.tables.projects import audit_entry
from tests.support.houses import Bench, add_project


def entries(bench: Bench, *, size: int = 100, token: str = ""):
    page = PageRequest(size=size, token=token)
    return list_audit_entries(bench.house, caller=bench.caller, parent="projects/-", page=page)


def test_an_effect_and_its_record_are_one(bench: Bench) -> None:
    job = bench.submit()
    (entry,), _ = entries(bench)
    assert (entry.actor, entry.resource) == (bench.caller.api_key, job.name)
    assert (entry.method, entry.request_id) == ("tutelage.v1.Jobs/Train", "call")


def test_what_is_refused_leaves_no_record(bench: Bench) -> None:
    with pytest.raises(Exception, match="does not exist"):
        cancel_job(bench.house, caller=bench.caller, name="projects/own/jobs/none", request=NO_REQUEST_KEY)
    assert entries(bench) == ((), "")


def test_the_newest_comes_first_and_pages_go_on(bench: Bench) -> None:
    jobs = [bench.submit(job_id=f"job-{number}").name for number in range(5)]
    first, token = entries(bench, size=2)
    second, token = entries(bench, size=2, token=token)
    third, end = entries(bench, size=2, token=token)
    assert [entry.resource for entry in (*first, *second, *third)] == jobs[::-1]
    assert end == ""


def test_other_projects_see_nothing_of_it(bench: Bench) -> None:
    bench.submit()
    stranger = add_project(bench.house, "foreign")
    found, _ = list_audit_entries(bench.house, caller=stranger, parent="projects/-", page=PageRequest())
    assert found == ()


@pytest.mark.parametrize("change", [sa.update(audit_entry).values(actor="somebody else"), sa.delete(audit_entry)])
def test_the_database_refuses_to_change_it(bench: Bench, change: sa.Update | sa.Delete) -> None:
    bench.submit()
    with pytest.raises(sa.exc.DBAPIError, match="never changed"), bench.storage.engine.begin() as connection:
        connection.execute(change)
    assert len(entries(bench)[0]) == 1

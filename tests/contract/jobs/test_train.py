"""Submitting: all of it or nothing, once."""

import dataclasses
import uuid

import pytest
import sqlalchemy as sa

from services.domain.errors import (
    AlreadyExists,
    InvalidField,
    LimitReached,
    NotFound,
    RequestIdReused,
)
from services.domain.job_events import StateChanged
from services.domain.job_states import JobState
from services.domain.requests import RequestKey
from services.domain.training import SamplesDraft
from services.jobs.get_job import get_job
from services.jobs.train import train
from services.storage.tables import metadata
from tests.support.houses import Bench, add_project, small_draft


def request_key(body: str = "a") -> RequestKey:
    return RequestKey(request_id=str(uuid.uuid4()), body_sha256=body * 64)


def row_counts(bench: Bench) -> dict[str, int]:
    with bench.storage.engine.connect() as connection:
        names = ("job", "job_label", "event", "outbox", "audit_entry", "request")
        return {
            name: connection.scalar(sa.select(sa.func.count()).select_from(metadata.tables[name])) for name in names
        }


def test_a_submitted_job_is_written_with_its_event_its_bell_and_its_audit_entry(bench: Bench) -> None:
    job = bench.submit(job_id="first", request=request_key())
    assert row_counts(bench) == {"job": 1, "job_label": 0, "event": 1, "outbox": 1, "audit_entry": 1, "request": 1}
    assert job.name == "projects/own/jobs/first"
    (event,) = bench.history(job.uid)
    assert event.seq == 1
    assert event.happening == StateChanged(before=None, after=JobState.QUEUED, message="it is submitted")


def test_what_is_read_is_what_was_answered(bench: Bench) -> None:
    job = bench.submit()
    assert get_job(bench.house, caller=bench.calling("GetJob"), name=job.name) == job


def test_a_job_shows_every_value_that_is_used(bench: Bench) -> None:
    spec = bench.submit().spec
    assert spec.seed == 1234
    assert spec.samples.prompt == "To be, or not"
    assert spec.model == "plays-tiny"
    assert spec.optimization.micro_batch_size == 4


def test_nothing_is_rung_before_the_relay_comes(bench: Bench) -> None:
    bench.submit()
    assert bench.bells.rung == []


def test_the_same_request_is_the_same_job(bench: Bench) -> None:
    key = request_key()
    first, second = bench.submit(request=key), bench.submit(request=key)
    assert first.uid == second.uid
    assert row_counts(bench)["job"] == 1


def test_the_same_request_id_with_another_body_is_refused(bench: Bench) -> None:
    key = request_key()
    bench.submit(request=key)
    with pytest.raises(RequestIdReused):
        bench.submit(request=dataclasses.replace(key, body_sha256="b" * 64))
    assert row_counts(bench)["job"] == 1


def test_a_request_id_belongs_to_its_project(bench: Bench) -> None:
    from tests.support.houses import add_dataset

    key = request_key()
    other = add_project(bench.house, "other")
    add_dataset(bench.house, "other")
    assert bench.submit(request=key).uid != bench.submit(request=key, caller=other).uid


def test_validating_writes_nothing(bench: Bench) -> None:
    before = row_counts(bench)
    draft = small_draft("projects/own/datasets/plays")
    said = train(bench.house, caller=bench.caller, parent="projects/own", draft=draft, validate_only=True)
    assert row_counts(bench) == before
    assert (said.name, said.uid) == ("", "")
    assert said.forecast.parameters == said.spec.parameters > 0


def test_an_id_can_be_taken_once(bench: Bench) -> None:
    bench.submit(job_id="mine")
    before = row_counts(bench)
    with pytest.raises(AlreadyExists, match="projects/own/jobs/mine"):
        bench.submit(job_id="mine", request=request_key())
    assert row_counts(bench) == before


def test_a_missing_dataset_is_named_with_its_neighbour(bench: Bench) -> None:
    draft = small_draft("projects/own/datasets/playz")
    with pytest.raises(NotFound, match=r"^spec.dataset: .*playz does not exist in your project; did you mean 'plays'"):
        train(bench.house, caller=bench.caller, parent="projects/-", draft=draft)


def test_a_foreign_dataset_and_project_do_not_exist(bench: Bench) -> None:
    add_project(bench.house, "other")
    with pytest.raises(NotFound):
        train(bench.house, caller=bench.caller, parent="projects/-", draft=small_draft("projects/other/datasets/plays"))
    with pytest.raises(NotFound):
        train(
            bench.house, caller=bench.caller, parent="projects/other", draft=small_draft("projects/own/datasets/plays")
        )


def test_every_wrong_field_of_a_request_is_named(bench: Bench) -> None:
    draft = small_draft("projects/-/datasets/plays", steps=0)
    with pytest.raises(InvalidField) as caught:
        train(bench.house, caller=bench.caller, parent="projects/-", draft=draft, job_id="9", labels={"": "x" * 300})
    fields = [violation.field for violation in caught.value.violations]
    assert fields == ["labels['']", "labels['']", "job_id", "spec.steps"]
    assert row_counts(bench)["job"] == 0


def test_a_project_has_room_for_so_many_open_jobs(bench: Bench) -> None:
    from tests.support.houses import add_dataset

    caller = add_project(bench.house, "small", open_jobs_max=2)
    add_dataset(bench.house, "small")
    for _ in range(2):
        bench.submit(caller=caller)
    with pytest.raises(LimitReached, match="2 jobs not over yet"):
        bench.submit(caller=caller)
    assert bench.submit().state is JobState.QUEUED


def test_a_dataset_that_is_deleted_meanwhile_is_gone(bench: Bench) -> None:
    """The look at the dataset and the commit are two moments; the second one counts."""
    with bench.house.storage.write() as uow:
        uow.datasets.mark_deleted(bench.dataset.uid)
        uow.commit()
    with pytest.raises(NotFound):
        bench.submit()


def test_a_job_whose_commit_failed_does_not_exist(bench: Bench) -> None:
    before = row_counts(bench)
    with pytest.raises(RuntimeError, match="power"), bench.house.storage.write() as uow:
        uow.outbox.add("00000000-0000-4000-8000-000000000000", due_time=uow.now())
        raise RuntimeError("power")
    assert row_counts(bench) == before


def test_labels_are_kept(bench: Bench) -> None:
    draft = small_draft("projects/-/datasets/plays")
    job = train(bench.house, caller=bench.caller, parent="projects/-", draft=draft, labels={"team": "search"})
    assert bench.job(job.uid).labels == {"team": "search"}
    assert row_counts(bench)["job_label"] == 1


def test_a_job_with_a_prompt_of_its_own_reads_nothing_from_the_store(bench: Bench) -> None:
    bench.house.store.delete(bench.dataset.artifact_key)
    assert bench.submit(samples=SamplesDraft(prompt="Hamlet")).spec.samples.prompt == "Hamlet"

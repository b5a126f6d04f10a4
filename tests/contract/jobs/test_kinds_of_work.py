"""Imports and exports: jobs like all others, with or without a version at their end."""

import pytest
import sqlalchemy as sa

from services.datasets.delete_dataset import delete_dataset
from services.domain.datasets import DatasetFormat
from services.domain.errors import InvalidField, LimitReached, NotFound, RequestIdReused, WrongState
from services.domain.job_states import JobState
from services.domain.jobs import AttemptEnd, FailureReason
from services.domain.pages import PageRequest
from services.domain.requests import NO_REQUEST_KEY, RequestKey
from services.domain.work import ExportFormat, ExportModelSpec, ImportModelSpec
from services.jobs.collect_checkpoints import collect_checkpoints
from services.jobs.explain_job import explain_job
from services.jobs.export_model import ExportModelDraft, export_model
from services.jobs.import_model import ImportModelDraft, import_model
from services.jobs.list_jobs import list_jobs
from services.models.resolve_model import resolve_model
from services.storage.tables.datasets import dataset as dataset_table
from tests.support.houses import A_TIME, Bench, add_project
from tests.support.works import add_files, claimed, exporting, importing, latest, published

REQUEST = RequestKey(request_id="11111111-2222-4333-8444-555555555555", body_sha256="a" * 64)


@pytest.fixture(autouse=True)
def weights(bench: Bench) -> None:
    """The files of a model, uploaded."""
    add_files(bench.house, "own", id="weights")


def test_an_import_publishes_a_version(bench: Bench) -> None:
    job = importing(bench)
    assert job.spec == ImportModelSpec(dataset="projects/own/datasets/weights", model="weights")
    assert (job.id.split("-")[0], job.kind, job.forecast.flops) == ("import", "import_model", 0.0)
    at = claimed(bench, job)
    assert at.dataset is not None and at.dataset.format is DatasetFormat.MODEL_FILES
    assert (at.base, at.resume, at.verification) == (None, None, None)
    assert (at.job.done_steps, at.job.spec.steps) == (0, 1)
    assert bench.complete(at) is JobState.SUCCEEDED
    assert bench.job(job.uid).done_steps == 1
    version = latest(bench, "weights")
    assert (version.import_model, version.train, version.fine_tune) == (job.spec, None, None)
    assert (version.name, version.parent_version) == (bench.job(job.uid).model_version, "")
    assert resolve_model(bench.house, caller=bench.caller, model="projects/own/models/weights") == version


def test_an_adapter_is_imported_onto_the_exact_version_that_its_base_names(bench: Bench) -> None:
    base = published(bench)
    job = importing(bench, model="adapted", base="projects/-/models/novel")
    assert isinstance(job.spec, ImportModelSpec) and job.spec.base == base.name
    at = claimed(bench, job)
    assert at.base == base.files
    bench.complete(at)
    assert latest(bench, "adapted").parent_version == base.name


@pytest.mark.parametrize(
    ("draft", "error"),
    [
        ({"dataset": "plays"}, WrongState),
        ({"dataset": "nothing"}, NotFound),
        ({"model": "Not An Id"}, InvalidField),
        ({"base": "projects/own/models/nothing"}, NotFound),
        ({"base": "projects/foreign/models/novel"}, NotFound),
        ({"base": "novel"}, InvalidField),
    ],
)
def test_an_import_that_cannot_be_is_refused_and_leaves_nothing(
    bench: Bench, draft: dict[str, str], error: type[Exception]
) -> None:
    with pytest.raises(error):
        importing(bench, **draft)
    found, _ = list_jobs(bench.house, caller=bench.caller, parent="projects/-", page=PageRequest())
    assert found == ()


def test_a_dataset_of_files_cannot_be_deleted_while_its_import_is_open(bench: Bench) -> None:
    importing(bench)
    with pytest.raises(WrongState, match="is used by projects/own/jobs/import-"):
        delete_dataset(bench.house, caller=bench.caller, name="projects/-/datasets/weights", request=NO_REQUEST_KEY)


def test_an_import_whose_files_are_gone_fails_with_their_name(bench: Bench) -> None:
    job = importing(bench)
    with bench.storage.engine.begin() as connection:
        connection.execute(sa.update(dataset_table).where(dataset_table.c.id == "weights").values(state="DELETED"))
    assert bench.claim() is None
    failed = bench.job(job.uid)
    assert failed.failure is not None and failed.failure.reason is FailureReason.INPUT_GONE
    assert "projects/own/datasets/weights" in failed.failure.message


def test_an_export_ends_with_files_and_without_a_version(bench: Bench) -> None:
    version = published(bench)
    job = exporting(bench, "projects/-/models/novel")
    assert job.spec == ExportModelSpec(model=version.name, format=ExportFormat.HUGGING_FACE)
    assert job.dataset_uid == ""
    at = claimed(bench, job)
    assert (at.dataset, at.base, at.resume) == (None, version.files, None)
    assert bench.complete(at) is JobState.SUCCEEDED
    done = bench.job(job.uid)
    assert (done.model_version, done.end_time is not None) == ("", True)
    assert latest(bench, "novel") == version


def test_adapters_are_exported_of_a_version_that_has_some(bench: Bench) -> None:
    published(bench)
    with pytest.raises(InvalidField, match=r"spec.format: PEFT is for versions tuned with `lora`"):
        exporting(bench, "projects/own/models/novel", format=ExportFormat.PEFT)
    assert exporting(bench, "projects/own/models/novel", format=ExportFormat.GGUF).kind == "export_model"


def test_an_export_names_what_is_there_and_ones_own(bench: Bench) -> None:
    published(bench)
    with pytest.raises(NotFound, match="did you mean 'novel'"):
        exporting(bench, "projects/own/models/novell")
    with pytest.raises(NotFound, match="the newest version is 1"):
        exporting(bench, "projects/own/models/novel/versions/2")
    stranger = add_project(bench.house, "foreign")
    draft = ExportModelDraft(model="projects/own/models/novel")
    with pytest.raises(NotFound):
        export_model(bench.house, caller=stranger, parent="projects/-", draft=draft)


def test_the_same_request_is_the_same_job(bench: Bench) -> None:
    published(bench)
    draft = ExportModelDraft(model="projects/own/models/novel")
    caller = bench.calling("ExportModel")
    first, second = (
        export_model(bench.house, caller=caller, parent="projects/-", draft=draft, request=REQUEST) for _ in range(2)
    )
    assert first.uid == second.uid
    with pytest.raises(RequestIdReused):
        other = RequestKey(request_id=REQUEST.request_id, body_sha256="b" * 64)
        export_model(bench.house, caller=caller, parent="projects/-", draft=draft, request=other)


def test_work_of_every_kind_counts_against_the_quota(bench: Bench) -> None:
    few = add_project(bench.house, "few", open_jobs_max=1)
    add_files(bench.house, "few", id="weights")
    draft = ImportModelDraft(dataset="projects/few/datasets/weights")
    import_model(bench.house, caller=few, parent="projects/-", draft=draft)
    with pytest.raises(LimitReached):
        import_model(bench.house, caller=few, parent="projects/-", draft=draft)


def test_labels_of_an_import_are_checked_and_found_by(bench: Bench) -> None:
    draft = ImportModelDraft(dataset="projects/own/datasets/weights")
    caller = bench.calling("ImportModel")
    with pytest.raises(InvalidField, match="labels"):
        import_model(bench.house, caller=caller, parent="projects/-", draft=draft, labels={"x" * 64: "y"})
    job = import_model(bench.house, caller=caller, parent="projects/-", draft=draft, labels={"team": "search"})
    page = PageRequest()
    found, _ = list_jobs(bench.house, caller=caller, parent="projects/-", page=page, filter='labels.team = "search"')
    assert [each.uid for each in found] == [job.uid]


def test_jobs_are_found_by_the_model_that_they_make_or_export(bench: Bench) -> None:
    published(bench)
    importing(bench, model="novel")
    exporting(bench, "projects/own/models/novel")
    found, _ = list_jobs(
        bench.house, caller=bench.caller, parent="projects/-", page=PageRequest(), filter='model = "novel"'
    )
    assert sorted(each.kind for each in found) == ["export_model", "import_model", "train"]


@pytest.mark.parametrize("kind", ["import", "export"])
def test_files_that_are_complete_need_no_worker_any_more(bench: Bench, kind: str) -> None:
    published(bench)
    job = importing(bench) if kind == "import" else exporting(bench, "projects/own/models/novel")
    at = claimed(bench, job)
    bench.commit(at, bench.written(at, step=1, complete=True))
    assert bench.finish(at, AttemptEnd.INTERRUPTED) is JobState.BACKOFF
    bench.make_due(job.uid)
    assert bench.claim() is None
    done = bench.job(job.uid)
    assert (done.state, done.epoch, bool(done.model_version)) == (JobState.SUCCEEDED, 2, kind == "import")


def test_an_import_that_was_interrupted_begins_anew(bench: Bench) -> None:
    at = claimed(bench, importing(bench))
    bench.finish(at, AttemptEnd.INTERRUPTED)
    bench.make_due(at.job.uid)
    again = bench.claim()
    assert again is not None and (again.resume, again.job.epoch) == (None, 2)


def test_work_without_steps_can_be_explained(bench: Bench) -> None:
    at = claimed(bench, importing(bench))
    (finding,) = explain_job(bench.house, caller=bench.caller, name=at.job.name).findings
    assert finding.fact == "The worker unpacks the files, and reads every tensor."
    assert at.job.remaining_s is None
    published(bench)
    done = claimed(bench, exporting(bench, "projects/own/models/novel"))
    bench.complete(done)
    explanation = explain_job(bench.house, caller=bench.caller, name=done.job.name)
    assert explanation.summary == "The job has made its files: list them, and read them."


def test_the_files_of_an_export_are_kept_as_long_as_their_job(bench: Bench) -> None:
    published(bench)
    at = claimed(bench, exporting(bench, "projects/own/models/novel"))
    written = bench.written(at, step=1, complete=True)
    bench.commit(at, written)
    bench.finish(at, AttemptEnd.COMPLETE)
    collect_checkpoints(bench.house, since=A_TIME)
    assert bench.house.store.find_file_set(written.artifact_prefix) is not None

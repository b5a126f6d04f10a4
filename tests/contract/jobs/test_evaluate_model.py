"""Measuring a model: one step, whose numbers are metrics and whose rows are a file."""

import dataclasses
from typing import Any

import pytest

from services.api.jobs import Jobs
from services.datasets.delete_dataset import delete_dataset
from services.domain.datasets import DatasetSplit, RowKind
from services.domain.drawing import DrawOptions, DrawOptionsDraft, EvaluateDraft
from services.domain.errors import InvalidField, NotFound, RequestIdReused, WrongState
from services.domain.job_events import Fact, MetricLogged
from services.domain.job_states import JobState
from services.domain.jobs import AttemptEnd, Job
from services.domain.models import ModelVersion
from services.domain.pages import PageRequest
from services.domain.requests import NO_REQUEST_KEY, RequestKey
from services.domain.work import EvaluateSpec
from services.jobs.evaluate_model import evaluate_model
from services.jobs.explain_job import explain_job
from services.jobs.get_receipt import get_receipt
from services.jobs.list_jobs import list_jobs
from services.jobs.verify_job import verify_job
from tests.support.houses import Bench, add_dataset
from tests.support.works import add_files, add_rows, claimed, published, reward_model
from tutelage.v1 import jobs_pb2, training_pb2

NOVEL, PLAYS = "projects/own/models/novel", "projects/own/datasets/plays"
REQUEST = RequestKey(request_id="11111111-2222-4333-8444-555555555555", body_sha256="a" * 64)


@pytest.fixture(autouse=True)
def version(bench: Bench) -> ModelVersion:
    """A version to measure."""
    return published(bench)


def evaluate(bench: Bench, *, request: RequestKey = NO_REQUEST_KEY, **draft: Any) -> Job:
    asked = EvaluateDraft(**{"model": NOVEL, "dataset": PLAYS, **draft})
    caller = bench.calling("EvaluateModel")
    return evaluate_model(bench.house, caller=caller, parent="projects/-", draft=asked, request=request)


def test_the_job_shows_the_exact_version_and_every_default(bench: Bench, version: ModelVersion) -> None:
    job = evaluate(bench)
    assert isinstance(job.spec, EvaluateSpec)
    options = DrawOptions(max_tokens=100, temperature=0.0, top_k=0, top_p=1.0, seed=job.spec.options.seed)
    assert job.spec == EvaluateSpec(model=version.name, dataset=PLAYS, all_rows=False, options=options)
    assert (job.id.split("-")[0], job.kind, job.spec.steps) == ("evaluate", "evaluate", 1)
    at = claimed(bench, job)
    assert (at.base, at.models, at.resume, at.verification) == (version.files, (), None, None)
    assert at.dataset is not None and at.dataset.name == PLAYS


def test_its_numbers_are_metrics_and_it_ends_with_files(bench: Bench) -> None:
    at = claimed(bench, evaluate(bench))
    beginning = explain_job(bench.house, caller=bench.caller, name=at.job.name).findings[0].fact
    assert beginning == "The worker reads the model, and measures it on the rows."
    numbers = {"eval/loss": 2.5, "eval/bits_per_byte": 3.6, "eval/perplexity": 12.2}
    bench.report(at, Fact(seq=1, told=MetricLogged(step=1, values=numbers)))
    bench.commit(at, bench.written(at, step=1, complete=True), through_seq=1)
    assert bench.finish(at, AttemptEnd.COMPLETE, through_seq=1) is JobState.SUCCEEDED
    done = bench.job(at.job.uid)
    assert (done.model_version, done.done_steps, done.validation_loss) == ("", 1, 2.5)


def test_without_rows_kept_for_validation_all_are_measured(bench: Bench) -> None:
    whole = dataclasses.replace(
        add_rows(bench.house, "own", id="held", kind=RowKind.MESSAGES),
        id="whole",
        uid=bench.house.chance.uid(),
        split=DatasetSplit(train_bytes=1024, validation_bytes=0, train_rows=100, validation_rows=0),
    )
    with bench.house.storage.write() as uow:
        uow.datasets.add(whole)
        uow.commit()
    job = evaluate(bench, dataset=whole.name)
    assert isinstance(job.spec, EvaluateSpec) and job.spec.all_rows
    with pytest.raises(InvalidField, match="spec.all_rows: must be true or left out: .* has no rows that are kept"):
        evaluate(bench, dataset=whole.name, all_rows=False)


@pytest.mark.parametrize("asked, measured", [(None, True), (True, True), (False, False)])
def test_of_checks_all_are_measured_unless_asked_otherwise(bench: Bench, asked: bool | None, measured: bool) -> None:
    checks = add_rows(bench.house, "own", id="checks", kind=RowKind.CHECKS)
    assert checks.split.validation_rows > 0
    job = evaluate(bench, dataset=checks.name, all_rows=asked)
    assert isinstance(job.spec, EvaluateSpec) and job.spec.all_rows is measured


def test_how_answers_are_drawn_matters_to_checks_only(bench: Bench) -> None:
    checks = add_rows(bench.house, "own", id="checks", kind=RowKind.CHECKS)
    job = evaluate(bench, dataset=checks.name, options=DrawOptionsDraft(max_tokens=7, temperature=1.0), all_rows=True)
    assert isinstance(job.spec, EvaluateSpec)
    assert (job.spec.options.max_tokens, job.spec.options.temperature, job.spec.all_rows) == (7, 1.0, True)
    with pytest.raises(InvalidField, match="spec.options: must be left out: nothing is drawn for .*/plays"):
        evaluate(bench, options=DrawOptionsDraft(max_tokens=7))
    with pytest.raises(InvalidField, match="spec.options.max_tokens: must be 1 to 4096, got 0"):
        evaluate(bench, dataset=checks.name, options=DrawOptionsDraft(max_tokens=0))


@pytest.mark.parametrize("kind", [RowKind.PROMPT, RowKind.PREFERENCE, RowKind.LABELLED, RowKind.FEEDBACK])
def test_rows_with_nothing_to_predict_are_refused(bench: Bench, kind: RowKind) -> None:
    rows = add_rows(bench.house, "own", id="rows", kind=kind)
    with pytest.raises(WrongState, match=f"datasets/rows holds rows of {kind.value}, with nothing to predict"):
        evaluate(bench, dataset=rows.name)


def test_what_cannot_be_measured_is_refused_and_leaves_nothing(bench: Bench) -> None:
    add_files(bench.house, "own", id="weights")
    reward_model(bench)
    with pytest.raises(WrongState, match="holds nothing to measure a model on"):
        evaluate(bench, dataset="projects/own/datasets/weights")
    with pytest.raises(WrongState, match="judge/versions/1 is a reward model"):
        evaluate(bench, model="projects/own/models/judge")
    for draft in ({"model": "projects/own/models/navel"}, {"dataset": "projects/foreign/datasets/plays"}):
        with pytest.raises(NotFound):
            evaluate(bench, **draft)
    found, _ = list_jobs(bench.house, caller=bench.caller, parent="projects/-", page=PageRequest())
    assert sorted(each.kind for each in found) == ["fine_tune", "train"]


def test_the_same_request_is_the_same_job(bench: Bench) -> None:
    first, second = (evaluate(bench, request=REQUEST) for _ in range(2))
    assert first == second
    with pytest.raises(RequestIdReused):
        evaluate(bench, request=RequestKey(request_id=REQUEST.request_id, body_sha256="b" * 64))


def test_the_dataset_cannot_be_deleted_while_it_is_measured_on(bench: Bench) -> None:
    other = add_dataset(bench.house, "own", id="tales")
    job = evaluate(bench, dataset=other.name)
    with pytest.raises(WrongState, match=f"is used by {job.name}"):
        delete_dataset(bench.house, caller=bench.caller, name=other.name, request=NO_REQUEST_KEY)


def test_jobs_are_found_by_the_model_that_they_measure(bench: Bench) -> None:
    job = evaluate(bench)
    found, _ = list_jobs(
        bench.house, caller=bench.caller, parent="projects/-", page=PageRequest(), filter='model = "novel"'
    )
    assert [each.kind for each in found] == ["evaluate", "train"] and found[0] == job


def test_it_has_neither_a_receipt_nor_steps_to_compute_again(bench: Bench) -> None:
    job = evaluate(bench)
    with pytest.raises(WrongState, match="trains nothing"):
        get_receipt(bench.house, caller=bench.caller, name=job.name)
    with pytest.raises(WrongState, match="trains nothing"):
        verify_job(bench.house, caller=bench.caller, name=job.name)


def test_the_servicer_answers_with_every_value_that_is_used(bench: Bench, version: ModelVersion) -> None:
    jobs = Jobs(house=bench.house, pool=None, tailer=None)  # type: ignore[arg-type] # nobody streams
    spec = training_pb2.EvaluateSpec(model=NOVEL, dataset=PLAYS)
    request = jobs_pb2.EvaluateModelRequest(parent="projects/-", spec=spec, job_id="said")
    job = jobs.evaluate_model(bench.calling("EvaluateModel"), request)
    assert (job.WhichOneof("spec"), job.name) == ("evaluate", "projects/own/jobs/said")
    assert (job.evaluate.model, job.evaluate.HasField("all_rows")) == (version.name, True)
    assert job.evaluate.options.HasField("temperature") and job.evaluate.options.temperature == 0
    with pytest.raises(InvalidField, match="spec: is required"):
        jobs.evaluate_model(bench.caller, jobs_pb2.EvaluateModelRequest(parent="projects/-"))

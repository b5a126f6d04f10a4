"""What a training job reads, held until it is over: several datasets, a tokenizer. And what machines there are."""

import dataclasses
import json

import pytest

from services.datasets.delete_dataset import delete_dataset
from services.domain.datasets import Dataset, DatasetFormat, DatasetSplit
from services.domain.errors import InvalidField, NotFound, WrongState
from services.domain.job_events import Fact
from services.domain.jobs import AttemptEnd, Usage
from services.domain.requests import NO_REQUEST_KEY
from services.domain.training import (
    MixturePartDraft,
    OptimizationDraft,
    Optimizer,
    Precision,
    TokenizerDraft,
    TokenizerKind,
)
from services.domain.workers import WorkerInfo
from tests.contract.jobs.test_train import row_counts
from tests.support.houses import Bench, add_dataset, steps, worker_info

VOCABULARY = {"model": {"type": "BPE", "vocab": {chr(97 + number): number for number in range(20)}}}
TALKS = (MixturePartDraft(dataset="projects/-/datasets/talks", weight=0.5),)


def add_tokenizer(bench: Bench, content: bytes = json.dumps(VOCABULARY).encode()) -> Dataset:
    text = add_dataset(bench.house, "own", id="source")
    dataset = dataclasses.replace(
        text,
        id="tokens",
        uid=bench.house.chance.uid(),
        format=DatasetFormat.TOKENIZER,
        size_bytes=len(content),
        split=DatasetSplit(train_bytes=len(content), validation_bytes=0, train_rows=1, validation_rows=0),
        rows=1,
    )
    bench.house.store.put(dataset.artifact_key, content)
    with bench.house.storage.write() as uow:
        uow.datasets.add(dataset)
        uow.commit()
    return dataset


def from_file(name: str = "projects/-/datasets/tokens") -> TokenizerDraft:
    return TokenizerDraft(kind=TokenizerKind.FILE, dataset=name)


def hear_of(bench: Bench, *workers: WorkerInfo) -> None:
    with bench.house.storage.write() as uow:
        for worker in workers:
            uow.workers.hear(worker, now=uow.now())
        uow.commit()


def test_a_mixture_is_kept_under_full_names_and_uids(bench: Bench) -> None:
    talks = add_dataset(bench.house, "own", id="talks")
    job = bench.submit(mixture=TALKS)
    assert [(part.dataset, part.weight) for part in job.spec.mixture] == [("projects/own/datasets/talks", 0.5)]
    assert bench.job(job.uid).mixture_uids == (talks.uid,)


def test_every_dataset_of_an_open_job_stays(bench: Bench) -> None:
    add_dataset(bench.house, "own", id="talks")
    add_tokenizer(bench)
    job = bench.submit(mixture=TALKS, tokenizer=from_file())
    caller = bench.calling("DeleteDataset")
    for name in ("plays", "talks", "tokens"):
        with pytest.raises(WrongState, match=job.name):
            delete_dataset(bench.house, caller=caller, name=f"projects/own/datasets/{name}", request=NO_REQUEST_KEY)


@pytest.mark.parametrize("name", ["projects/own/datasets/talk", "projects/other/datasets/talks"])
def test_a_missing_part_is_not_found_and_nothing_is_written(bench: Bench, name: str) -> None:
    add_dataset(bench.house, "own", id="talks")
    before = row_counts(bench)
    with pytest.raises(NotFound):
        bench.submit(mixture=(MixturePartDraft(dataset=name),))
    with pytest.raises(NotFound):
        bench.submit(tokenizer=from_file(name))
    assert row_counts(bench) == before


def test_a_name_of_another_shape_is_refused_with_its_place(bench: Bench) -> None:
    with pytest.raises(InvalidField) as caught:
        bench.submit(mixture=(MixturePartDraft(dataset="talks"),))
    assert [violation.field for violation in caught.value.violations] == ["spec.mixture[0].dataset"]


def test_the_tokens_of_a_file_are_counted(bench: Bench) -> None:
    tokenizer = add_tokenizer(bench)
    job = bench.submit(tokenizer=from_file())
    assert (job.spec.tokenizer.vocabulary_size, job.spec.tokenizer.dataset) == (20, tokenizer.name)
    assert bench.job(job.uid).tokenizer_uid == tokenizer.uid
    assert job.forecast.parameters == job.spec.architecture.parameters(20)


def test_a_file_without_a_vocabulary_is_refused(bench: Bench) -> None:
    add_tokenizer(bench, b"{}")
    with pytest.raises(InvalidField, match=r"spec\.tokenizer\.dataset: .* no tokenizer\.json with a vocabulary"):
        bench.submit(tokenizer=from_file())


def test_a_tokenizer_is_no_text(bench: Bench) -> None:
    add_tokenizer(bench)
    with pytest.raises(InvalidField, match=r"spec\.mixture\[0\]\.dataset: .* holds a tokenizer"):
        bench.submit(mixture=(MixturePartDraft(dataset="projects/own/datasets/tokens"),))


def test_arithmetic_of_gpus_is_refused_by_a_cluster_without_them(bench: Bench) -> None:
    assert "No worker was heard from lately" in bench.submit(precision=Precision.FP16).forecast.warnings[0]
    gone = dataclasses.replace(worker_info("w2", draining=True), device="cuda")
    hear_of(bench, worker_info("w1"), gone)
    with pytest.raises(InvalidField, match=r"spec\.precision: PRECISION_FP16 needs a GPU"):
        bench.submit(precision=Precision.FP16)
    hear_of(bench, dataclasses.replace(worker_info("w3"), device="cuda"))
    assert bench.submit(precision=Precision.FP16).spec.precision is Precision.FP16


def test_what_an_optimizer_does_not_read_is_shown_as_unset_and_kept_so(bench: Bench) -> None:
    job = bench.submit(optimization=OptimizationDraft(batch_size=4, optimizer=Optimizer.SGD))
    settings = bench.job(job.uid).spec.optimization
    assert (settings.beta1, settings.momentum, settings.nesterov) == (None, 0.9, False)


def test_runs_that_told_their_memory_put_the_forecast_right(bench: Bench) -> None:
    at = bench.started()
    first = at.job.forecast.memory_bytes
    bench.report(at, *steps(1, 10), Fact(seq=11, told=Usage(peak_memory_bytes=first // 2)))
    bench.commit(at, bench.written(at, step=10, complete=True), through_seq=11)
    bench.finish(at, AttemptEnd.COMPLETE, through_seq=11)
    assert bench.submit().forecast.memory_bytes == pytest.approx(first / 2, rel=1e-3)
    assert bench.submit().forecast.duration_s is not None

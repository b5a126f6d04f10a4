"""Work of every kind on a bench: what is there to import, to tune from and to compute again."""

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import Any

from services.domain.datasets import (
    Dataset,
    DatasetFormat,
    DatasetSplit,
    DatasetState,
    RowKind,
    RowStatistics,
    SignalCounts,
)
from services.domain.fine_tuning import FineTuneDraft
from services.domain.job_events import Fact, MetricLogged, RolledBack
from services.domain.job_states import JobState
from services.domain.jobs import Assignment, Job
from services.domain.methods import Method
from services.domain.models import ModelVersion
from services.domain.optimization import OptimizationDraft
from services.domain.work import ExportFormat
from services.jobs.export_model import ExportModelDraft, export_model
from services.jobs.fine_tune import fine_tune
from services.jobs.import_model import ImportModelDraft, import_model
from services.ports import House
from tests.support.houses import A_TIME, Bench, steps


def add_files(
    house: House, project_id: str, *, id: str, format: DatasetFormat = DatasetFormat.MODEL_FILES, keep: bool = True
) -> Dataset:
    """Add a dataset that is no text: its bytes are not looked at here. Without `keep` only they are there."""
    data = b"\0" * 1024
    dataset = Dataset(
        project_id=project_id,
        id=id,
        uid=house.chance.uid(),
        state=DatasetState.READY,
        format=format,
        size_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        rows=0,
        characters=0,
        split=DatasetSplit(train_bytes=len(data), validation_bytes=0, train_rows=0, validation_rows=0),
        create_time=A_TIME,
        creator=f"projects/{project_id}/apiKeys/someone",
        filename="",
    )
    house.store.put(dataset.artifact_key, data)
    if keep:
        with house.storage.write() as uow:
            uow.datasets.add(dataset)
            uow.commit()
    return dataset


def add_rows(
    house: House, project_id: str, *, id: str, kind: RowKind, rows: int = 100, signals: SignalCounts | None = None
) -> Dataset:
    """Add a dataset of rows as an upload would make it, of which a tenth is held out: its bytes are not looked at here.

    `signals` are those of the training part of a feedback set.
    """
    files = add_files(house, project_id, id=id, format=DatasetFormat.JSONL, keep=False)
    held_out = rows // 10
    split = dataclasses.replace(
        files.split, train_bytes=924, validation_bytes=100, train_rows=rows - held_out, validation_rows=held_out
    )
    statistics = RowStatistics(
        kind=kind,
        duplicate_rows=0,
        duplicate_examples=(),
        bytes_min=1,
        bytes_median=1,
        bytes_p95=1,
        bytes_max=1,
        train_signals=signals,
        validation_signals=SignalCounts() if signals else None,
    )
    dataset = dataclasses.replace(files, rows=rows, split=split, row_statistics=statistics)
    with house.storage.write() as uow:
        uow.datasets.add(dataset)
        uow.commit()
    return dataset


def tuned(bench: Bench, *, base: str, dataset: str, **draft: Any) -> ModelVersion:
    """Return a version that a job has tuned."""
    given = {"optimization": OptimizationDraft(batch_size=4), "steps": 10, **draft}
    job = fine_tune(
        bench.house,
        caller=bench.calling("FineTune"),
        parent="projects/-",
        draft=FineTuneDraft(base=base, dataset=dataset, **given),
    )
    at = claimed(bench, job)
    assert bench.complete(at) is JobState.SUCCEEDED
    return latest(bench, job.spec.model)


def reward_model(bench: Bench, *, base: str = "projects/own/models/novel", model: str = "judge") -> ModelVersion:
    """Return a version that scores texts, tuned from one that writes."""
    pairs = add_rows(bench.house, bench.caller.project_id, id=f"{model}-pairs", kind=RowKind.PREFERENCE)
    return tuned(bench, base=base, dataset=pairs.name, model=model, method=Method.REWARD)


def published(bench: Bench, *, model: str = "novel", **submit: Any) -> ModelVersion:
    """Return a version that a job has trained."""
    at = bench.started(model=model, **submit)
    assert bench.complete(at) is JobState.SUCCEEDED
    return latest(bench, model)


def latest(bench: Bench, model: str) -> ModelVersion:
    """Return the newest version of a model."""
    with bench.house.storage.read() as uow:
        found = uow.models.find(bench.caller.project_id, model)
    assert found is not None
    return found.latest_version


def importing(bench: Bench, *, dataset: str = "weights", **draft: Any) -> Job:
    """Submit an import."""
    name = f"projects/{bench.caller.project_id}/datasets/{dataset}"
    asked = ImportModelDraft(dataset=name, **draft)
    return import_model(bench.house, caller=bench.calling("ImportModel"), parent="projects/-", draft=asked)


def exporting(bench: Bench, model: str, *, format: ExportFormat | None = None) -> Job:
    """Submit an export."""
    asked = ExportModelDraft(model=model, format=format)
    return export_model(bench.house, caller=bench.calling("ExportModel"), parent="projects/-", draft=asked)


def claimed(bench: Bench, job: Job) -> Assignment:
    """Return the assignment of a job that waits."""
    assignment = bench.claim(wished=job.uid)
    assert assignment is not None and assignment.job.uid == job.uid
    return assignment


def chained(first: int, last: int, *, first_seq: int = 1) -> Sequence[Fact]:
    """Return the facts of some steps, with the chains that a receipt is made of."""

    def chain(fact: Fact, word: str) -> str:
        assert isinstance(fact.told, MetricLogged)
        return hashlib.sha256(f"{word}{fact.told.step}".encode()).hexdigest()[:32]

    return [
        dataclasses.replace(
            fact,
            told=dataclasses.replace(fact.told, data_chain=chain(fact, "data"), loss_chain=chain(fact, "loss")),
        )
        for fact in steps(first, last, first_seq=first_seq)
    ]


def rolled_back(seq: int, *, from_step: int, to_step: int, lineage: int) -> Fact:
    """Return the fact that training went back."""
    message = "The loss was not finite."
    return Fact(seq=seq, told=RolledBack(from_step=from_step, to_step=to_step, message=message, lineage=lineage))

"""Work of every kind on a bench: what is there to import, to tune from and to compute again."""

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import Any

from services.domain.datasets import Dataset, DatasetFormat, DatasetSplit, DatasetState
from services.domain.job_events import Fact, MetricLogged, RolledBack
from services.domain.job_states import JobState
from services.domain.jobs import Assignment, Job
from services.domain.models import ModelVersion
from services.domain.work import ExportFormat
from services.jobs.export_model import ExportModelDraft, export_model
from services.jobs.import_model import ImportModelDraft, import_model
from services.ports import House
from tests.support.houses import A_TIME, Bench, steps


def add_files(house: House, project_id: str, *, id: str, format: DatasetFormat = DatasetFormat.MODEL_FILES) -> Dataset:
    """Add a dataset that is no text: its bytes are not looked at here."""
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
    with house.storage.write() as uow:
        uow.datasets.add(dataset)
        uow.commit()
    return dataset


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

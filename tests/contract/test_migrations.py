"""A database with rows in it comes forward: nothing is lost, and what was there works on.

The rows of 0002 are written as that version wrote them, in SQL, since its code is gone.
"""

import json
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from services.domain.job_states import JobState
from services.domain.training import TrainSpec
from services.storage.schema import current_revision, migrate, newest_revision
from services.storage.tables import metadata
from services.storage.unit_of_work import SqlStorage
from tests.support.postgres import Postgres

SPEC: dict[str, Any] = {
    "dataset": "projects/own/datasets/plays",
    "preset": "tiny",
    "architecture": {
        "layers": 1,
        "width": 16,
        "heads": 2,
        "key_value_heads": 2,
        "feed_forward_width": 64,
        "context_length": 16,
        "tied_head": True,
        "rotary_base": 10000.0,
    },
    "tokenizer": {"kind": "BYTES", "vocabulary_size": 257},
    "steps": 10,
    "seed": 1,
    "optimization": {
        "learning_rate": 0.001,
        "final_learning_rate_ratio": 0.1,
        "warmup_steps": 1,
        "weight_decay": 0.1,
        "beta1": 0.9,
        "beta2": 0.95,
        "epsilon": 1e-8,
        "clip_norm": 1.0,
        "batch_size": 4,
        "micro_batch_size": 4,
    },
    "evaluation": {"interval_steps": 5, "sequences": 4},
    "samples": {"interval_steps": 5, "prompt": "To be", "tokens": 10},
    "checkpoints": {"interval_steps": 5},
    "precision": "FP32",
    "model": "plays-tiny",
}
FORECAST = {
    "parameters": 1,
    "flops": 1.0,
    "tokens": 640,
    "epochs": 1.0,
    "memory_bytes": 1,
    "checkpoint_bytes": 1,
    "duration_s": None,
    "duration_low_s": None,
    "duration_high_s": None,
    "queue_s": None,
    "basis": "",
    "warnings": [],
}
VERSION = "projects/own/models/plays-tiny/versions/1"
ROWS: list[tuple[str, dict[str, Any]]] = [
    (
        "project",
        {
            "id": "own",
            "uid": "p",
            "create_time": 1,
            "requests_per_second": 1.0,
            "streams_max": 1,
            "open_jobs_max": 9,
            "running_jobs_max": 9,
        },
    ),
    (
        "dataset",
        {
            "uid": "d",
            "project_id": "own",
            "id": "plays",
            "state": "READY",
            "format": "TEXT",
            "size_bytes": 10,
            "sha256": "a" * 64,
            "rows": 2,
            "characters": 10,
            "train_bytes": 9,
            "validation_bytes": 1,
            "train_rows": 1,
            "validation_rows": 1,
            "create_time": 1,
            "creator": "someone",
            "filename": "",
        },
    ),
    (
        "attempt",
        {
            "job_uid": "j",
            "epoch": 1,
            "worker_id": "w",
            "claim_id": "c",
            "start_time": 1,
            "first_recorded_step": 0,
            "end_time": 2,
            "end": "COMPLETE",
            "message": "",
            "last_fact_seq": 1,
            "steps": 2,
            "seconds": 1.5,
        },
    ),
    (
        "metric",
        {
            "job_uid": "j",
            "lineage": 1,
            "step": 1,
            "seq": 2,
            "time": 1,
            "epoch": 1,
            "body": json.dumps({"train/loss": 2}),
        },
    ),
    (
        "checkpoint",
        {
            "uid": "c",
            "job_uid": "j",
            "lineage": 1,
            "step": 10,
            "epoch": 1,
            "state": "COMMITTED",
            "artifact_prefix": "checkpoints/j/e1/step-10",
            "manifest_sha256": "b" * 64,
            "size_bytes": 1,
            "create_time": 1,
            "complete": True,
            "parameters": 1,
        },
    ),
    ("job_label", {"job_uid": "j", "key": "team", "value": "search", "project_id": "own"}),
    ("model", {"uid": "m", "project_id": "own", "id": "plays-tiny", "create_time": 1, "update_time": 1, "versions": 1}),
    (
        "model_version",
        {
            "uid": "v",
            "model_uid": "m",
            "project_id": "own",
            "model_id": "plays-tiny",
            "version": 1,
            "create_time": 1,
            "job_uid": "j",
            "job_id": "first",
            "train": json.dumps(SPEC),
            "parameters": 1,
            "steps": 10,
            "size_bytes": 1,
            "artifact_prefix": "checkpoints/j/e1/step-10",
            "manifest_sha256": "b" * 64,
            "dataset_sha256": "a" * 64,
            "software_version": "0.1.0",
        },
    ),
]


def job_row(uid: str, **changes: Any) -> dict[str, Any]:
    """Return a job as 0002 kept it."""
    return {
        "uid": uid,
        "project_id": "own",
        "id": uid,
        "state": "QUEUED",
        "desire": "RUN",
        "spec": json.dumps(SPEC),
        "forecast": json.dumps(FORECAST),
        "dataset_uid": "d",
        "dataset_id": "plays",
        "model_id": "plays-tiny",
        "creator": "someone",
        "create_time": 1,
        "update_time": 1,
        "labels": "{}",
        "model_version": "",
        "epoch": 0,
        "worker_id": "",
        "last_seq": 0,
        "lineage": 1,
        "recorded_step": 0,
        "sampled_step": 0,
        "interruptions": 0,
        "attempts_without_progress": 0,
        "host_out_of_memory": 0,
        **changes,
    }


def insert(connection: sa.Connection, table: str, row: dict[str, Any]) -> None:
    names = ", ".join(f'"{name}"' for name in row)
    marks = ", ".join(f":{name}" for name in row)
    connection.execute(sa.text(f"INSERT INTO {table} ({names}) VALUES ({marks})"), row)


@pytest.fixture(params=["sqlite", "postgresql"])
def old_storage(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Iterator[SqlStorage]:
    """A database of 0002: one job that has published its model, one that waits."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'old.db'}"
    else:
        postgres: Postgres = request.getfixturevalue("postgres")
        url = postgres.url(postgres.make_database())
    storage = SqlStorage.at(url)
    migrate(storage.engine, revision="0002")
    done = {"state": "SUCCEEDED", "end_time": 2, "model_version": VERSION, "epoch": 1, "recorded_step": 10}
    with storage.engine.begin() as connection:
        for table, row in ROWS[:2]:
            insert(connection, table, row)
        insert(connection, "job", job_row("j", **done))
        insert(connection, "job", job_row("waits"))
        for table, row in ROWS[2:]:
            insert(connection, table, row)
    yield storage
    storage.close()


def test_what_was_there_is_work_of_the_kind_train(old_storage: SqlStorage) -> None:
    assert current_revision(old_storage.engine) == "0002"
    assert migrate(old_storage.engine) == newest_revision() == current_revision(old_storage.engine)
    with old_storage.read() as uow:
        done, waits = uow.jobs.find("own", "j"), uow.jobs.find("own", "waits")
        version = uow.models.find_version("own", "plays-tiny", 1)
        dataset = uow.datasets.find("own", "plays")
        metric = uow.metrics.at("j", step=1)
        newest = uow.checkpoints.newest_usable("j")
    assert done is not None and waits is not None
    assert (done.kind, done.state, done.dataset_uid, done.training_s) == ("train", JobState.SUCCEEDED, "d", 1.5)
    assert isinstance(waits.spec, TrainSpec) and waits.spec.steps == 10
    assert version is not None and version.train == done.spec and version.parent_version == ""
    assert dataset is not None and dataset.row_statistics is None
    assert metric is not None and (metric.values, metric.data_chain) == ({"train/loss": 2}, "")
    assert newest is not None and not newest.abandoned


def test_every_row_is_still_there_and_still_belongs_to_its_job(old_storage: SqlStorage) -> None:
    migrate(old_storage.engine)
    with old_storage.engine.connect() as connection:
        counts = {name: connection.scalar(sa.text(f"SELECT count(*) FROM {name}")) for name, _ in ROWS}
    assert set(counts.values()) == {1}
    with pytest.raises(sa.exc.IntegrityError), old_storage.engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM job WHERE uid = 'j'"))


def test_a_database_that_came_forward_has_the_constraints_and_indexes_of_a_new_one(old_storage: SqlStorage) -> None:
    migrate(old_storage.engine)
    inspector = sa.inspect(old_storage.engine)
    for table in metadata.tables.values():
        checks = [check["name"] for check in inspector.get_check_constraints(table.name)]
        wanted = {each.name for each in table.constraints if isinstance(each, sa.CheckConstraint)}
        assert len(checks) == len(set(checks)) and set(checks) == wanted
        indexes = {index["name"] for index in inspector.get_indexes(table.name)}
        assert {index.name for index in table.indexes} <= indexes
    with pytest.raises(sa.exc.IntegrityError), old_storage.engine.begin() as connection:
        connection.execute(sa.text("UPDATE job SET kind = 'verify', dataset_uid = NULL, model_version = 'x'"))

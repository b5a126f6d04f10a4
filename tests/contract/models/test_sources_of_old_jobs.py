"""Jobs that were there before lineage was kept are found by what they began with, as if it always had been."""

import json
import pathlib
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from services.domain.lineage import Relation, sources_of
from services.domain.work import ExportFormat
from services.storage.schema import migrate
from services.storage.tables.lineage import job_source
from services.storage.unit_of_work import SqlStorage
from tests.contract.test_migrations import ROWS, insert, job_row
from tests.support.postgres import Postgres

VERSION, OTHER = "projects/own/models/tale/versions/1", "projects/own/models/tale/versions/2"
CHECKPOINT = "projects/own/jobs/train/checkpoints/5"
EXPORT = {"model": VERSION, "format": ExportFormat.GGUF.value}
JOBS = {
    "train": ("train", {}, {"mixture_uids": '["e"]', "tokenizer_uid": "t"}),
    "tune": ("fine_tune", {"base": VERSION}, {}),
    "go-on": ("fine_tune", {"base": CHECKPOINT}, {}),
    "import": ("import_model", {"dataset": "x", "model": "tale", "base": OTHER}, {}),
    "import-old": ("import_model", {"dataset": "x", "model": "tale"}, {}),
    "export": ("export_model", EXPORT, {"dataset_uid": None, "dataset_id": ""}),
    "verify": ("verify", {"job": "projects/own/jobs/train", "first_step": 1, "steps": 2}, {}),
}
WANTED = {
    "train": {("d", "TRAINED_ON"), ("e", "TRAINED_ON"), ("t", "TOKENIZED_BY")},
    "tune": {("d", "TRAINED_ON"), (VERSION, "TUNED_FROM")},
    "go-on": {("d", "TRAINED_ON"), ("projects/own/jobs/train", "TUNED_FROM")},
    "import": {("d", "IMPORTED_FROM"), (OTHER, "MERGED_INTO")},
    "import-old": {("d", "IMPORTED_FROM")},
    "export": {(VERSION, "EXPORTED_FROM")},
    "verify": {("projects/own/jobs/train", "VERIFIED")},
}


@pytest.fixture(params=["sqlite", "postgresql"])
def old_storage(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Iterator[SqlStorage]:
    """A database of 0003 with a job of every kind."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'old.db'}"
    else:
        postgres: Postgres = request.getfixturevalue("postgres")
        url = postgres.url(postgres.make_database())
    storage = SqlStorage.at(url)
    migrate(storage.engine, revision="0003")
    with storage.engine.begin() as connection:
        for table, row in ROWS[:2]:
            insert(connection, table, row)
        for uid, (kind, spec, columns) in JOBS.items():
            given = {"spec": json.dumps(spec)} if spec else {}
            insert(connection, "job", job_row(uid, kind=kind, **given, **columns))
    yield storage
    storage.close()


def test_sources_are_found_in_old_specifications(old_storage: SqlStorage) -> None:
    migrate(old_storage.engine)
    found: dict[str, set[tuple[str, str]]] = {}
    with old_storage.engine.connect() as connection:
        for row in connection.execute(sa.select(job_source)):
            found.setdefault(row.job_uid, set()).add((row.source, row.relation))
    assert found == WANTED


def test_they_are_those_that_a_new_job_would_have(old_storage: SqlStorage) -> None:
    migrate(old_storage.engine)
    with old_storage.read() as uow:
        for uid in ("train", "import", "import-old", "export", "verify"):
            job = uow.jobs.find("own", uid)
            assert job is not None
            assert {(each.source, each.relation.value) for each in sources_of(job)} == WANTED[uid]


def test_every_relation_has_words_of_its_own() -> None:
    assert len({relation.words for relation in Relation}) == len(Relation)

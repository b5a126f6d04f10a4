"""The migrations make the tables of the code, on both databases, and constraints stand behind the domain."""

import pathlib

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from services.domain.job_states import JobState
from services.storage.schema import current_revision, migrate, newest_revision
from services.storage.tables import metadata
from services.storage.tables.jobs import attempt, event, job, metric
from services.storage.unit_of_work import SqlStorage
from tests.support.houses import Bench, step_fact


def test_the_migrated_schema_is_that_of_the_tables(storage: SqlStorage) -> None:
    with storage.engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection, opts={"compare_type": False}), metadata)
    assert [each for each in differences if each[0] not in ("add_table_comment", "remove_table_comment")] == []


def test_migrated_checks_are_those_of_the_tables(storage: SqlStorage) -> None:
    found = {
        (table, check["name"])
        for table in metadata.tables
        for check in sa.inspect(storage.engine).get_check_constraints(table)
    }
    wanted = {
        (table.name, constraint.name)
        for table in metadata.tables.values()
        for constraint in table.constraints
        if isinstance(constraint, sa.CheckConstraint)
    }
    assert found == wanted


def test_migrating_twice_changes_nothing(storage: SqlStorage) -> None:
    assert migrate(storage.engine) == newest_revision() == current_revision(storage.engine)


def test_an_empty_database_has_no_revision(tmp_path: pathlib.Path) -> None:
    storage = SqlStorage.at(f"sqlite:///{tmp_path / 'empty.db'}")
    assert current_revision(storage.engine) is None
    storage.close()


@pytest.mark.parametrize("state", ["SLEEPING", *(state.value for state in JobState if state is not JobState.QUEUED)])
def test_no_state_can_be_written_that_the_row_does_not_bear(bench: Bench, state: str) -> None:
    """A queued row has no lease, no end, no failure and no version; every other state needs one, or is no state."""
    if state in ("BACKOFF", "PAUSED"):
        return
    uid = bench.submit().uid
    with pytest.raises(sa.exc.IntegrityError), bench.storage.engine.begin() as connection:
        connection.execute(sa.update(job).where(job.c.uid == uid).values(state=state))


def test_the_second_fences_hold_without_the_first(bench: Bench) -> None:
    assignment = bench.started()
    bench.report(assignment, step_fact(1, step=1))
    uid = assignment.job.uid
    rows = [
        (metric, {"job_uid": uid, "lineage": 1, "step": 1, "seq": 99, "time": 0, "epoch": 9, "body": {}}),
        (metric, {"job_uid": uid, "lineage": 1, "step": 2, "seq": 4, "time": 0, "epoch": 9, "body": {}}),
        (event, {"job_uid": uid, "seq": 1, "time": 0, "epoch": 9, "kind": "note", "body": {}}),
        (attempt, _open_attempt(uid, epoch=2)),
        (attempt, _open_attempt(uid, epoch=1)),
    ]
    for table, values in rows:
        with pytest.raises(sa.exc.IntegrityError), bench.storage.engine.begin() as connection:
            connection.execute(sa.insert(table), _with_times(values))


def _open_attempt(uid: str, *, epoch: int) -> dict[str, object]:
    words = {"worker_id": "w", "claim_id": f"c{epoch}", "message": ""}
    numbers = {"first_recorded_step": 0, "last_fact_seq": 0, "steps": 0, "seconds": 0.0}
    return {"job_uid": uid, "epoch": epoch, "start_time": 0, **words, **numbers}


def _with_times(values: dict[str, object]) -> dict[str, object]:
    from tests.support.houses import A_TIME

    return {key: A_TIME if key in ("time", "start_time") else value for key, value in values.items()}

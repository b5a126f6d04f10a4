"""Units of work: all or nothing, reads that only read, and trouble in the words of the house."""

import datetime
import pathlib
import sqlite3
import threading

import pytest
import sqlalchemy as sa

from services.domain.errors import NoSpace, Unavailable
from services.storage.tables.projects import project
from services.storage.tables.workers import worker
from services.storage.unit_of_work import SqlStorage
from tests.support.houses import worker_info


def worker_count(storage: SqlStorage) -> int:
    with storage.engine.connect() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(worker)) or 0


def test_leaving_without_commit_changes_nothing(storage: SqlStorage) -> None:
    with storage.write() as uow:
        uow.workers.hear(worker_info("w1"), now=uow.now())
    assert worker_count(storage) == 0


def test_leaving_by_an_exception_changes_nothing(storage: SqlStorage) -> None:
    with pytest.raises(ZeroDivisionError), storage.write() as uow:
        uow.workers.hear(worker_info("w1"), now=uow.now())
        raise ZeroDivisionError
    assert worker_count(storage) == 0


def test_a_commit_is_there_for_everybody(storage: SqlStorage) -> None:
    with storage.write() as uow:
        uow.workers.hear(worker_info("w1"), now=uow.now())
        uow.commit()
    assert worker_count(storage) == 1


def test_a_unit_that_reads_cannot_write(storage: SqlStorage) -> None:
    with pytest.raises((Unavailable, sa.exc.DBAPIError)), storage.read() as uow:
        uow.workers.hear(worker_info("w1"), now=datetime.datetime.now(datetime.UTC))
        uow.commit()
    assert worker_count(storage) == 0


def test_a_unit_that_reads_sees_one_state(storage: SqlStorage) -> None:
    with storage.read() as reading:
        assert reading.workers.alive(now=reading.now(), lease_s=30) == []
        with storage.write() as writing:
            writing.workers.hear(worker_info("w1"), now=writing.now())
            writing.commit()
        assert reading.workers.alive(now=reading.now(), lease_s=30) == []


def test_the_time_of_the_database_goes_on_within_a_transaction(storage: SqlStorage) -> None:
    with storage.read() as uow:
        first = uow.now()
        while (second := uow.now()) == first:
            pass
    assert second > first
    assert abs((datetime.datetime.now(datetime.UTC) - second).total_seconds()) < 5


def test_a_connection_that_read_can_write_afterwards(storage: SqlStorage) -> None:
    for _ in range(3):
        with storage.read() as uow:
            uow.workers.alive(now=uow.now(), lease_s=30)
        with storage.write() as uow:
            uow.workers.hear(worker_info("w1"), now=uow.now())
            uow.commit()
    assert worker_count(storage) == 1


def test_times_come_back_as_they_went(storage: SqlStorage) -> None:
    time = datetime.datetime(2026, 2, 3, 4, 5, 6, 789012, tzinfo=datetime.UTC)
    values = {
        "id": "p",
        "uid": "u",
        "requests_per_second": 1.5,
        "streams_max": 1,
        "open_jobs_max": 1,
        "running_jobs_max": 1,
    }
    with storage.engine.begin() as connection:
        connection.execute(sa.insert(project).values(create_time=time, **values))
        assert connection.scalar(sa.select(project.c.create_time)) == time


def test_a_database_that_is_away_is_said_to_be_away() -> None:
    storage = SqlStorage.at("postgresql+psycopg://nobody@/nothing?host=/nonexistent")
    with pytest.raises(Unavailable) as caught, storage.read() as uow:
        uow.now()
    assert caught.value.retry_after_s == 1.0
    assert "nonexistent" not in caught.value.message


def test_what_the_database_says_is_told_to_operators_and_not_to_callers(
    sqlite_storage: SqlStorage, caplog: pytest.LogCaptureFixture
) -> None:
    with sqlite_storage.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE worker")
    with pytest.raises(Unavailable) as caught, sqlite_storage.write() as uow:
        uow.workers.hear(worker_info("not-for-the-log"), now=uow.now())
    assert "worker" not in caught.value.message
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "no such table" in caplog.text
    assert "not-for-the-log" not in caplog.text


def test_a_writer_that_stands_still_is_not_waited_for_without_end(
    sqlite_storage: SqlStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient = SqlStorage(sa.create_engine(sqlite_storage.engine.url, connect_args={"timeout": 0.05}))
    sa.event.listen(impatient.engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    with sqlite_storage.write() as frozen:
        frozen.workers.hear(worker_info("w1"), now=frozen.now())
        with pytest.raises(Unavailable), impatient.write() as uow:
            uow.now()
    impatient.close()


def test_a_full_disk_is_said_to_be_full(sqlite_storage: SqlStorage) -> None:
    with sqlite_storage.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
    sa.event.listen(sqlite_storage.engine, "begin", lambda c: c.exec_driver_sql(f"PRAGMA max_page_count = {pages}"))
    with pytest.raises(NoSpace), sqlite_storage.write() as uow:
        for number in range(10_000):
            uow.outbox.add(str(number) * 5, due_time=datetime.datetime.now(datetime.UTC))


def test_sqlite_keeps_what_it_said_it_keeps(sqlite_storage: SqlStorage) -> None:
    with sqlite_storage.engine.connect() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2}


def test_postgresql_never_waits_without_end(postgresql_storage: SqlStorage) -> None:
    names = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")
    with postgresql_storage.engine.connect() as connection:
        assert [connection.exec_driver_sql(f"SHOW {name}").scalar() for name in names] == ["5s", "30s", "15s"]


def test_only_the_two_databases_are_known(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ValueError, match="postgresql"):
        SqlStorage.at("mysql://localhost/x")
    assert sqlite3.sqlite_version_info >= (3, 35), "RETURNING is needed"


def test_writers_of_one_process_take_turns_at_sqlite(sqlite_storage: SqlStorage) -> None:
    """The one that waits is woken when its turn has come, and does not look again and again."""
    order: list[str] = []

    def write(name: str) -> None:
        with sqlite_storage.write() as uow:
            order.append(name)
            uow.workers.hear(worker_info(name), now=uow.now())
            uow.commit()

    with sqlite_storage.write() as uow:
        waiting = [threading.Thread(target=write, args=(f"w{number}",)) for number in range(4)]
        for thread in waiting:
            thread.start()
        assert order == []
        uow.commit()
        assert order == [], "the turn ends with the unit of work, and not with its commit"
    for thread in waiting:
        thread.join(10)
    assert sorted(order) == ["w0", "w1", "w2", "w3"]
    assert worker_count(sqlite_storage) == 4


def test_whose_turn_does_not_come_is_told_to_try_again(
    sqlite_storage: SqlStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.storage.unit_of_work.BUSY_TIMEOUT_S", 0.01)
    with sqlite_storage.write(), pytest.raises(Unavailable, match="busy"), sqlite_storage.write():
        pass
    with sqlite_storage.write() as uow:
        uow.workers.hear(worker_info("w1"), now=uow.now())
        uow.commit()
    assert worker_count(sqlite_storage) == 1

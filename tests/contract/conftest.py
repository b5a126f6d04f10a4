"""Both databases, migrated once, and empty for every test."""

import pathlib
import shutil
import tempfile
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from services.storage.schema import migrate
from services.storage.tables import metadata
from services.storage.unit_of_work import SqlStorage
from tests.support.houses import Bench, make_bench
from tests.support.postgres import Postgres, running_postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server that was started for these tests."""
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def fast_folder() -> Iterator[pathlib.Path]:
    """A folder in memory where there is one: what is tested here is not the disk."""
    memory = pathlib.Path("/dev/shm")
    folder = tempfile.mkdtemp(prefix="tutelage-", dir=memory if memory.is_dir() else None)
    yield pathlib.Path(folder)
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def sqlite_template(fast_folder: pathlib.Path) -> pathlib.Path:
    """A migrated database file, to be copied."""
    path = fast_folder / "template.db"
    storage = SqlStorage.at(f"sqlite:///{path}")
    migrate(storage.engine)
    storage.close()
    return path


@pytest.fixture
def sqlite_storage(sqlite_template: pathlib.Path) -> Iterator[SqlStorage]:
    """A database file of this test's own."""
    folder = pathlib.Path(tempfile.mkdtemp(dir=sqlite_template.parent))
    shutil.copy(sqlite_template, folder / "tutelage.db")
    storage = SqlStorage.at(f"sqlite:///{folder / 'tutelage.db'}")
    yield storage
    storage.close()
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgresql_migrated(postgres: Postgres) -> Iterator[SqlStorage]:
    """A migrated database of the server."""
    storage = SqlStorage.at(postgres.url(postgres.make_database()))
    migrate(storage.engine)
    yield storage
    storage.close()


@pytest.fixture
def postgresql_storage(postgresql_migrated: SqlStorage) -> SqlStorage:
    """That database, emptied: much faster than a new one."""
    with postgresql_migrated.engine.begin() as connection:
        # As a replica would, past the triggers that keep the record from being changed.
        connection.execute(sa.text("SET LOCAL session_replication_role = replica"))
        for table in metadata.sorted_tables:
            connection.execute(sa.delete(table))
    return postgresql_migrated


@pytest.fixture(params=["sqlite", "postgresql"])
def storage(request: pytest.FixtureRequest) -> SqlStorage:
    """Either database, with the tables and nothing in them."""
    opened: SqlStorage = request.getfixturevalue(f"{request.param}_storage")
    return opened


@pytest.fixture
def bench(storage: SqlStorage, tmp_path: pathlib.Path) -> Bench:
    """A house on it, with a project and a dataset."""
    return make_bench(storage, artifacts_dir=tmp_path / "artifacts")

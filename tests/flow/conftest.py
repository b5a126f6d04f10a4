"""Houses that flow tests start, on both databases."""

import pathlib
from collections.abc import Iterator

import pytest

from tests.support.postgres import Postgres, running_postgres
from tests.support.stack import Stack, running_stack


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A house on SQLite, shared by the tests of one module."""
    with running_stack(tmp_path_factory.mktemp("house")) as running:
        yield running


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    """A data folder for a house of the test's own."""
    return tmp_path / "data"


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[Postgres]:
    """A real PostgreSQL server."""
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="module")
def postgresql_url(postgresql_server: Postgres) -> str:
    """The URL of an empty database, shared by the tests of one module: houses have folders of their own, too."""
    return postgresql_server.url(postgresql_server.make_database())

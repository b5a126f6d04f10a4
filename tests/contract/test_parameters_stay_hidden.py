"""What people upload and what keys hash to is in no error of the database, and so in no log."""

import pytest
import sqlalchemy as sa

from services.storage.unit_of_work import SqlStorage


def test_an_error_of_the_database_does_not_show_the_values(storage: SqlStorage) -> None:
    with pytest.raises(sa.exc.DBAPIError) as caught, storage.engine.begin() as connection:
        connection.execute(sa.text("SELECT * FROM no_such_table WHERE x = :secret"), {"secret": "canary"})
    assert "canary" not in str(caught.value)

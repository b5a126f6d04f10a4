"""One page of a list, in SQL: after the last key of the page before, and one row more than asked for."""

import contextlib
from collections.abc import Callable
from typing import Any, TypeVar

import sqlalchemy as sa

from services.domain.pages import Page, until_full

_ROWS_AT_ONCE = 20  # of long ones: a row may hold ten answers of 100,000 characters
T = TypeVar("T")


def page_of(query: sa.Select[Any], page: Page, *keys: sa.ColumnElement[Any]) -> sa.Select[Any]:
    """Return the query for a page, ordered by the keys, which together are unique."""
    position = sa.tuple_(*keys)
    if page.after is not None:
        last = sa.tuple_(*(sa.literal(value, key.type) for value, key in zip(page.after, keys, strict=True)))
        query = query.where(position < last if page.descending else position > last)
    ordered = [key.desc() if page.descending else key.asc() for key in keys]
    return query.order_by(*ordered).limit(page.size + 1)


def read_long(connection: sa.Connection, query: sa.Select[Any], noun: Callable[[Any], T]) -> list[T]:
    """Return what long rows say, no more of them than one message holds and one that is beyond it."""
    rows = connection.execute(query.execution_options(yield_per=_ROWS_AT_ONCE))
    with contextlib.closing(rows):
        return until_full(map(noun, rows))

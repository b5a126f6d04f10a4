"""One page of a list, in SQL: after the last key of the page before, and one row more than asked for."""

from typing import Any

import sqlalchemy as sa

from services.domain.pages import Page


def page_of(query: sa.Select[Any], page: Page, *keys: sa.ColumnElement[Any]) -> sa.Select[Any]:
    """Return the query for a page, ordered by the keys, which together are unique."""
    position = sa.tuple_(*keys)
    if page.after is not None:
        last = sa.tuple_(*(sa.literal(value, key.type) for value, key in zip(page.after, keys, strict=True)))
        query = query.where(position < last if page.descending else position > last)
    ordered = [key.desc() if page.descending else key.asc() for key in keys]
    return query.order_by(*ordered).limit(page.size + 1)

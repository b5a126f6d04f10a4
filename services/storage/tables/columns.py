"""Kinds of columns that every table shares."""

import datetime
import enum
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND = datetime.timedelta(microseconds=1)

Id = sa.String(63)
Name = sa.String(300)
Sha256 = sa.String(64)
Json = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
NullableJson = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
Count = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""A number that may grow; SQLite counts up by itself only in columns that are called INTEGER."""


class Instant(sa.types.TypeDecorator[datetime.datetime]):
    """A moment, stored as microseconds since 1970 in UTC: the same order and arithmetic on both databases."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime.datetime | None, dialect: sa.Dialect) -> int | None:
        return None if value is None else (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: int | None, dialect: sa.Dialect) -> datetime.datetime | None:
        return None if value is None else _EPOCH + datetime.timedelta(microseconds=value)


def required(name: str, kind: Any, *constraints: Any, **options: Any) -> sa.Column[Any]:
    """Return a column that always has a value."""
    return sa.Column(name, kind, *constraints, nullable=False, **options)


def uid(name: str = "uid", **options: Any) -> sa.Column[Any]:
    """Return a column with a UUID in its usual spelling."""
    return sa.Column(name, sa.String(36), nullable=False, **options)


def one_of(column: str, members: type[enum.Enum]) -> sa.CheckConstraint:
    """Return the CHECK that a column holds one of the words of an enum."""
    return sa.CheckConstraint(f"{column} IN ({words(members)})", name=column)


def words(members: Iterable[enum.Enum]) -> str:
    """Return the words of an enum as SQL literals, in their order."""
    return words_of(member.value for member in members)


def words_of(values: Iterable[str]) -> str:
    """Return words as SQL literals."""
    return ", ".join(f"'{value}'" for value in values)

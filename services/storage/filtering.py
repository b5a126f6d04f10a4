"""Filters of the domain as SQL."""

import operator
from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa

from services.domain.filters import AllOf, AnyOf, Filter, Not, Restriction

Condition = sa.ColumnElement[bool]
Meaning = Callable[[Restriction], Condition]

_OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def condition_of(filter_: Filter, meanings: Mapping[str, Meaning]) -> Condition:
    """Return the condition for a filter, given what each of its fields means in SQL."""
    match filter_:
        case AllOf(operands):
            return sa.and_(sa.true(), *(condition_of(each, meanings) for each in operands))
        case AnyOf(operands):
            return sa.or_(sa.false(), *(condition_of(each, meanings) for each in operands))
        case Not(operand):
            return sa.not_(condition_of(operand, meanings))
        case Restriction():
            return meanings[filter_.field](filter_)


def column_meaning(column: sa.Column[Any]) -> Meaning:
    """Return the meaning of a field that is a column. What is unset equals nothing, and differs from everything."""

    def meaning(restriction: Restriction) -> Condition:
        compared = _OPERATORS[restriction.operator](column, restriction.value)
        return sa.func.coalesce(compared, restriction.operator == "!=") if column.nullable else compared

    return meaning

"""Filters of lists: the part of AIP-160 that our fields need.

`state = RUNNING AND labels.team = "search" AND NOT (model = plays-tiny OR create_time < "2026-01-01T00:00:00Z")`.
As in AIP-160, OR binds tighter than AND. Source: https://google.aip.dev/160.
"""

import dataclasses
import datetime
import enum
import re
from collections.abc import Callable, Mapping

from services.domain.errors import InvalidField
from services.domain.limits import FILTER_CHARACTERS_MAX, FILTER_TERMS_MAX
from services.domain.names import did_you_mean

Value = str | datetime.datetime


@dataclasses.dataclass(frozen=True)
class Restriction:
    """A field compared with a value; `key` is the part after the dot of `labels.team`."""

    field: str
    operator: str
    value: Value
    key: str = ""


@dataclasses.dataclass(frozen=True)
class Not:
    """The opposite."""

    operand: "Filter"


@dataclasses.dataclass(frozen=True)
class AllOf:
    """Every one of these; none of them means everything."""

    operands: tuple["Filter", ...] = ()


@dataclasses.dataclass(frozen=True)
class AnyOf:
    """At least one of these."""

    operands: tuple["Filter", ...]


Filter = Restriction | Not | AllOf | AnyOf
EVERYTHING = AllOf()

_EQUALITY = ("=", "!=")
_ORDER = ("=", "!=", "<", "<=", ">", ">=")


@dataclasses.dataclass(frozen=True, kw_only=True)
class FilterField:
    """A field that may be named in a filter."""

    operators: tuple[str, ...]
    read: Callable[[str], Value]
    has_keys: bool = False


def text_field() -> FilterField:
    """Return a field that is compared with text; of a resource name the last part counts."""
    return FilterField(operators=_EQUALITY, read=lambda text: text.rsplit("/", 1)[-1])


def enum_field(members: type[enum.Enum]) -> FilterField:
    """Return a field that is one of some words."""

    def read(text: str) -> Value:
        if text not in members.__members__:
            raise ValueError(
                f"must be one of {', '.join(members.__members__)}{did_you_mean(text, members.__members__)}"
            )
        return text

    return FilterField(operators=_EQUALITY, read=read)


def time_field() -> FilterField:
    """Return a field that is compared with a time of RFC 3339."""

    def read(text: str) -> Value:
        try:
            time = datetime.datetime.fromisoformat(text)
        except ValueError:
            raise ValueError(f'must be a time such as "2026-01-31T12:00:00Z", got {text!r}') from None
        return time if time.tzinfo else time.replace(tzinfo=datetime.UTC)

    return FilterField(operators=_ORDER, read=read)


def map_field() -> FilterField:
    """Return a field with keys, each compared with text."""
    return FilterField(operators=_EQUALITY, read=lambda text: text, has_keys=True)


def parse_filter(text: str, *, fields: Mapping[str, FilterField]) -> Filter:
    """Return the meaning of a filter; an empty one means everything. Raises: InvalidField that names what is wrong."""
    if not text.strip():
        return EVERYTHING
    if len(text) > FILTER_CHARACTERS_MAX:
        raise InvalidField.of("filter", f"must be at most {FILTER_CHARACTERS_MAX} characters, got {len(text)}")
    try:
        return _Parser(text, fields).parse()
    except ValueError as error:
        raise InvalidField.of("filter", str(error)) from None


_TOKEN = re.compile(
    r"""\s*(?:(?P<punctuation>[()]|!=|<=|>=|[=<>:])|"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<word>[^\s()=<>!:"]+(?::[^\s()"]+)*))"""
)


class _Parser:
    """A recursive descent over the tokens of one filter."""

    def __init__(self, text: str, fields: Mapping[str, FilterField]) -> None:
        self._tokens = _tokens(text)
        self._place = 0
        self._fields = fields
        self._terms = 0

    def parse(self) -> Filter:
        filter_ = self._all()
        if self._place < len(self._tokens):
            raise ValueError(f"{self._tokens[self._place][1]!r} is not expected here")
        return filter_

    def _all(self) -> Filter:
        operands = [self._any()]
        while self._take("AND"):
            operands.append(self._any())
        return operands[0] if len(operands) == 1 else AllOf(tuple(operands))

    def _any(self) -> Filter:
        operands = [self._term()]
        while self._take("OR"):
            operands.append(self._term())
        return operands[0] if len(operands) == 1 else AnyOf(tuple(operands))

    def _term(self) -> Filter:
        self._terms += 1
        if self._terms > FILTER_TERMS_MAX:
            raise ValueError(f"must have at most {FILTER_TERMS_MAX} terms")
        if self._take("NOT"):
            return Not(self._term())
        if self._take("("):
            inner = self._all()
            if not self._take(")"):
                raise ValueError("a bracket is not closed")
            return inner
        return self._restriction()

    def _restriction(self) -> Filter:
        name, key = self._field_name()
        field = self._field(name, key)
        operator = self._next("an operator")
        if operator not in field.operators:
            raise ValueError(f"{name} can be compared with {' '.join(field.operators)}, not with {operator!r}")
        try:
            return Restriction(name, operator, field.read(self._next("a value")), key)
        except ValueError as error:
            raise ValueError(f"{name} {error}") from None

    def _field_name(self) -> tuple[str, str]:
        name, _, key = self._next("a field").partition(".")
        return name, key

    def _field(self, name: str, key: str) -> FilterField:
        field = self._fields.get(name)
        if field is None:
            raise ValueError(
                f"unknown field {name!r}{did_you_mean(name, self._fields)}; known are {', '.join(self._fields)}"
            )
        if field.has_keys != bool(key):
            raise ValueError(
                f"{name} needs a key, as in {name}.KEY" if field.has_keys else f"{name} has no key {key!r}"
            )
        return field

    def _next(self, expected: str) -> str:
        if self._place == len(self._tokens):
            raise ValueError(f"ends where {expected} is expected")
        self._place += 1
        return self._tokens[self._place - 1][1]

    def _take(self, word: str) -> bool:
        taken = self._place < len(self._tokens) and self._tokens[self._place] == ("plain", word)
        self._place += taken
        return taken


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens, place, end = [], 0, len(text.rstrip())
    while place < end:
        match = _TOKEN.match(text, place)
        if match is None:
            raise ValueError(f"{text[place:].strip()[:20]!r} cannot be read")
        quoted = match["quoted"]
        kind = "plain" if quoted is None else "quoted"
        tokens.append(
            (kind, match["punctuation"] or match["word"] if quoted is None else re.sub(r"\\(.)", r"\1", quoted))
        )
        place = match.end()
    return tokens

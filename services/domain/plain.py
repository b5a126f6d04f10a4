"""Nouns as plain values, the way a row keeps them: objects, lists, strings, numbers.

A key that is missing takes the default of its field, so that what was kept by an earlier version can still be read.
"""

import dataclasses
import enum
import functools
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

N = TypeVar("N")


def to_plain(noun: Any) -> dict[str, Any]:
    """Return plain values that `from_plain` turns back."""
    return dataclasses.asdict(noun, dict_factory=_plain)


def from_plain(kind: type[N], plain: Mapping[str, Any]) -> N:
    """Return the noun behind plain values.

    Raises: TypeError for a key that is no field, or a missing one that has no default; ValueError for an enum value
    that is not known.
    """
    hints = _hints(typing.cast(Any, kind))
    return kind(**{name: _read(hints[name], value) if name in hints else value for name, value in plain.items()})


def _plain(items: list[tuple[str, Any]]) -> dict[str, Any]:
    return {key: value.value if isinstance(value, enum.Enum) else value for key, value in items}


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _read(hint: Any, value: Any) -> Any:
    if value is None:
        return None
    if isinstance(hint, types.UnionType):
        (hint,) = (each for each in typing.get_args(hint) if each is not types.NoneType)
    if typing.get_origin(hint) is tuple:
        return tuple(_read(typing.get_args(hint)[0], item) for item in value)
    if dataclasses.is_dataclass(hint):
        return from_plain(typing.cast(type, hint), value)
    return hint(value) if isinstance(hint, type) and issubclass(hint, enum.Enum) else value

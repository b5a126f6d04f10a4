"""Which columns of a Parquet file are read, and of which types. Part of the process that reads the file."""

from collections.abc import Callable
from typing import Any

TURN, CHECK = ("role", "content"), ("name", "argument")
_NEEDED = "`text`, `prompt` and `completion`, or `messages`"
_TALK = "a list of structs with the texts `role` and `content`"


class FileRefused(Exception):
    """The file cannot be read as rows."""


def columns_of(schema: Any) -> dict[str, tuple[str, ...]]:
    """Return the columns that are read, each with the fields of the structs that it lists, none for plain values.

    Raises: FileRefused for a column that is of no fitting type, or if there is none to read.
    """
    names = [name for name in _COLUMNS if name in schema.names and _is_read(name, schema.names)]
    if not names:
        there = ", ".join(schema.names[:20]) or "none"
        raise FileRefused(f"its columns are {there}; {_NEEDED} is needed, or what judged answers are made of")
    return {name: _fields(name, schema) for name in names}


def _is_read(name: str, names: list[str]) -> bool:
    """Whether a column means something beside the others: many files have a column of their own that is called so."""
    return all(other in names for other in _BESIDE.get(name, ()))


def _fields(name: str, schema: Any) -> tuple[str, ...]:
    if schema.names.count(name) > 1:
        raise FileRefused(f"the column `{name}` is there twice")
    kind = schema.field(name).type
    wanted, fits, fields = _COLUMNS[name]
    if not fits(kind):
        raise FileRefused(f"the column `{name}` must be {wanted}, not {str(kind)[:200]}")
    return () if _is_text(kind) else fields


def _is_text(kind: Any) -> bool:
    from pyarrow import types

    kind = kind.value_type if types.is_dictionary(kind) else kind
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def _is_conversation(kind: Any) -> bool:
    return _texts_of_structs(kind) >= set(TURN)


def _is_said(kind: Any) -> bool:
    return _is_text(kind) or _is_conversation(kind)


def _are_checks(kind: Any) -> bool:
    return "name" in _texts_of_structs(kind)


def _is_true_or_false(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_boolean(kind))


def _is_number(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_integer(kind) or types.is_floating(kind))


def _texts_of_structs(kind: Any) -> set[str]:
    """Return the names of the texts in the structs that a column lists; none for any other column."""
    from pyarrow import types

    if not (types.is_list(kind) or types.is_large_list(kind)) or not types.is_struct(kind.value_type):
        return set()
    return {field.name for field in kind.value_type if _is_text(field.type)}


_Fits = Callable[[Any], bool]
_COLUMNS: dict[str, tuple[str, _Fits, tuple[str, ...]]] = {
    "text": ("text", _is_text, ()),
    "prompt": (f"text, or {_TALK}", _is_said, TURN),
    "completion": (f"text, or {_TALK}", _is_said, TURN),
    "messages": (_TALK, _is_conversation, TURN),
    "chosen": (f"text, or {_TALK}", _is_said, TURN),
    "rejected": (f"text, or {_TALK}", _is_said, TURN),
    "label": ("true or false", _is_true_or_false, ()),
    "weight": ("a number", _is_number, ()),
    "checks": ("a list of structs with the texts `name` and `argument`", _are_checks, CHECK),
}
_BESIDE = {"label": ("prompt", "completion"), "weight": ("chosen", "rejected"), "checks": ("prompt",)}

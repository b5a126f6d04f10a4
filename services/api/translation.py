"""The step between protobuf messages and the nouns of the house, field by field and by name.

A noun and its message have the same field names, so one pair of functions serves all of them. Enum values lose their
prefix (`JOB_STATE_QUEUED` is `JobState.QUEUED`; unspecified is None, or `AUTO` where the house has a word for it),
unset fields are None, timestamps are aware datetimes in UTC, `duration_seconds` is `duration_s`. What differs more is
said by the servicer that knows why.
"""

import dataclasses
import datetime
import enum
import functools
import re
import types
import typing
from collections.abc import Callable
from typing import Any, TypeVar, cast

from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp

FieldDescriptor = Any  # there is one of upb and one of pure Python; the stubs know them as two types
_TIMESTAMP = Timestamp.DESCRIPTOR.full_name
_ABSENT: Any = object()

M = TypeVar("M", bound=Message)
N = TypeVar("N")


def to_message(noun: object, kind: type[M], **said: Any) -> M:
    """Return the message that tells the noun; `said` are the fields that do not follow from it by name.

    Fields that the noun does not know stay unset; a test knows which those are.
    """
    message = kind()
    for field in kind.DESCRIPTOR.fields:
        value = said[field.name] if field.name in said else _attribute(noun, field)
        if value is not _ABSENT and value is not None:
            _set(message, field, value)
    return message


def from_message(message: Message, kind: type[N]) -> N:
    """Return the noun that the message describes; what the message does not know keeps its default."""
    kinds: tuple[Any, Any] = (kind, type(message))
    read: Callable[[Message], N] = _reader(*kinds)
    return read(message)


def enum_number(field: FieldDescriptor, value: enum.Enum) -> int:
    """Return the number of an enum value in the field's enum."""
    known = field.enum_type.values_by_name
    prefix = _enum_prefix(field.enum_type.name)
    number: int = known[prefix + ("UNSPECIFIED" if value.name == "AUTO" else value.name)].number
    return number


def _attribute(noun: object, field: FieldDescriptor) -> Any:
    value = getattr(noun, field.name, _ABSENT)
    return getattr(noun, _in_house_unit(field.name), _ABSENT) if value is _ABSENT else value


def _in_house_unit(name: str) -> str:
    return re.sub(r"_seconds$", "_s", name)


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _set(message: Message, field: FieldDescriptor, value: Any) -> None:
    if _is_map(field):
        getattr(message, field.name).update(value)
    elif field.is_repeated:
        getattr(message, field.name).extend(_to_wire(field, item) for item in value)
    elif field.message_type is not None:
        getattr(message, field.name).CopyFrom(_to_wire(field, value))
    else:
        setattr(message, field.name, _to_wire(field, value))


def _to_wire(field: FieldDescriptor, value: Any) -> Any:
    if field.message_type is not None:
        if field.message_type.full_name == _TIMESTAMP:
            stamp = Timestamp()
            stamp.FromDatetime(value)
            return stamp
        return value if isinstance(value, Message) else to_message(value, GetMessageClass(field.message_type))
    return enum_number(field, value) if field.enum_type is not None else value


@functools.cache
def _enum_prefix(enum_name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", enum_name).upper() + "_"


@functools.cache
def _reader(kind: Any, message_type: Any) -> Callable[[Message], Any]:
    hints = typing.get_type_hints(kind)
    fields = message_type.DESCRIPTOR.fields_by_name
    parts = {
        part.name: _field_reader(fields[part.name], hints[part.name])
        for part in dataclasses.fields(kind)
        if part.init and part.name in fields
    }

    def read(message: Message) -> Any:
        values = {name: part(message) for name, part in parts.items()}
        return kind(**{name: value for name, value in values.items() if value is not _ABSENT})

    return read


def _field_reader(field: FieldDescriptor, hint: Any) -> Callable[[Message], Any]:
    name = field.name
    target, optional = _without_none(hint)
    unset = None if optional else _ABSENT
    if _is_map(field):
        return lambda message: dict(getattr(message, name))
    if field.is_repeated:
        item = _value_reader(field, (typing.get_args(target) or (Any,))[0])
        return lambda message: tuple(item(value) for value in getattr(message, name))
    read = _value_reader(field, target)
    if field.enum_type is not None:
        return lambda message: read(getattr(message, name)) if getattr(message, name) else unset
    if field.has_presence:
        return lambda message: read(getattr(message, name)) if message.HasField(name) else unset
    return lambda message: read(getattr(message, name))


def _value_reader(field: FieldDescriptor, target: Any) -> Callable[[Any], Any]:
    if field.enum_type is not None:
        prefix, names = _enum_prefix(field.enum_type.name), field.enum_type.values_by_number
        return lambda number: target[names[number].name.removeprefix(prefix)]
    if field.message_type is None:
        return lambda value: value
    if field.message_type.full_name == _TIMESTAMP:
        return lambda stamp: stamp.ToDatetime(tzinfo=datetime.UTC)
    return cast(Callable[[Any], Any], _reader(target, _message_class(field)))


def _message_class(field: FieldDescriptor) -> Any:
    return GetMessageClass(field.message_type)


def _without_none(hint: Any) -> tuple[Any, bool]:
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        kinds = [kind for kind in typing.get_args(hint) if kind is not types.NoneType]
        return (kinds[0] if len(kinds) == 1 else hint), len(kinds) < len(typing.get_args(hint))
    return hint, False

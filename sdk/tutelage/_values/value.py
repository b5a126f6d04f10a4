"""The root of all values, with the one function that makes them from messages.

A value has the fields of its message, under the same names. Timestamps become aware datetimes, repeated fields tuples,
enums members of a StrEnum; what is unset becomes None. A field or an enum value that only a newer service knows is
passed over.
"""

import dataclasses
import datetime
import enum
import functools
import types
import typing
from collections.abc import Mapping
from typing import Any, Self


class WireEnum(enum.StrEnum):
    """An enum of the protos; a member's value is its name there without the prefix."""

    @classmethod
    def from_wire(cls, number: int, descriptor: Any) -> Self:
        """Returns the member for a number on the wire; UNSPECIFIED for one that is not known here."""
        known = descriptor.values_by_number.get(number)
        name = known.name.removeprefix(prefix_of(descriptor)) if known else "UNSPECIFIED"
        return cls(name) if name in cls.__members__ else cls("UNSPECIFIED")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Value:
    """A typed copy of one message of the service."""

    _message: Any = dataclasses.field(default=None, repr=False, compare=False)

    @classmethod
    def from_message(cls, message: Any, **more: Any) -> Self:
        """Returns the copy of a message."""
        hints = hints_of(cls)  # type: ignore[arg-type]
        fields = {name: read(message, name, hint) for name, hint in hints.items() if name not in more}
        return cls(_message=message, **fields, **more)

    def to_dict(self) -> dict[str, Any]:
        """Returns the message as JSON of the protos: original field names, every field without presence printed."""
        from google.protobuf.json_format import MessageToDict

        return MessageToDict(self._message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)


@functools.cache
def hints_of(cls: Any) -> Mapping[str, Any]:
    """Returns the type of each field that comes from the message."""
    hints = typing.get_type_hints(cls)
    return {f.name: hints[f.name] for f in dataclasses.fields(cls) if not f.name.startswith("_")}


def read(message: Any, name: str, hint: Any) -> Any:
    """Returns one field of a message as the type that its value wants."""
    name = name.removesuffix("_")
    field = message.DESCRIPTOR.fields_by_name[name]
    content = getattr(message, name)
    kind = plain_type(hint)
    if typing.get_origin(kind) is tuple:
        return tuple(convert(item, field, typing.get_args(kind)[0]) for item in content)
    if typing.get_origin(kind) is Mapping:
        return types.MappingProxyType(dict(content))
    if field.has_presence and not message.HasField(name):
        return None
    return convert(content, field, kind)


def convert(content: Any, field: Any, kind: Any) -> Any:
    """Returns one message, timestamp, enum value or scalar as the type that its value wants."""
    if kind is datetime.datetime:
        return content.ToDatetime(tzinfo=datetime.UTC)
    if isinstance(kind, type) and issubclass(kind, Value):
        return kind.from_message(content)
    if isinstance(kind, type) and issubclass(kind, WireEnum):
        return kind.from_wire(content, field.enum_type)
    return content


def plain_type(hint: Any) -> Any:
    """Returns X for `X | None`."""
    if isinstance(hint, types.UnionType):
        return next(argument for argument in typing.get_args(hint) if argument is not types.NoneType)
    return hint


def prefix_of(descriptor: Any) -> str:
    """Returns what every name of an enum begins with: JOB_STATE_ for JobState."""
    return str(descriptor.values_by_number[0].name).removesuffix("UNSPECIFIED")

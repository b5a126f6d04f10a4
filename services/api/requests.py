"""What every request must be before it is looked at: readable, and without anything that nobody would read.

A field or an enum number that this version does not know is refused with its path: to drop it silently would do
something else than what was asked. Visitors' text holds no NUL, which no database keeps; what a trainer tells may,
and its verb sees to that.
"""

import hashlib
from collections.abc import Iterator
from typing import Any, TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet

from services.domain.errors import FieldViolation, InvalidField
from services.domain.names import check_request_id
from services.domain.pages import PageRequest
from services.domain.requests import NO_REQUEST_KEY, RequestKey

_VIOLATIONS_MAX = 20
M = TypeVar("M", bound=Message)


def read_request(data: bytes, kind: type[M]) -> M:
    """Return the request in these bytes. Raises: InvalidField with the path of each field that is not known."""
    try:
        message = kind.FromString(data)
    except DecodeError:
        raise InvalidField.of("request", f"is not a {kind.DESCRIPTOR.full_name} that can be read") from None
    violations = list(_first(_violations(message, path=""), _VIOLATIONS_MAX))
    if violations:
        raise InvalidField.of_all(violations)
    return message


def _violations(message: Message, *, path: str) -> Iterator[FieldViolation]:
    for unknown in UnknownFieldSet(message):  # type: ignore[attr-defined]
        yield FieldViolation(f"{path}{unknown.field_number}", "is a field number that this server does not know")
    for field, value in message.ListFields():
        for where, item in _items(field, value, path=path + field.name):
            if field.enum_type is not None and item not in field.enum_type.values_by_number:
                yield FieldViolation(where, f"{item} is not a value of {field.enum_type.name} that this server knows")
            elif isinstance(item, str) and "\0" in item and message.DESCRIPTOR.file.package == "tutelage.v1":
                yield FieldViolation(where, "must not hold NUL")
            elif isinstance(item, Message):
                yield from _violations(item, path=f"{where}.")


def _items(field: FieldDescriptor, value: Any, *, path: str) -> Iterator[tuple[str, Any]]:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        yield from ((f"{path}[{key!r}]", key) for key in value if isinstance(key, str))
        yield from ((f"{path}[{key!r}]", item) for key, item in value.items())
    elif field.is_repeated:
        yield from ((f"{path}[{index}]", item) for index, item in enumerate(value))
    else:
        yield path, value


def _first(violations: Iterator[FieldViolation], count: int) -> Iterator[FieldViolation]:
    for _, violation in zip(range(count), violations, strict=False):
        yield violation


def request_key(request: Message) -> RequestKey:
    """Return what makes a mutation repeatable: its request_id, and a hash of all the rest."""
    request_id = str(getattr(request, "request_id", ""))
    if not request_id:
        return NO_REQUEST_KEY
    body = type(request)()
    body.CopyFrom(request)
    body.ClearField("request_id")
    digest = hashlib.sha256(body.SerializeToString(deterministic=True)).hexdigest()
    return RequestKey(request_id=check_request_id(request_id), body_sha256=digest)


def page_request(request: Message) -> PageRequest:
    """Return which page of a list is asked for."""
    return PageRequest(size=getattr(request, "page_size"), token=getattr(request, "page_token"))  # noqa: B009

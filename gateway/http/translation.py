"""From the body of an HTTP request to the bytes of a message, and back."""

import asyncio
import difflib
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import grpc
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from gateway import limits
from gateway.refusals import Refused, invalid_fields

FAILED_FIELD = re.compile(r"Failed to parse (\w+) field: ")
NAMED_PATH = re.compile(r" at \w+\.([\w.]*\w)\.*$")


async def json_to_message(text: bytes, descriptor: Descriptor) -> bytes:
    """Returns the serialized message that a JSON text means.

    Raises: Refused (INVALID_ARGUMENT) that names each field which does not exist or cannot hold its value.
    """
    return await _beside_the_loop(_json_to_message, text, descriptor)


async def message_to_json(message: bytes, descriptor: Descriptor) -> bytes:
    """Returns a serialized message as one line of JSON."""
    return await _beside_the_loop(_message_to_json, message, descriptor)


async def _beside_the_loop(
    translate: Callable[[bytes, Descriptor], bytes], source: bytes, descriptor: Descriptor
) -> bytes:
    if len(source) <= limits.TRANSLATE_INLINE_BYTES_MAX:
        return translate(source, descriptor)
    return await asyncio.to_thread(translate, source, descriptor)


def _json_to_message(text: bytes, descriptor: Descriptor) -> bytes:
    value = _load(text)
    problems = dict(_problems(value, descriptor, ""))
    if problems:
        raise invalid_fields(problems)
    try:
        message = json_format.ParseDict(value, GetMessageClass(descriptor)(), max_recursion_depth=limits.JSON_DEPTH_MAX)
    except (json_format.ParseError, ValueError) as error:
        raise invalid_fields(dict([_violation(str(error))])) from None
    return message.SerializeToString()


def _message_to_json(message: bytes, descriptor: Descriptor) -> bytes:
    try:
        value = json_format.MessageToDict(GetMessageClass(descriptor).FromString(message))
    except DecodeError:
        raise Refused(grpc.StatusCode.INTERNAL, "The answer could not be translated to JSON.") from None
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _load(text: bytes) -> Any:
    if not text.strip():
        return {}
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except RecursionError:
        raise invalid_fields({"": f"The JSON is nested deeper than {limits.JSON_DEPTH_MAX} levels."}) from None
    except ValueError as error:
        raise invalid_fields({"": f"The body is not JSON: {error}."}) from None
    if _depth_exceeds(value, limits.JSON_DEPTH_MAX):
        raise invalid_fields({"": f"The JSON is nested deeper than {limits.JSON_DEPTH_MAX} levels."})
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} comes twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON value")


def _depth_exceeds(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_depth_exceeds(item, levels - 1) for item in inner)


def _problems(value: Any, descriptor: Descriptor, path: str) -> Iterator[tuple[str, str]]:
    """Yields what the protobuf parser would let pass or not name: fields that do not exist, and lists for messages."""
    if descriptor.full_name.startswith("google.protobuf."):
        return
    if not isinstance(value, dict):
        yield path, "an object is needed here"
        return
    fields = {name: field for field in descriptor.fields for name in (field.json_name, field.name)}
    for key, inner in value.items():
        if key not in fields:
            yield f"{path}.{key}".lstrip("."), f"there is no such field{_nearest(key, list(fields))}"
        elif inner is not None:
            yield from _problems_inside(inner, fields[key], f"{path}.{key}".lstrip("."))


def _problems_inside(value: Any, field: FieldDescriptor, path: str) -> Iterator[tuple[str, str]]:
    inner = field.message_type
    if inner is None:
        return
    if inner.GetOptions().map_entry:
        target = inner.fields_by_name["value"].message_type
        if target is not None and isinstance(value, dict):
            for key, item in value.items():
                yield from _problems(item, target, f"{path}.{key}")
    elif field.is_repeated and isinstance(value, list):
        for index, item in enumerate(value):
            yield from _problems(item, inner, f"{path}[{index}]")
    elif not field.is_repeated:
        yield from _problems(value, inner, path)


def _nearest(key: str, names: list[str]) -> str:
    nearest = difflib.get_close_matches(key, names, n=1)
    return f"; did you mean {nearest[0]!r}?" if nearest else ""


def _violation(text: str) -> tuple[str, str]:
    """Returns field and description from what the protobuf parser says in one sentence."""
    path = ".".join(FAILED_FIELD.findall(text))
    text = FAILED_FIELD.sub("", text)
    named = NAMED_PATH.search(text)
    if named:
        path, text = named[1], text[: named.start()]
    return path, text.rstrip(".") or "cannot be read"

"""How the messages of a stream follow one another over HTTP."""

import json
import struct
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import grpc
from google.protobuf.descriptor import Descriptor

from gateway import limits
from gateway.http.translation import json_to_message, message_to_json
from gateway.refusals import Refused

ENVELOPE = struct.Struct(">BI")
COMPRESSED, END = 1, 2

Translate = Callable[[bytes, Descriptor], Awaitable[bytes]]


class Frames(Protocol):
    """How one kind of client wants its stream."""

    media_type: str
    # Whether a stream that fails before its first message may still get the HTTP status of its error.
    status_first: bool

    async def request(self, body: bytes, descriptor: Descriptor) -> bytes:
        """Returns the one serialized request of a body."""

    async def message(self, message: bytes, descriptor: Descriptor) -> bytes:
        """Returns what is sent for a message."""

    def end(self, error: dict[str, Any] | None) -> bytes:
        """Returns what is sent at the end."""


class ConnectFrames:
    """Envelopes of the Connect protocol: a flag, a length, a message; the last one holds the error, if any."""

    status_first = False

    def __init__(self, media_type: str, *, decode: Translate, encode: Translate) -> None:
        self.media_type = media_type
        self._decode = decode
        self._encode = encode

    async def request(self, body: bytes, descriptor: Descriptor) -> bytes:
        """Returns the message of the one envelope."""
        if len(body) < ENVELOPE.size:
            raise _bad_envelope()
        flags, length = ENVELOPE.unpack_from(body)
        if flags & COMPRESSED:
            raise Refused(grpc.StatusCode.UNIMPLEMENTED, "Compressed messages are not taken; send identity.")
        if flags or len(body) != ENVELOPE.size + length:
            raise _bad_envelope()
        return await self._decode(body[ENVELOPE.size :], descriptor)

    async def message(self, message: bytes, descriptor: Descriptor) -> bytes:
        """Returns the message in an envelope."""
        payload = await self._encode(message, descriptor)
        return ENVELOPE.pack(0, len(payload)) + payload

    def end(self, error: dict[str, Any] | None) -> bytes:
        """Returns the last envelope."""
        payload = json.dumps({"error": error} if error else {}).encode()
        return ENVELOPE.pack(END, len(payload)) + payload


class JsonLines:
    """One JSON object a line, for curl: no envelope to take apart. An error is the last line."""

    media_type = "application/x-ndjson"
    status_first = True

    async def request(self, body: bytes, descriptor: Descriptor) -> bytes:
        """Returns the message that the JSON body means."""
        return await json_to_message(body, descriptor)

    async def message(self, message: bytes, descriptor: Descriptor) -> bytes:
        """Returns the message as a line."""
        return await message_to_json(message, descriptor) + b"\n"

    def end(self, error: dict[str, Any] | None) -> bytes:
        """Returns the error as a line, or nothing."""
        return json.dumps({"error": error}).encode() + b"\n" if error else b""


async def as_it_is(message: bytes, _descriptor: Descriptor) -> bytes:
    """Translates binary protobuf: not at all."""
    return message


def frames_for(content_type: str) -> Frames | None:
    """Returns the framing that a content type asks for on a server stream, if it is one that is spoken here."""
    if content_type == "application/connect+json":
        return ConnectFrames(content_type, decode=json_to_message, encode=message_to_json)
    if content_type == "application/connect+proto":
        return ConnectFrames(content_type, decode=as_it_is, encode=as_it_is)
    return JsonLines() if content_type == "application/json" else None


def _bad_envelope() -> Refused:
    return Refused(
        grpc.StatusCode.INVALID_ARGUMENT,
        "The body must be one envelope: a byte 0, four bytes of length, and a message of that length, at most"
        f" {limits.BODY_BYTES_MAX} bytes.",
    )

"""Who is calling: the gateway's signed word for a visitor, a room's own secret inside the house.

The signature says that the gateway checked a key a moment ago, for one method. It is not the last word: the verb that
looks the key up decides whether it still works, and its role is read there, never from the metadata.
"""

import dataclasses
import datetime
import hashlib
import hmac
from collections.abc import Mapping

from google.protobuf.message import DecodeError

from services.domain.errors import InvalidKey
from tutelage_internal.v1 import options_pb2
from tutelage_internal.v1.principal_pb2 import Principal, SignedPrincipal

PRINCIPAL = "x-tutelage-principal-bin"
REQUEST_ID = "x-request-id"
LIFETIME_S_MAX = 60
CLOCK_SKEW_S_MAX = 5

Metadata = tuple[tuple[str, str | bytes], ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Claim:
    """What is proved about a call: this key, for this method. `metadata` are kept for a principal that is passed on."""

    key_id: str
    project_id: str
    method: str
    request_id: str
    metadata: tuple[tuple[str, str | bytes], ...] = dataclasses.field(default=(), repr=False)


def single_value(metadata: Metadata, key: str) -> str | bytes | None:
    """Return the one value under a key, or None if there is none. Raises: InvalidKey if there are several."""
    values = [value for name, value in metadata if name == key]
    if len(values) > 1:
        raise InvalidKey(f"the metadata {key} is given more than once")
    return values[0] if values else None


def read_principal(metadata: Metadata, *, secret: bytes, now: datetime.datetime) -> Claim:
    """Return what the gateway says about the caller.

    Raises: InvalidKey unless the signature is the gateway's and still young.
    """
    value = single_value(metadata, PRINCIPAL)
    if not isinstance(value, bytes):
        raise InvalidKey("the call carries no principal; calls come through the gateway")
    principal = _verified(value, secret=secret)
    left_s = (principal.expire_time.ToDatetime(tzinfo=datetime.UTC) - now).total_seconds()
    if not 0 < left_s <= LIFETIME_S_MAX + CLOCK_SKEW_S_MAX:
        raise InvalidKey("the principal of the call is expired, or valid for too long")
    return Claim(
        key_id=principal.key_id,
        project_id=principal.project_id,
        method=principal.method,
        request_id=principal.request_id,
    )


def check_room(metadata: Metadata, *, room: int, secrets: Mapping[int, bytes]) -> None:
    """Check that a call comes from the one room that may make it. Raises: InvalidKey, without a hint."""
    value = single_value(metadata, "authorization")
    given = value.removeprefix("Bearer ") if isinstance(value, str) and value.startswith("Bearer ") else ""
    expected = secrets.get(room, b"")
    # A room without a secret, and a method without a room, are compared too: the answer takes the same time for all.
    same = hmac.compare_digest(_digest(given.encode()), _digest(expected.hex().encode()))
    if not (same and expected and room != options_pb2.ROOM_UNSPECIFIED):
        raise InvalidKey("the call does not come from the room that may make it")


def _verified(value: bytes, *, secret: bytes) -> Principal:
    try:
        signed = SignedPrincipal.FromString(value)
        principal = Principal.FromString(signed.principal)
    except DecodeError:
        raise InvalidKey("the principal of the call cannot be read") from None
    expected = hmac.new(secret, signed.principal, hashlib.sha256).digest()
    if not hmac.compare_digest(expected, signed.mac):
        raise InvalidKey("the principal of the call is not signed by the gateway")
    return principal


def _digest(value: bytes) -> bytes:
    return hashlib.sha256(value).digest()

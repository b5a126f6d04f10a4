"""Who is calling, and how that is proved."""

import datetime
import hashlib
import hmac

import pytest

from services.api.principals import PRINCIPAL, check_room, read_principal
from services.domain.errors import InvalidKey
from tutelage_internal.v1 import options_pb2
from tutelage_internal.v1.principal_pb2 import Principal, SignedPrincipal

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
SECRET = bytes(range(32))


def signed(*, secret: bytes = SECRET, seconds: float = 30, **values: str) -> tuple[tuple[str, bytes], ...]:
    principal = Principal(key_id="k", project_id="p", method="/tutelage.v1.Jobs/GetJob", **values)
    principal.expire_time.FromDatetime(NOW + datetime.timedelta(seconds=seconds))
    data = principal.SerializeToString()
    mac = hmac.new(secret, data, hashlib.sha256).digest()
    return ((PRINCIPAL, SignedPrincipal(principal=data, mac=mac).SerializeToString()),)


def test_the_word_of_the_gateway_is_believed():
    claim = read_principal(signed(request_id="r"), secret=SECRET, now=NOW)
    assert (claim.key_id, claim.project_id, claim.method, claim.request_id) == (
        "k",
        "p",
        "/tutelage.v1.Jobs/GetJob",
        "r",
    )


@pytest.mark.parametrize(
    "metadata",
    [
        (),
        ((PRINCIPAL, b""),),
        ((PRINCIPAL, b"\xff\xff"),),
        ((PRINCIPAL, "text"),),
        signed(secret=bytes(32)),
        signed(seconds=-1),
        signed(seconds=0),
        signed(seconds=3600),
        signed() + signed(),
    ],
    ids=["none", "empty", "garbage", "text", "forged", "expired", "just expired", "too long", "two"],
)
def test_anything_else_is_refused(metadata):
    with pytest.raises(InvalidKey):
        read_principal(metadata, secret=SECRET, now=NOW)


def test_a_changed_principal_does_not_fit_its_signature():
    ((key, value),) = signed()
    message = SignedPrincipal.FromString(value)
    message.principal = message.principal.replace(b"p", b"q")
    with pytest.raises(InvalidKey):
        read_principal(((key, message.SerializeToString()),), secret=SECRET, now=NOW)


ROOMS = {options_pb2.ROOM_GATEWAY: b"g" * 32, options_pb2.ROOM_WORKER: b"w" * 32}


def bearer(secret: bytes) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {secret.hex()}"),)


def test_a_room_is_known_by_its_secret():
    check_room(bearer(b"w" * 32), room=options_pb2.ROOM_WORKER, secrets=ROOMS)


@pytest.mark.parametrize(
    ("metadata", "room"),
    [
        ((), options_pb2.ROOM_WORKER),
        (bearer(b"g" * 32), options_pb2.ROOM_WORKER),
        ((("authorization", (b"w" * 32).hex()),), options_pb2.ROOM_WORKER),
        (bearer(b""), options_pb2.ROOM_SAMPLER),
        (bearer(b""), options_pb2.ROOM_UNSPECIFIED),
        (bearer(b"w" * 32) * 2, options_pb2.ROOM_WORKER),
    ],
    ids=["none", "another room", "no scheme", "room without a secret", "method without a room", "two"],
)
def test_a_stranger_is_refused(metadata, room):
    with pytest.raises(InvalidKey):
        check_room(metadata, room=room, secrets=ROOMS)

"""The gateway says who a forwarded call is for, and signs it."""

import hashlib
import hmac
import time
from collections.abc import Callable

from gateway import limits
from gateway.calls import Call
from tutelage_internal.v1 import principal_pb2

PRINCIPAL_KEY = "x-tutelage-principal-bin"


class Signer:
    """Signs principals with the secret that services share."""

    def __init__(self, secret_hex: str, *, clock: Callable[[], float] = time.time) -> None:
        self._secret = bytes.fromhex(secret_hex)
        self._clock = clock

    def sign(self, call: Call) -> bytes:
        """Returns the signed principal of a call: valid for its one method, and for seconds only."""
        assert call.caller is not None, "only an authenticated call is passed on"
        principal = principal_pb2.Principal(
            key_id=call.caller.key_id,
            project_id=call.caller.project_id,
            role=call.caller.role,
            method=call.path,
            request_id=call.request_id,
        )
        principal.expire_time.FromMilliseconds(int((self._clock() + limits.PRINCIPAL_S) * 1000))
        said = principal.SerializeToString()
        mac = hmac.digest(self._secret, said, hashlib.sha256)
        return principal_pb2.SignedPrincipal(principal=said, mac=mac).SerializeToString()

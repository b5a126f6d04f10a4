"""Keys derived from the secret of the services, and what is sealed with them.

One secret, a label for each purpose (HMAC-SHA256 as in HKDF-Expand, RFC 5869): who learns one derived key learns
neither the others nor the secret.
"""

import base64
import binascii
import dataclasses
import functools
import hashlib
import hmac
import json
from collections.abc import Sequence
from typing import Any

from services.domain.errors import InvalidField
from services.domain.limits import PAGE_TOKEN_CHARACTERS_MAX

_PSEUDONYM_DIGITS = 16  # of a thousand reviewers no two share one
_MAC_BYTES = 16  # 128 bits: a forged token is one guess in 2^128


@dataclasses.dataclass(frozen=True)
class Keys:
    """The derived keys; `secret` is 32 random bytes that only the services hold."""

    secret: bytes = dataclasses.field(repr=False)

    @functools.cached_property
    def api_key_pepper(self) -> bytes:
        """Under which the secrets of API keys are hashed."""
        return self._derive("api key pepper")

    def attempt_token(self, job_uid: str, *, epoch: int) -> bytes:
        """Return what a worker proves its right to one attempt with."""
        return hmac.digest(self._derive("attempt token"), f"{job_uid}:{epoch}".encode(), "sha256")

    def is_attempt_token(self, token: bytes, *, job_uid: str, epoch: int) -> bool:
        """Whether a token is that of the attempt; compared in constant time."""
        return hmac.compare_digest(token, self.attempt_token(job_uid, epoch=epoch))

    def seal_page(self, position: Sequence[Any], *, binding: Sequence[str]) -> str:
        """Return a page token that is only good together with the same binding: caller, parent, filter, order."""
        payload = json.dumps(list(position), separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(self._page_mac(payload, binding) + payload).decode().rstrip("=")

    def unseal_page(self, token: str, *, binding: Sequence[str], field: str = "page_token") -> list[Any] | None:
        """Return the position in a page token, None for an empty one. Raises: InvalidField for any other token."""
        if not token:
            return None
        try:
            sealed = base64.urlsafe_b64decode(token[:PAGE_TOKEN_CHARACTERS_MAX] + "=" * (-len(token) % 4))
        except (ValueError, binascii.Error):
            sealed = b""
        mac, payload = sealed[:_MAC_BYTES], sealed[_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._page_mac(payload, binding)):
            raise InvalidField.of(
                field, "is not a token of this list with the same parent, filter and order; start anew"
            )
        return list(json.loads(payload))

    def pseudonym(self, name: str) -> str:
        """Return a name by which others know somebody: always the same one, and only the house knows whose it is."""
        return hmac.digest(self._derive("pseudonym"), name.encode(), "sha256").hex()[:_PSEUDONYM_DIGITS]

    def _page_mac(self, payload: bytes, binding: Sequence[str]) -> bytes:
        bound = hashlib.sha256(json.dumps(list(binding)).encode()).digest()
        return hmac.digest(self._derive("page token"), bound + payload, "sha256")[:_MAC_BYTES]

    def _derive(self, label: str) -> bytes:
        return hmac.digest(self.secret, f"tutelage {label}".encode(), "sha256")

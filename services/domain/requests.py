"""Requests that may be repeated: the same id with the same body is the same deed."""

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class RequestKey:
    """What makes a mutation repeatable: the caller's UUID, empty if none, and a hash of the rest of the request."""

    request_id: str = ""
    body_sha256: str = ""


NO_REQUEST_KEY = RequestKey()

"""Finds out whom a key belongs to. The refusal is the same for a key that is unknown, wrong, expired or revoked.

This runs on every call, so it asks SQL one question. Expiry is judged by this host's clock: seconds do not matter
there.
"""

import contextlib
import datetime
import hmac

from services.domain.errors import InvalidKey, NoSpace, Unavailable
from services.domain.projects import ApiKey, Caller, Project, hash_secret, split_api_key
from services.ports import House

_REFUSAL = "the API key is not known, has expired or was revoked"
_NOBODY = (None, bytes(32))


def authenticate(house: House, *, api_key: str) -> tuple[ApiKey, Project]:
    """Return the key that a client sent, and its project. Raises: InvalidKey."""
    key_id, secret = split_api_key(api_key) or ("", "")
    with house.storage.read() as uow:
        key, expected = uow.api_keys.find_with_secret(key_id) or _NOBODY
        # An unknown id is compared too, so that the time tells nothing about which ids exist.
        same = hmac.compare_digest(expected, hash_secret(secret, pepper=house.keys.api_key_pepper))
        project = uow.projects.find(key.project_id) if key else None
    now = house.clock.now()
    if not (same and key and project and key.works_at(now)):
        raise InvalidKey(_REFUSAL)
    _note_use(house, key, now=now)
    return key, project


def identify(house: House, *, key_id: str, project_id: str, method: str, request_id: str) -> Caller:
    """Return the caller behind a key that was checked a moment ago, if it still works. Raises: InvalidKey."""
    with house.storage.read() as uow:
        key = uow.api_keys.find(project_id, key_id)
    now = house.clock.now()
    if key is None or not key.works_at(now):
        raise InvalidKey(_REFUSAL)
    _note_use(house, key, now=now)
    return Caller(key=key, method=method, request_id=request_id)


def working_keys(house: House, *, key_ids: list[str]) -> set[str]:
    """Return which of these keys still work."""
    with house.storage.read() as uow:
        return set(uow.api_keys.working_among(key_ids, now=house.clock.now()))


def _note_use(house: House, key: ApiKey, *, now: datetime.datetime) -> None:
    """Record the use, once a minute. A call does not fail because this cannot be written."""
    if key.used_at(now):
        return
    with contextlib.suppress(Unavailable, NoSpace), house.storage.write() as uow:
        uow.api_keys.set_last_use(key.id, time=now.replace(second=0, microsecond=0))
        uow.commit()

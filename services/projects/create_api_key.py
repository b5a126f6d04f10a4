"""Makes a key."""

import dataclasses
import datetime
import secrets
import string

from services.domain.errors import InvalidField, LimitReached
from services.domain.limits import API_KEYS_MAX, DISPLAY_NAME_CHARACTERS_MAX
from services.domain.names import API_KEY, PROJECT, check_request_id, ids_in_own_project
from services.domain.projects import ApiKey, Caller, NewApiKey, Role, hash_secret, join_api_key
from services.domain.requests import RequestKey
from services.domain.seals import Keys
from services.domain.words import check_words
from services.ports import House, UnitOfWork

_ID_CHARACTERS = string.ascii_lowercase + string.digits
_ID_LENGTH = 12
_SECRET_BYTES = 32


@dataclasses.dataclass(frozen=True, kw_only=True)
class ApiKeyDraft:
    """A key as a caller asks for it."""

    role: Role | None = None
    display_name: str = ""
    expire_time: datetime.datetime | None = None


def create_api_key(house: House, *, caller: Caller, parent: str, draft: ApiKeyDraft, request: RequestKey) -> NewApiKey:
    """Make a key and return it with its secret, or return the key that the same request made, without.

    Raises: InvalidField, LimitReached, RequestIdReused.
    """
    ids_in_own_project(parent, pattern=PROJECT, own_project=caller.project_id, field="parent")
    check_request_id(request.request_id)
    role = _checked_role(draft)
    check_words(draft.display_name, field="api_key.display_name", characters_max=DISPLAY_NAME_CHARACTERS_MAX)
    with house.storage.write() as uow:
        uow.projects.lock(caller.project_id)
        earlier = uow.requests.find(caller, request)
        if earlier is not None:
            return NewApiKey(api_key=_earlier_key(uow, caller, name=earlier), secret=None)
        now = uow.now()
        _check_expiry(draft, now=now)
        _check_room(uow, caller, now=now)
        key, secret_hash, text = make_key(
            project_id=caller.project_id,
            role=role,
            display_name=draft.display_name,
            expire_time=draft.expire_time,
            now=now,
            keys=house.keys,
        )
        uow.api_keys.add(key, secret_hash=secret_hash)
        uow.requests.remember(caller, request, resource=key.name, time=now)
        uow.audit.record(caller, resource=key.name, time=now)
        uow.commit()
    return NewApiKey(api_key=key, secret=text)


def make_key(
    *,
    project_id: str,
    role: Role,
    display_name: str,
    expire_time: datetime.datetime | None,
    now: datetime.datetime,
    keys: Keys,
) -> tuple[ApiKey, bytes, str]:
    """Return a new key, the keyed hash of its secret, and what the client sends."""
    key_id = "".join(secrets.choice(_ID_CHARACTERS) for _ in range(_ID_LENGTH))
    secret = secrets.token_hex(_SECRET_BYTES)
    key = ApiKey(
        id=key_id,
        project_id=project_id,
        role=role,
        create_time=now,
        display_name=display_name,
        expire_time=expire_time,
    )
    return key, hash_secret(secret, pepper=keys.api_key_pepper), join_api_key(key_id, secret)


def _checked_role(draft: ApiKeyDraft) -> Role:
    if draft.role is None:
        roles = ", ".join(role.value for role in Role)
        raise InvalidField.of("api_key.role", f"is required; one of {roles}")
    return draft.role


def _check_expiry(draft: ApiKeyDraft, *, now: datetime.datetime) -> None:
    if draft.expire_time is not None and draft.expire_time <= now:
        raise InvalidField.of("api_key.expire_time", f"must lie in the future, got {draft.expire_time.isoformat()}")


def _check_room(uow: UnitOfWork, caller: Caller, *, now: datetime.datetime) -> None:
    working = sum(uow.api_keys.count_working(caller.project_id, role=role, now=now) for role in Role)
    if working >= API_KEYS_MAX:
        raise LimitReached(f"the project has {working} keys that work, and may have {API_KEYS_MAX}; revoke one first")


def _earlier_key(uow: UnitOfWork, caller: Caller, *, name: str) -> ApiKey:
    (key_id,) = ids_in_own_project(name, pattern=API_KEY, own_project=caller.project_id)
    key = uow.api_keys.find(caller.project_id, key_id)
    if key is None:
        raise AssertionError(f"{name} was made, and keys are never removed")
    return key

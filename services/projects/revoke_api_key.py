"""Ends a key for good."""

import dataclasses
import datetime

from services.domain.errors import NotFound, WrongState
from services.domain.names import API_KEY, check_request_id, ids_in_own_project
from services.domain.projects import ApiKey, Caller, Role
from services.domain.requests import RequestKey
from services.ports import House, UnitOfWork


def revoke_api_key(house: House, *, caller: Caller, name: str, request: RequestKey) -> ApiKey:
    """Revoke a key; one that is revoked already is returned as it is.

    Raises: NotFound, WrongState for the last admin key that works, RequestIdReused.
    """
    check_request_id(request.request_id)
    (key_id,) = ids_in_own_project(name, pattern=API_KEY, own_project=caller.project_id)
    with house.storage.write() as uow:
        uow.projects.lock(caller.project_id)  # two admins must not revoke each other at the same time
        key = uow.api_keys.find(caller.project_id, key_id)
        if key is None:
            raise NotFound.of(name)
        now = uow.now()
        repeated = uow.requests.remember(caller, request, resource=key.name, time=now) is not None
        if repeated or key.revoke_time is not None:
            return key
        _check_not_last(uow, key, now=now)
        uow.api_keys.set_revoked(key.id, time=now)
        uow.audit.record(caller, resource=key.name, time=now)
        uow.commit()
    return dataclasses.replace(key, revoke_time=now)


def _check_not_last(uow: UnitOfWork, key: ApiKey, *, now: datetime.datetime) -> None:
    if key.role is not Role.ADMIN or not key.works_at(now):
        return
    if uow.api_keys.count_working(key.project_id, role=Role.ADMIN, now=now) == 1:
        raise WrongState.of(f"{key.name} is the last admin key of the project; make another one first", state="LAST")

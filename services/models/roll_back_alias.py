"""Moves an alias back to the version that it had before."""

from services.domain.names import ALIAS, MODEL_VERSION, check_request_id, ids_in_own_project
from services.domain.projects import Caller
from services.domain.promotion import ROLLED_BACK, Alias, AliasMove, check_etag, check_reason, version_before
from services.domain.requests import NO_REQUEST_KEY, RequestKey
from services.models.find_version import find_own_alias
from services.models.moving_aliases import move_alias, with_moves
from services.ports import House


def roll_back_alias(
    house: House,
    *,
    caller: Caller,
    name: str,
    etag: str = "",
    reason: str = "",
    request: RequestKey = NO_REQUEST_KEY,
) -> Alias:
    """Return the alias where it was before its last move that was not taken back. No gate is asked.

    Raises: InvalidField, NotFound, EtagMismatch, WrongState if it had no version before, RequestIdReused.
    """
    check_request_id(request.request_id)
    check_reason(reason)
    model_id, _ = ids_in_own_project(name, pattern=ALIAS, own_project=caller.project_id)
    with house.storage.write() as uow:
        uow.aliases.hold(caller.project_id, model_id)
        present = find_own_alias(uow, caller=caller, name=name)
        now = uow.now()
        if uow.requests.remember(caller, request, resource=present.name, time=now) is not None:
            return with_moves(uow, present)
        check_etag(etag, alias=present, name=present.name)
        before = version_before(uow.aliases.moves(present)[::-1], name=present.name)
        move = AliasMove(
            version=before,
            model_version=MODEL_VERSION.format(caller.project_id, model_id, str(before)),
            time=now,
            actor=caller.api_key,
            reason=reason,
            gate=ROLLED_BACK,
            rolled_back=True,
        )
        moved = move_alias(house, uow, present, move, caller=caller)
        uow.commit()
    return moved

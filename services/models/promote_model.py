"""Moves an alias to a version, if nothing that is known speaks against it."""

from services.domain.errors import LimitReached
from services.domain.limits import ALIASES_MAX
from services.domain.models import ModelVersion
from services.domain.names import ALIAS, MODEL_VERSION, check_request_id
from services.domain.projects import Caller
from services.domain.promotion import (
    Alias,
    AliasMove,
    Duelled,
    Gate,
    check_alias_id,
    check_etag,
    check_gate,
    check_reason,
    gate_of,
)
from services.domain.requests import NO_REQUEST_KEY, RequestKey
from services.models.find_version import find_version
from services.models.judged_duels import judge
from services.models.moving_aliases import move_alias, with_moves
from services.models.walking import retracted_votes_in
from services.ports import House, UnitOfWork

_DUELS_READ_MAX = 20  # of two versions, newest first; one that is decided is mostly the first


def promote_model(
    house: House,
    *,
    caller: Caller,
    name: str,
    alias: str,
    etag: str = "",
    force: bool = False,
    reason: str = "",
    request: RequestKey = NO_REQUEST_KEY,
) -> Alias:
    """Return the alias where it is now; it is made if there is none, and stays where it is if it is there already.

    Raises: InvalidField, NotFound for the version, GateClosed unless it is forced, EtagMismatch, LimitReached,
    RequestIdReused.
    """
    check_request_id(request.request_id)
    check_alias_id(alias)
    check_reason(reason, force=force)
    MODEL_VERSION.parse(name, field="name")
    with house.storage.write() as uow:
        version = find_version(uow, caller=caller, name=name, field="name")
        wanted = ALIAS.format(caller.project_id, version.model_id, alias)
        uow.aliases.hold(caller.project_id, version.model_id)
        now = uow.now()
        repeated = uow.requests.remember(caller, request, resource=wanted, time=now) is not None
        present = uow.aliases.find(caller.project_id, version.model_id, alias)
        if not repeated:
            check_etag(etag, alias=present, name=wanted)
        if present is not None and (repeated or present.version == version.version):
            return with_moves(uow, present)
        gate = _gate(uow, version, present)
        check_gate(gate, name=version.name, alias=alias, force=force)
        moving = present or _first(uow, version, alias=alias)
        move = AliasMove(
            version=version.version,
            model_version=version.name,
            time=now,
            actor=caller.api_key,
            reason=reason,
            gate=gate.words,
            forced=bool(gate.against),
        )
        moved = move_alias(house, uow, moving, move, caller=caller)
        uow.commit()
    return moved


def _gate(uow: UnitOfWork, version: ModelVersion, present: Alias | None) -> Gate:
    project_id, name = version.project_id, version.name
    before = present.model_version if present else ""
    duels = uow.duels.between(project_id, version=name, other=before, count_max=_DUELS_READ_MAX) if before else ()
    return gate_of(
        duels=(Duelled(name=duel.name, result=judge(uow, duel), challenging=duel.challenger == name) for duel in duels),
        checks=uow.lineages.checks_passed(project_id, version=name) if before else {},
        checks_before=uow.lineages.checks_passed(project_id, version=before) if before else {},
        retracted_votes=len(retracted_votes_in(uow, project_id, version=name)),
    )


def _first(uow: UnitOfWork, version: ModelVersion, *, alias: str) -> Alias:
    """Return an alias that no version has yet. Raises: LimitReached."""
    if len(uow.aliases.of_model(version.project_id, version.model_id)) >= ALIASES_MAX:
        message = f"the model {version.model_id} has {ALIASES_MAX} aliases, which is the limit"
        raise LimitReached(message, metadata={"limit": "aliases_max", "value": str(ALIASES_MAX)})
    project_id, model_id = version.project_id, version.model_id
    return Alias(project_id=project_id, model_id=model_id, id=alias, version=0, etag="", update_time=uow.now())

"""What promotion and going back have in common: the alias is written with its move and an audit entry."""

import dataclasses

from services.domain.limits import ALIAS_MOVES_SHOWN_MAX
from services.domain.projects import Caller
from services.domain.promotion import Alias, AliasMove
from services.ports import House, UnitOfWork


def move_alias(house: House, uow: UnitOfWork, alias: Alias, move: AliasMove, *, caller: Caller) -> Alias:
    """Write where an alias goes, under a new etag, and return it with its moves; the model must be held."""
    moved = dataclasses.replace(alias, version=move.version, etag=new_etag(house), update_time=move.time)
    uow.aliases.move(moved, move)
    uow.audit.record(caller, resource=moved.name, time=move.time)
    return with_moves(uow, moved)


def with_moves(uow: UnitOfWork, alias: Alias) -> Alias:
    """Return an alias with its newest moves."""
    return dataclasses.replace(alias, moves=tuple(uow.aliases.moves(alias, count_max=ALIAS_MOVES_SHOWN_MAX)))


def new_etag(house: House) -> str:
    """Return an etag that no alias ever had."""
    return house.chance.uid().replace("-", "")[:16]

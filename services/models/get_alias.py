"""Returns one alias with its history."""

from services.domain.projects import Caller
from services.domain.promotion import Alias
from services.models.find_version import find_own_alias
from services.models.moving_aliases import with_moves
from services.ports import House


def get_alias(house: House, *, caller: Caller, name: str) -> Alias:
    """Return an alias with its newest moves. Raises: NotFound with the nearest id, InvalidField."""
    with house.storage.read() as uow:
        return with_moves(uow, find_own_alias(uow, caller=caller, name=name))

"""Looking at one duel."""

from services.domain.duels import Duel
from services.domain.projects import Caller
from services.duels.own_duel import find_own_duel
from services.models.judged_duels import judged
from services.ports import House


def get_duel(house: House, *, caller: Caller, name: str) -> Duel:
    """Return a duel with what it says now. Raises: NotFound, InvalidField."""
    with house.storage.read() as uow:
        return judged(uow, find_own_duel(uow, caller=caller, name=name))

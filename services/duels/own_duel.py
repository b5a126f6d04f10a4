"""Finding a duel of the caller's project."""

from services.domain import names
from services.domain.duels import Duel
from services.domain.errors import NotFound
from services.domain.projects import Caller
from services.ports import UnitOfWork


def find_own_duel(uow: UnitOfWork, *, caller: Caller, name: str) -> Duel:
    """Return a duel without its result. Raises: NotFound with the nearest id, InvalidField for another shape."""
    (duel_id,) = names.ids_in_own_project(name, pattern=names.DUEL, own_project=caller.project_id)
    duel = uow.duels.find(caller.project_id, duel_id)
    if duel is None:
        raise NotFound.of(name, hint=names.did_you_mean(duel_id, uow.duels.ids(caller.project_id)))
    return duel

"""Lists the aliases of a model."""

from services.domain.names import MODEL, ids_in_own_project
from services.domain.projects import Caller
from services.domain.promotion import Alias
from services.models.get_model import find_own_model
from services.models.moving_aliases import with_moves
from services.ports import House


def list_aliases(house: House, *, caller: Caller, parent: str) -> tuple[Alias, ...]:
    """Return the aliases of a model by their ids, each with its newest moves. Raises: NotFound for the model."""
    (model_id,) = ids_in_own_project(parent, pattern=MODEL, own_project=caller.project_id, field="parent")
    with house.storage.read() as uow:
        find_own_model(uow, caller=caller, model_id=model_id, name=parent)
        return tuple(with_moves(uow, each) for each in uow.aliases.of_model(caller.project_id, model_id))

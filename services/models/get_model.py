"""Returns one model."""

from services.domain.errors import NotFound
from services.domain.models import Model
from services.domain.names import MODEL, did_you_mean, ids_in_own_project
from services.domain.projects import Caller
from services.ports import House, UnitOfWork


def get_model(house: House, *, caller: Caller, name: str) -> Model:
    """Return a model with its newest version. Raises: NotFound with the nearest name."""
    (model_id,) = ids_in_own_project(name, pattern=MODEL, own_project=caller.project_id)
    with house.storage.read() as uow:
        return find_own_model(uow, caller=caller, model_id=model_id, name=name)


def find_own_model(uow: UnitOfWork, *, caller: Caller, model_id: str, name: str) -> Model:
    """Return a model of the caller's project. Raises: NotFound that repeats the name asked for."""
    model = uow.models.find(caller.project_id, model_id)
    if model is None:
        raise NotFound.of(name, hint=did_you_mean(model_id, uow.models.ids(caller.project_id)))
    return model

"""Finds the files of a model for a caller who may sample from it."""

from services.domain.models import ModelVersion
from services.domain.names import MODEL, MODEL_VERSION, ids_in_own_project
from services.domain.projects import Caller
from services.models.get_model_version import LATEST, find_own_version
from services.ports import House


def resolve_model(house: House, *, caller: Caller, model: str) -> ModelVersion:
    """Return the version that a model or a version of it names. Raises: NotFound, InvalidField."""
    if "/versions/" in model:
        ids = ids_in_own_project(model, pattern=MODEL_VERSION, own_project=caller.project_id, field="model")
    else:
        ids = (*ids_in_own_project(model, pattern=MODEL, own_project=caller.project_id, field="model"), LATEST)
    model_id, version = ids
    with house.storage.read() as uow:
        return find_own_version(uow, caller=caller, model_id=model_id, version=version, name=model)

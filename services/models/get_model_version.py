"""Returns one version of a model."""

from services.domain.errors import InvalidField, NotFound
from services.domain.models import ModelVersion
from services.domain.names import MODEL_VERSION, ids_in_own_project
from services.domain.projects import Caller
from services.models.get_model import find_own_model
from services.ports import House, UnitOfWork

LATEST = "latest"
_VERSION_MAX = 2**31 - 1


def get_model_version(house: House, *, caller: Caller, name: str) -> ModelVersion:
    """Return a version; `versions/latest` is the newest. Raises: NotFound, InvalidField."""
    model_id, version = ids_in_own_project(name, pattern=MODEL_VERSION, own_project=caller.project_id)
    with house.storage.read() as uow:
        return find_own_version(uow, caller=caller, model_id=model_id, version=version, name=name)


def find_own_version(uow: UnitOfWork, *, caller: Caller, model_id: str, version: str, name: str) -> ModelVersion:
    """Return a version of a model of the caller's project. Raises: NotFound, InvalidField."""
    number = None if version == LATEST else _number(version)
    model = find_own_model(uow, caller=caller, model_id=model_id, name=name)
    if number is None:
        return model.latest_version
    found = uow.models.find_version(caller.project_id, model_id, number)
    if found is None:
        raise NotFound.of(name, hint=f"; the newest version is {model.latest_version.version}")
    return found


def _number(version: str) -> int:
    if not version.isascii() or not version.isdecimal() or not 1 <= int(version) <= _VERSION_MAX:
        raise InvalidField.of("name", f"ends with a version, which is a number from 1 or `latest`, got {version!r}")
    return int(version)

"""Returns one version of a model."""

from services.domain.models import ModelVersion
from services.domain.names import MODEL_VERSION
from services.domain.projects import Caller
from services.models.find_version import find_version
from services.ports import House


def get_model_version(house: House, *, caller: Caller, name: str) -> ModelVersion:
    """Return a version; `versions/latest` is the newest, and an alias is the version that has it.

    Raises: NotFound, InvalidField.
    """
    if "/aliases/" not in name:
        MODEL_VERSION.parse(name, field="name")
    with house.storage.read() as uow:
        return find_version(uow, caller=caller, name=name, field="name")

"""Finds the files of a model for a caller who may sample from it."""

from services.domain.errors import WrongState
from services.domain.models import ModelVersion
from services.domain.projects import Caller
from services.models.find_version import find_version
from services.ports import House


def resolve_model(house: House, *, caller: Caller, model: str) -> ModelVersion:
    """Return the version that a model, a version of it or an alias names.

    Raises: NotFound, InvalidField, WrongState for a reward model, which writes nothing.
    """
    with house.storage.read() as uow:
        version = find_version(uow, caller=caller, name=model, field="model")
    if version.reward_model:
        words = f"{version.name} is a reward model: it scores texts, and cannot write any"
        raise WrongState.of(words, state="REWARD_MODEL")
    return version

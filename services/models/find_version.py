"""Finds the version that a name means: a model, one of its versions, or an alias."""

from services.domain import names
from services.domain.errors import InvalidField, NotFound
from services.domain.models import ModelVersion
from services.domain.projects import Caller
from services.domain.promotion import LATEST, Alias
from services.ports import UnitOfWork

_NUMBER_MAX = 2**31 - 1


def find_version(uow: UnitOfWork, *, caller: Caller, name: str, field: str) -> ModelVersion:
    """Return the version that a model, which means its newest one, a version of it or an alias names.

    Raises: NotFound with the nearest id, InvalidField for a name of another shape.
    """
    if "/aliases/" in name:
        return _of_alias(uow, caller=caller, name=name, field=field)
    if "/versions/" in name:
        pattern = names.MODEL_VERSION
        model_id, number = names.ids_in_own_project(name, pattern=pattern, own_project=caller.project_id, field=field)
    else:
        pattern = names.MODEL
        (model_id,) = names.ids_in_own_project(name, pattern=pattern, own_project=caller.project_id, field=field)
        number = LATEST
    wanted = None if number == LATEST else _number(number, field=field)
    model = uow.models.find(caller.project_id, model_id)
    if model is None:
        raise NotFound.of(name, hint=names.did_you_mean(model_id, uow.models.ids(caller.project_id)), field=field)
    if wanted is None:
        return model.latest_version
    found = uow.models.find_version(caller.project_id, model_id, wanted)
    if found is None:
        raise NotFound.of(name, hint=f"; the newest version is {model.latest_version.version}", field=field)
    return found


def find_own_alias(uow: UnitOfWork, *, caller: Caller, name: str, field: str = "name") -> Alias:
    """Return an alias of the caller's project without its moves. Raises: NotFound with the nearest id, InvalidField."""
    pattern = names.ALIAS
    model_id, alias_id = names.ids_in_own_project(name, pattern=pattern, own_project=caller.project_id, field=field)
    found = uow.aliases.find(caller.project_id, model_id, alias_id)
    if found is None:
        known = [each.id for each in uow.aliases.of_model(caller.project_id, model_id)]
        raise NotFound.of(name, hint=names.did_you_mean(alias_id, known), field=field)
    return found


def _of_alias(uow: UnitOfWork, *, caller: Caller, name: str, field: str) -> ModelVersion:
    alias = find_own_alias(uow, caller=caller, name=name, field=field)
    found = uow.models.find_version(caller.project_id, alias.model_id, alias.version)
    assert found is not None, "versions are never removed"
    return found


def _number(number: str, *, field: str) -> int:
    if not number.isascii() or not number.isdecimal() or not 1 <= int(number) <= _NUMBER_MAX:
        raise InvalidField.of(field, f"ends with a version, which is a number from 1 or `latest`, got {number!r}")
    return int(number)

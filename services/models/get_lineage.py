"""Returns what a thing was made of, and what was made of it."""

import dataclasses

from services.domain.errors import InvalidField, NotFound
from services.domain.lineage import Key, Lineage, Place
from services.domain.names import DATASET, FEEDBACK_SET, did_you_mean, ids_in_own_project
from services.domain.projects import Caller
from services.models.find_version import find_own_alias, find_version
from services.models.walking import lineage_of
from services.ports import House, UnitOfWork


def get_lineage(house: House, *, caller: Caller, name: str) -> Lineage:
    """Return the lineage of a version, a feedback set or a dataset; of an alias, that of the version that has it.

    Raises: NotFound, InvalidField for a name of another shape.
    """
    with house.storage.read() as uow:
        if "/aliases/" not in name:
            return lineage_of(uow, caller.project_id, _start(uow, caller=caller, name=name))
        alias = find_own_alias(uow, caller=caller, name=name)
        found = lineage_of(uow, caller.project_id, Key(Place.MODEL_VERSION, alias.model_version))
    return dataclasses.replace(found, name=alias.name)


def _start(uow: UnitOfWork, *, caller: Caller, name: str) -> Key:
    if "/versions/" in name:
        return Key(Place.MODEL_VERSION, find_version(uow, caller=caller, name=name, field="name").name)
    if "/feedbackSets/" in name:
        (set_id,) = ids_in_own_project(name, pattern=FEEDBACK_SET, own_project=caller.project_id)
        found = uow.feedback_sets.find(caller.project_id, set_id)
        if found is None:
            raise NotFound.of(name, hint=did_you_mean(set_id, uow.feedback_sets.ids(caller.project_id)))
        return Key(Place.DATASET, found.uid)
    if "/datasets/" not in name:
        wanted = "a version, an alias, a feedback set or a dataset"
        raise InvalidField.of("name", f"must be the name of {wanted}, got {ascii(name[:80])}")
    (dataset_id,) = ids_in_own_project(name, pattern=DATASET, own_project=caller.project_id)
    dataset = uow.datasets.find(caller.project_id, dataset_id)
    if dataset is None:
        raise NotFound.of(name, hint=did_you_mean(dataset_id, uow.datasets.ids(caller.project_id)))
    return Key(Place.DATASET, dataset.uid)

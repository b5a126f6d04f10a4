"""Returns one dataset."""

from services.domain.datasets import Dataset
from services.domain.errors import NotFound
from services.domain.names import DATASET, did_you_mean, ids_in_own_project
from services.domain.projects import Caller
from services.ports import House


def get_dataset(house: House, *, caller: Caller, name: str) -> Dataset:
    """Return a dataset that can be used. Raises: NotFound with the nearest name."""
    (dataset_id,) = ids_in_own_project(name, pattern=DATASET, own_project=caller.project_id)
    with house.storage.read() as uow:
        dataset = uow.datasets.find(caller.project_id, dataset_id)
        if dataset is None:
            raise NotFound.of(name, hint=did_you_mean(dataset_id, uow.datasets.ids(caller.project_id)))
    return dataset

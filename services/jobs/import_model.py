"""Accepting the import of a model."""

import dataclasses
from collections.abc import Mapping

from services.domain import names
from services.domain.datasets import Dataset, DatasetFormat
from services.domain.errors import InvalidField, WrongState
from services.domain.jobs import Job
from services.domain.projects import Caller
from services.domain.requests import NO_REQUEST_KEY, RequestKey
from services.domain.work import ImportModelSpec
from services.jobs.accepting import accept, earlier_job, find_own_dataset
from services.jobs.bases import find_writer
from services.jobs.short_work import check_labels, short_job
from services.ports import House


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImportModelDraft:
    """The import of a model as a caller asks for it; what is empty is left to the service."""

    dataset: str
    model: str = ""
    base: str = ""


def import_model(
    house: House,
    *,
    caller: Caller,
    parent: str,
    draft: ImportModelDraft,
    labels: Mapping[str, str] | None = None,
    request: RequestKey = NO_REQUEST_KEY,
) -> Job:
    """Return the accepted job; the same one when the request is repeated.

    Raises: InvalidField, NotFound for the dataset and the base, WrongState for a dataset that does not hold the files
    of a model and for a reward model as the base, LimitReached, RequestIdReused.
    """
    names.ids_in_own_project(parent, pattern=names.PROJECT, own_project=caller.project_id, field="parent")
    check_labels(labels or {})
    with house.storage.read() as uow:
        earlier = earlier_job(uow, caller=caller, request=request)
        if earlier is not None:
            return earlier
        dataset = find_own_dataset(uow, caller=caller, name=draft.dataset, field="spec.dataset")
        base = find_writer(uow, caller=caller, name=draft.base, field="spec.base") if draft.base else None
        spec = _spec(draft, dataset, base=base.name if base else "")
        job = short_job(
            house,
            uow,
            spec,
            caller=caller,
            size_bytes=dataset.size_bytes + (base.size_bytes if base else 0),
            dataset=dataset,
            base=base.files if base else None,
            labels=labels,
        )
    return accept(house, job, caller=caller, request=request, datasets=[dataset], word="import")


def _spec(draft: ImportModelDraft, dataset: Dataset, *, base: str) -> ImportModelSpec:
    if dataset.format is not DatasetFormat.MODEL_FILES:
        words = f"{dataset.name} is {dataset.format.value}, and not the files of a model: upload them as one archive"
        raise WrongState.of(f"{words} of the format MODEL_FILES", state=dataset.format.value)
    model = draft.model or dataset.id
    if not names.is_chosen_id(model):
        raise InvalidField.of("spec.model", f"{names.CHOSEN_ID_RULE}, got {ascii(model[:80])}")
    return ImportModelSpec(dataset=dataset.name, model=model, base=base)

"""Accepting the export of a model."""

import dataclasses
from collections.abc import Mapping

from services.domain import names
from services.domain.errors import InvalidField
from services.domain.jobs import Job
from services.domain.models import ModelVersion
from services.domain.projects import Caller
from services.domain.requests import NO_REQUEST_KEY, RequestKey
from services.domain.work import ExportFormat, ExportModelSpec
from services.jobs.accepting import accept, earlier_job
from services.jobs.bases import find_writer
from services.jobs.short_work import check_labels, short_job
from services.ports import House


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportModelDraft:
    """The export of a model as a caller asks for it."""

    model: str
    format: ExportFormat | None = None


def export_model(
    house: House,
    *,
    caller: Caller,
    parent: str,
    draft: ExportModelDraft,
    labels: Mapping[str, str] | None = None,
    request: RequestKey = NO_REQUEST_KEY,
) -> Job:
    """Return the accepted job; the same one when the request is repeated.

    Raises: InvalidField, also for adapters of a version that has none; NotFound for the model, WrongState for a reward
    model, whose head no other tool knows; LimitReached, RequestIdReused.
    """
    names.ids_in_own_project(parent, pattern=names.PROJECT, own_project=caller.project_id, field="parent")
    check_labels(labels or {})
    with house.storage.read() as uow:
        earlier = earlier_job(uow, caller=caller, request=request)
        if earlier is not None:
            return earlier
        version = find_writer(uow, caller=caller, name=draft.model, field="spec.model")
        spec = _spec(draft, version)
        job = short_job(
            house,
            uow,
            spec,
            caller=caller,
            size_bytes=version.size_bytes,
            parameters=version.parameters,
            base=version.files,
            labels=labels,
        )
    return accept(house, job, caller=caller, request=request, word="export")


def _spec(draft: ExportModelDraft, version: ModelVersion) -> ExportModelSpec:
    format_ = draft.format or ExportFormat.HUGGING_FACE
    if format_ is ExportFormat.PEFT and (version.fine_tune is None or version.fine_tune.lora is None):
        raise InvalidField.of("spec.format", f"PEFT is for versions tuned with `lora`, which {version.name} is not")
    return ExportModelSpec(model=version.name, format=format_)

"""What jobs that train nothing have in common when they are accepted: imports, exports, verification, measuring."""

import dataclasses
from collections.abc import Mapping

from services.domain.datasets import Dataset
from services.domain.errors import InvalidField
from services.domain.forecast import Forecast
from services.domain.jobs import Job
from services.domain.models import ModelFiles
from services.domain.projects import Caller
from services.domain.work import EvaluateSpec, ExportModelSpec, ImportModelSpec, VerifySpec
from services.jobs.accepting import envelope_violations, expected_queue_s, new_job
from services.ports import House, UnitOfWork

_COPIES = 2  # the files as they are read, and the weights as they are written


def short_job(
    house: House,
    uow: UnitOfWork,
    spec: ImportModelSpec | ExportModelSpec | VerifySpec | EvaluateSpec,
    *,
    caller: Caller,
    size_bytes: int,
    parameters: int = 0,
    dataset: Dataset | None = None,
    base: ModelFiles | None = None,
    labels: Mapping[str, str] | None = None,
) -> Job:
    """Return the job that was only looked at; `size_bytes` is the size of the files that it reads."""
    said = Forecast(
        parameters=parameters,
        flops=0.0,
        tokens=0,
        epochs=0.0,
        memory_bytes=_COPIES * size_bytes,
        checkpoint_bytes=size_bytes,
        queue_s=expected_queue_s(house, uow),
        basis="The size of the files that are read; nothing is trained.",
    )
    job = new_job(spec, said, caller=caller, dataset=dataset, labels=labels or {}, now=uow.now())
    return dataclasses.replace(job, base=base)


def check_labels(labels: Mapping[str, str]) -> None:
    """Refuse labels that cannot be kept. Raises: InvalidField with each of them."""
    check_envelope(job_id="", labels=labels)


def check_envelope(*, job_id: str, labels: Mapping[str, str]) -> None:
    """Refuse an id or labels that cannot be kept. Raises: InvalidField with each of them."""
    violations = envelope_violations(job_id=job_id, labels=labels)
    if violations:
        raise InvalidField.of_all(violations)

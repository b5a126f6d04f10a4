"""Reading curves, thinned in SQL."""

from collections.abc import Sequence

from services.domain.errors import FieldViolation, InvalidField
from services.domain.limits import METRIC_KEYS_MAX, METRIC_POINTS_DEFAULT, METRIC_POINTS_MAX
from services.domain.metrics import MetricSeries
from services.domain.projects import Caller
from services.jobs.own_job import find_own_job
from services.ports import House


def query_metrics(
    house: House,
    *,
    caller: Caller,
    name: str,
    keys: Sequence[str] = (),
    step_min: int | None = None,
    step_max: int | None = None,
    points_max: int = 0,
) -> tuple[MetricSeries, ...]:
    """Return one curve for each key that has a value. Raises: NotFound, InvalidField."""
    with house.storage.read() as uow:
        job = find_own_job(uow, caller=caller, name=name)
        _check(keys, step_min=step_min, step_max=step_max, points_max=points_max)
        found = uow.metrics.series(
            job.uid,
            keys=keys,
            step_min=step_min or 0,
            # What lies beyond was recorded before the run went back to an earlier step.
            step_max=job.recorded_step if step_max is None else min(step_max, job.recorded_step),
            points_max=points_max or METRIC_POINTS_DEFAULT,
        )
    return tuple(found)


def _check(keys: Sequence[str], *, step_min: int | None, step_max: int | None, points_max: int) -> None:
    found = []
    if len(keys) > METRIC_KEYS_MAX:
        found.append(FieldViolation("keys", f"must be at most {METRIC_KEYS_MAX}, got {len(keys)}"))
    if not 0 <= points_max <= METRIC_POINTS_MAX:
        found.append(FieldViolation("points_max", f"must be 1 to {METRIC_POINTS_MAX}, got {points_max}"))
    if step_min is not None and step_max is not None and step_min > step_max:
        found.append(FieldViolation("step_min", f"must not be above step_max = {step_max}, got {step_min}"))
    if found:
        raise InvalidField.of_all(found)

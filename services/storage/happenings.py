"""Happenings as JSON and back."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from services.domain.job_events import (
    BlamedRow,
    CheckpointCommitted,
    Happening,
    MetricLogged,
    Note,
    NoteLevel,
    RolledBack,
    RowsBlamed,
    SampleDrawn,
    StateChanged,
)
from services.domain.job_states import JobState
from services.domain.jobs import FailureReason, JobFailure

_KINDS: dict[type, str] = {
    StateChanged: "state_changed",
    SampleDrawn: "sample_drawn",
    CheckpointCommitted: "checkpoint_committed",
    Note: "note",
    RowsBlamed: "rows_blamed",
    RolledBack: "rolled_back",
}
_PLAIN: dict[str, type[SampleDrawn] | type[CheckpointCommitted] | type[RolledBack]] = {
    "sample_drawn": SampleDrawn,
    "checkpoint_committed": CheckpointCommitted,
    "rolled_back": RolledBack,
}


def kind_of(happening: Happening) -> str:
    """Return the word for a kind of happening."""
    return _KINDS[type(happening)]


def event_to_json(happening: Happening) -> dict[str, Any]:
    """Return the body of an event."""
    if isinstance(happening, StateChanged):
        return {
            "before": happening.before.value if happening.before else None,
            "after": happening.after.value,
            "message": happening.message,
            "failure": failure_to_json(happening.failure),
            "model_version": happening.model_version,
        }
    if isinstance(happening, Note):
        return {**_fields(happening), "level": happening.level.value, "details": dict(happening.details)}
    if isinstance(happening, RowsBlamed):
        rows = [{**_fields(row), "loss": row.loss if math.isfinite(row.loss) else None} for row in happening.rows]
        return {"step": happening.step, "rows": rows}
    return _fields(happening)


def event_from_json(kind: str, body: Mapping[str, Any]) -> Happening:
    """Return the happening behind an event."""
    if kind == "state_changed":
        before = JobState(body["before"]) if body["before"] else None
        failure = failure_from_json(body["failure"])
        return StateChanged(**{**body, "before": before, "after": JobState(body["after"]), "failure": failure})
    if kind == "note":
        return Note(**{**body, "level": NoteLevel(body["level"])})
    if kind == "rows_blamed":
        rows = (BlamedRow(**{**row, "loss": math.nan if row["loss"] is None else row["loss"]}) for row in body["rows"])
        return RowsBlamed(step=body["step"], rows=tuple(rows))
    return _PLAIN[kind](**body)


def values_to_json(values: Mapping[str, float]) -> dict[str, float | None]:
    """Return the values of a step; JSON has no word for what is not finite, so that becomes null."""
    return {key: value if math.isfinite(value) else None for key, value in sorted(values.items())}


def metric_of(row: Any) -> MetricLogged:
    """Return the metrics of a step."""
    values = {key: math.nan if value is None else value for key, value in row.body.items()}
    return MetricLogged(step=row.step, values=values, data_chain=row.data_chain, loss_chain=row.loss_chain)


def failure_to_json(failure: JobFailure | None) -> dict[str, str] | None:
    """Return a failure as plain values."""
    if failure is None:
        return None
    return {"reason": failure.reason.value, "message": failure.message, "help": failure.help}


def failure_from_json(plain: Mapping[str, str] | None) -> JobFailure | None:
    """Return the failure behind plain values."""
    if plain is None:
        return None
    return JobFailure(reason=FailureReason(plain["reason"]), message=plain["message"], help=plain["help"])


def _fields(of: Any) -> dict[str, Any]:
    return {field.name: getattr(of, field.name) for field in dataclasses.fields(of)}

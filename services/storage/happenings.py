"""Happenings as JSON and back."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from services.domain.job_events import (
    CheckpointCommitted,
    Happening,
    MetricLogged,
    Note,
    NoteLevel,
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
    return _fields(happening)


def event_from_json(kind: str, body: Mapping[str, Any]) -> Happening:
    """Return the happening behind an event."""
    if kind == "state_changed":
        before = JobState(body["before"]) if body["before"] else None
        failure = failure_from_json(body["failure"])
        return StateChanged(**{**body, "before": before, "after": JobState(body["after"]), "failure": failure})
    if kind == "note":
        return Note(**{**body, "level": NoteLevel(body["level"])})
    return SampleDrawn(**body) if kind == "sample_drawn" else CheckpointCommitted(**body)


def values_to_json(values: Mapping[str, float]) -> dict[str, float | None]:
    """Return the values of a step; JSON has no word for what is not finite, so that becomes null."""
    return {key: value if math.isfinite(value) else None for key, value in sorted(values.items())}


def metric_from_json(step: int, body: Mapping[str, float | None]) -> MetricLogged:
    """Return the metrics of a step."""
    return MetricLogged(step=step, values={key: math.nan if value is None else value for key, value in body.items()})


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

"""Keeper of attempts."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from services.domain.errors import Unavailable
from services.domain.fine_tuning import FineTuneSpec
from services.domain.jobs import Attempt, AttemptEnd
from services.domain.memory import load_of, peak_bytes
from services.domain.speeds import MeasuredSpeed
from services.domain.training import TrainSpec
from services.domain.work import TRAINED, Work, work_from_json
from services.storage.tables.jobs import attempt, job

SPEEDS_READ_MAX = 200
STEPS_MEASURED_MIN = 10  # fewer say more about starting than about training


class Attempts:
    """A row a try; at most one of a job is open, and a constraint says so."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def add(self, new: Attempt) -> None:
        """Keep a new attempt. Raises: Unavailable if the same claim is just being granted; asked again, it is found."""
        try:
            self._connection.execute(sa.insert(attempt).values(_values(new)))
        except sa.exc.IntegrityError as error:
            raise Unavailable(f"claim {new.claim_id} is being granted at this moment", retry_after_s=1.0) from error

    def find(self, job_uid: str, *, epoch: int) -> Attempt | None:
        """Return one attempt."""
        return self._one(sa.select(attempt).where(attempt.c.job_uid == job_uid, attempt.c.epoch == epoch))

    def find_by_claim(self, claim_id: str) -> Attempt | None:
        """Return the attempt that a claim began."""
        return self._one(sa.select(attempt).where(attempt.c.claim_id == claim_id))

    def save(self, changed: Attempt) -> None:
        """Write an attempt; one that has ended stays as it is."""
        update = sa.update(attempt).where(
            attempt.c.job_uid == changed.job_uid, attempt.c.epoch == changed.epoch, attempt.c.end_time.is_(None)
        )
        self._connection.execute(update.values(_values(changed)))

    def latest(self, job_uid: str, *, ended: bool) -> Attempt | None:
        """Return the newest attempt that has, or has not, ended."""
        fits = attempt.c.end_time.is_not(None) if ended else attempt.c.end_time.is_(None)
        query = sa.select(attempt).where(attempt.c.job_uid == job_uid, fits)
        return self._one(query.order_by(attempt.c.epoch.desc()).limit(1))

    def speeds(self) -> Sequence[MeasuredSpeed]:
        """Return what the newest attempts of this cluster measured."""
        query = (
            sa.select(attempt.c.steps, attempt.c.seconds, job.c.kind, job.c.spec, job.c.peak_memory_bytes)
            .join(job, job.c.uid == attempt.c.job_uid)
            .where(attempt.c.steps >= STEPS_MEASURED_MIN, attempt.c.seconds > 0, job.c.kind.in_(TRAINED))
            .order_by(attempt.c.start_time.desc())
            .limit(SPEEDS_READ_MAX)
        )
        return [_speed(row) for row in self._connection.execute(query)]

    def _one(self, query: sa.Select[Any]) -> Attempt | None:
        row = self._connection.execute(query).mappings().one_or_none()
        return None if row is None else Attempt(**{**row, "end": AttemptEnd(row["end"]) if row["end"] else None})


def _values(of: Attempt) -> dict[str, Any]:
    return {**dataclasses.asdict(of), "end": of.end.value if of.end else None}


def _speed(row: Any) -> MeasuredSpeed:
    spec = work_from_json(row.kind, row.spec)
    return MeasuredSpeed(
        kind=row.kind,
        parameters=spec.parameters,
        tokens_per_step=spec.tokens_per_step,
        flops_per_second=spec.flops_per_step * row.steps / row.seconds,
        memory_share=_memory_share(spec, peak=row.peak_memory_bytes),
    )


def _memory_share(spec: Work, *, peak: int | None) -> float | None:
    if not peak or not isinstance(spec, TrainSpec | FineTuneSpec):
        return None
    return peak / peak_bytes(load_of(spec))

"""Keeper of curves: reads the metrics of steps, thinned in SQL."""

import itertools
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from services.domain.job_events import MetricLogged
from services.domain.metrics import MetricSeries
from services.storage.happenings import metric_of
from services.storage.tables.jobs import job, metric


class Metrics:
    """Reads what `Events.append` wrote."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def series(
        self, job_uid: str, *, keys: Sequence[str], step_min: int, step_max: int | None, points_max: int
    ) -> Sequence[MetricSeries]:
        """Return curves of at most `points_max` points each: neighbouring steps become mean, lowest and highest."""
        first, last = self._range(job_uid, step_min=step_min, step_max=step_max)
        if first is None or last is None:
            return []
        width = -(-(last - first + 1) // points_max)
        values = self._values()
        bucket = ((metric.c.step - first) // width).label("bucket")
        value = sa.cast(values.c.value, sa.Double)
        query = (
            sa.select(
                values.c.key,
                bucket,
                sa.func.max(metric.c.step),
                sa.func.avg(value),
                sa.func.min(value),
                sa.func.max(value),
            )
            .select_from(metric.join(values, sa.true()))
            .where(metric.c.job_uid == job_uid, metric.c.step.between(first, last), values.c.value.is_not(None))
            .where(self._is_of_highest_lineage())
            .group_by(values.c.key, bucket)
            .order_by(values.c.key, bucket)
        )
        if keys:
            query = query.where(values.c.key.in_(keys))
        rows = self._connection.execute(query).all()
        return [_series(key, list(points)) for key, points in itertools.groupby(rows, key=lambda row: row[0])]

    def at(self, job_uid: str, *, step: int) -> MetricLogged | None:
        """Return the metrics of one step, those of its latest line."""
        row = self._connection.execute(self._latest(sa.select(metric), job_uid, step=step)).one_or_none()
        return metric_of(row) if row else None

    def lineage_at(self, job_uid: str, *, step: int) -> int | None:
        """Return the line of steps to which a step belongs, None for a step that is not recorded."""
        found = self._latest(sa.select(metric.c.lineage), job_uid, step=step)
        return self._connection.execute(found).scalar_one_or_none()

    def _latest(self, query: sa.Select[Any], job_uid: str, *, step: int) -> sa.Select[Any]:
        """Return the query for a step on its latest line; the lines are named, so that the primary key answers."""
        lines = self._connection.execute(sa.select(job.c.lineage).where(job.c.uid == job_uid)).scalar_one_or_none()
        named = metric.c.lineage.in_(range(1, (lines or 0) + 1))
        found = query.where(metric.c.job_uid == job_uid, named, metric.c.step == step)
        return found.order_by(metric.c.lineage.desc()).limit(1)

    def recorded(self, job_uid: str, *, lineage: int, after: int, last: int) -> Sequence[MetricLogged]:
        """Return the metrics of the steps after one up to the last that were recorded in a line of steps, in order."""
        steps = _steps(job_uid, lineage=lineage, after=after, last=last)
        rows = self._connection.execute(sa.select(metric).where(steps).order_by(metric.c.step))
        return [metric_of(row) for row in rows]

    def count_recorded(self, job_uid: str, *, lineage: int, after: int, last: int) -> int:
        """Return how many of these steps are recorded in a line of steps."""
        steps = _steps(job_uid, lineage=lineage, after=after, last=last)
        return self._connection.execute(sa.select(sa.func.count()).select_from(metric).where(steps)).scalar_one()

    def _range(self, job_uid: str, *, step_min: int, step_max: int | None) -> tuple[int | None, int | None]:
        query = sa.select(sa.func.min(metric.c.step), sa.func.max(metric.c.step))
        query = query.where(metric.c.job_uid == job_uid, metric.c.step >= step_min)
        if step_max is not None:
            query = query.where(metric.c.step <= step_max)
        first, last = self._connection.execute(query).one()
        return first, last

    def _values(self) -> Any:
        each = sa.func.json_each if self._connection.dialect.name == "sqlite" else sa.func.jsonb_each_text
        return each(metric.c.body).table_valued("key", "value", name="logged")

    def _is_of_highest_lineage(self) -> sa.ColumnElement[bool]:
        later = metric.alias("later")
        same_step = (later.c.job_uid == metric.c.job_uid) & (later.c.step == metric.c.step)
        return ~sa.exists().where(same_step, later.c.lineage > metric.c.lineage)


def _steps(job_uid: str, *, lineage: int, after: int, last: int) -> sa.ColumnElement[bool]:
    line = sa.and_(metric.c.job_uid == job_uid, metric.c.lineage == lineage)
    return sa.and_(line, metric.c.step > after, metric.c.step <= last)


def _series(key: str, points: Sequence[Any]) -> MetricSeries:
    _, _, steps, means, minima, maxima = zip(*points, strict=True)
    return MetricSeries(key=key, steps=steps, means=means, minima=minima, maxima=maxima)

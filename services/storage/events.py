"""Keeper of the history of jobs: events and metrics under one gapless sequence.

The sequence is a column of the job's row, and the row is locked while something is appended: numbers become visible in
their order, so that a watcher that has seen 7 will never find a new 6.
"""

import dataclasses
import datetime
import heapq
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from services.domain.job_events import Happening, JobEvent, MetricLogged, Note
from services.domain.jobs import Job
from services.storage.happenings import event_from_json, event_to_json, kind_of, metric_of, values_to_json
from services.storage.tables.jobs import event, job, metric


class Events:
    """Appends and reads; nothing is ever changed."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def append(self, to: Job, happenings: Sequence[Happening], *, time: datetime.datetime) -> Job:
        """Append in order, and return the job with its sequence moved on; the verb saves it."""
        events, metrics = [], []
        for seq, happening in enumerate(happenings, start=to.last_seq + 1):
            common = {"job_uid": to.uid, "seq": seq, "time": time, "epoch": to.epoch}
            if isinstance(happening, MetricLogged):
                body = values_to_json(happening.values)
                chains = {"data_chain": happening.data_chain, "loss_chain": happening.loss_chain}
                metrics.append({**common, "lineage": to.lineage, "step": happening.step, "body": body, **chains})
            else:
                events.append({**common, "kind": kind_of(happening), "body": event_to_json(happening)})
        for table, rows in ((event, events), (metric, metrics)):
            if rows:
                self._connection.execute(sa.insert(table), rows)
        return dataclasses.replace(to, last_seq=to.last_seq + len(happenings))

    def read(self, job_uid: str, *, after: int, count_max: int) -> Sequence[JobEvent]:
        """Return what happened after a cursor, metrics included, oldest first."""
        query = sa.select(metric).where(metric.c.job_uid == job_uid, metric.c.seq > after)
        rows = self._connection.execute(query.order_by(metric.c.seq).limit(count_max))
        metrics = [_event(row, metric_of(row)) for row in rows]
        events = self.read_without_metrics(job_uid, after=after, count_max=count_max)
        return list(heapq.merge(metrics, events, key=lambda each: each.seq))[:count_max]

    def read_without_metrics(self, job_uid: str, *, after: int, count_max: int) -> Sequence[JobEvent]:
        """Return the events after a cursor, oldest first."""
        query = sa.select(event).where(event.c.job_uid == job_uid, event.c.seq > after)
        rows = self._connection.execute(query.order_by(event.c.seq).limit(count_max))
        return [_event(row, event_from_json(row.kind, row.body)) for row in rows]

    def latest_note(self, job_uid: str, *, kind: str) -> Note | None:
        """Return the newest note of a kind."""
        of_kind = sa.and_(event.c.job_uid == job_uid, event.c.kind == "note", event.c.body["kind"].as_string() == kind)
        row = self._connection.execute(sa.select(event).where(of_kind).order_by(event.c.seq.desc()).limit(1)).first()
        note = event_from_json(row.kind, row.body) if row else None
        return note if isinstance(note, Note) else None

    def last_seqs(self, job_uids: Iterable[str]) -> Mapping[str, int]:
        """Return the last cursor of each job."""
        query = sa.select(job.c.uid, job.c.last_seq).where(job.c.uid.in_(list(job_uids)))
        return {row.uid: row.last_seq for row in self._connection.execute(query)}


def _event(row: Any, happening: Happening) -> JobEvent:
    return JobEvent(job_uid=row.job_uid, seq=row.seq, time=row.time, epoch=row.epoch, happening=happening)

"""Workers that were heard from, and the bells that are still to be rung."""

import sqlalchemy as sa

from services.domain.limits import WORKER_SLOTS_MAX
from services.storage.tables.columns import Count, Id, Instant, metadata, required, uid

worker = sa.Table(
    "worker",
    metadata,
    sa.Column("id", Id, primary_key=True),
    required("slots", sa.Integer),
    required("slots_used", sa.Integer),
    required("device", sa.String(200)),
    required("version", sa.String(50)),
    required("draining", sa.Boolean),
    required("create_time", Instant),
    required("heartbeat_time", Instant),
    sa.CheckConstraint(f"slots BETWEEN 0 AND {WORKER_SLOTS_MAX}", name="slots"),
    sa.Index(None, "heartbeat_time", "id"),
)

outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("id", Count, primary_key=True),
    uid("job_uid"),
    required("due_time", Instant),
    sa.Index(None, "due_time", "id"),
    comment="Bells to ring, written with what they tell of. No foreign key: a bell is a rumour.",
)

"""Projects, their keys, what was done, and which requests were seen."""

import sqlalchemy as sa

from services.domain.projects import Role
from services.storage.tables.columns import Count, Id, Instant, Name, Sha256, metadata, one_of, required, uid

project = sa.Table(
    "project",
    metadata,
    sa.Column("id", Id, primary_key=True),
    uid(unique=True),
    required("create_time", Instant),
    required("requests_per_second", sa.Float),
    required("streams_max", sa.Integer),
    required("open_jobs_max", sa.Integer),
    required("running_jobs_max", sa.Integer),
)

api_key = sa.Table(
    "api_key",
    metadata,
    sa.Column("id", Id, primary_key=True),
    required("project_id", Id, sa.ForeignKey("project.id")),
    required("display_name", sa.String(100)),
    required("role", sa.String(20)),
    required("secret_hash", sa.LargeBinary),
    required("create_time", Instant),
    sa.Column("expire_time", Instant),
    sa.Column("revoke_time", Instant),
    sa.Column("last_use_time", Instant),
    one_of("role", Role),
    sa.Index(None, "project_id", "create_time", "id"),
)

audit_entry = sa.Table(
    "audit_entry",
    metadata,
    sa.Column("id", Count, primary_key=True),
    required("project_id", Id, sa.ForeignKey("project.id")),
    required("time", Instant),
    required("actor", Name),
    required("method", sa.String(100)),
    required("resource", Name),
    required("request_id", sa.String(64)),
    sa.Index(None, "project_id", "id"),
)

request = sa.Table(
    "request",
    metadata,
    sa.Column("project_id", Id, sa.ForeignKey("project.id"), primary_key=True),
    sa.Column("method", sa.String(100), primary_key=True),
    sa.Column("request_id", sa.String(36), primary_key=True),
    required("body_sha256", Sha256),
    required("resource", Name),
    required("time", Instant),
    comment="Mutations that may be repeated; the primary key is the promise that each happens once.",
)

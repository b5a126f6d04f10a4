"""Models and their versions."""

import sqlalchemy as sa

from services.domain.work import PUBLISHING
from services.storage.tables.columns import Id, Instant, Json, Name, Sha256, metadata, required, uid, words_of

model = sa.Table(
    "model",
    metadata,
    uid(primary_key=True),
    required("project_id", Id, sa.ForeignKey("project.id")),
    required("id", Id),
    required("create_time", Instant),
    required("update_time", Instant),
    required("versions", sa.Integer),
    sa.UniqueConstraint("project_id", "id"),
    sa.Index(None, "project_id", "update_time", "uid"),
)

model_version = sa.Table(
    "model_version",
    metadata,
    uid(primary_key=True),
    uid("model_uid"),
    required("project_id", Id),
    required("model_id", Id),
    required("version", sa.Integer),
    required("create_time", Instant),
    uid("job_uid", unique=True),
    required("job_id", Id),
    required("kind", sa.String(20), server_default="train"),
    required("spec", Json),
    required("parent_version", Name, server_default=""),
    required("parameters", sa.BigInteger),
    required("steps", sa.BigInteger),
    required("size_bytes", sa.BigInteger),
    required("artifact_prefix", Name),
    required("manifest_sha256", Sha256),
    required("dataset_sha256", Sha256),
    required("software_version", sa.String(50)),
    sa.Column("validation_loss", sa.Float),
    sa.Column("validation_bits_per_byte", sa.Float),
    sa.ForeignKeyConstraint(["model_uid"], ["model.uid"]),
    sa.ForeignKeyConstraint(["job_uid"], ["job.uid"]),
    sa.UniqueConstraint("model_uid", "version"),
    sa.CheckConstraint("version >= 1", name="version"),
    sa.CheckConstraint(f"kind IN ({words_of(PUBLISHING)})", name="kind"),
    sa.Index(None, "artifact_prefix"),
    comment="A version names a checkpoint's files; UNIQUE(job_uid) is the promise that a job publishes once.",
)

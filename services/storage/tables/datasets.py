"""Datasets, and the uploads they arrive by."""

import sqlalchemy as sa

from services.domain.datasets import DatasetFormat, DatasetState
from services.domain.limits import UPLOAD_BYTES_MAX
from services.storage.tables.columns import Id, Instant, Name, NullableJson, Sha256, metadata, one_of, required, uid

_READY = sa.text("state = 'READY'")

dataset = sa.Table(
    "dataset",
    metadata,
    uid(primary_key=True),
    required("project_id", Id, sa.ForeignKey("project.id")),
    required("id", Id),
    required("state", sa.String(20)),
    required("format", sa.String(20)),
    required("size_bytes", sa.BigInteger),
    required("sha256", Sha256),
    required("rows", sa.BigInteger),
    required("characters", sa.BigInteger),
    required("train_bytes", sa.BigInteger),
    required("validation_bytes", sa.BigInteger),
    required("train_rows", sa.BigInteger),
    required("validation_rows", sa.BigInteger),
    required("create_time", Instant),
    required("creator", Name),
    required("filename", sa.String(200)),
    sa.Column("row_statistics", NullableJson),
    one_of("state", DatasetState),
    one_of("format", DatasetFormat),
    sa.CheckConstraint(f"size_bytes BETWEEN 1 AND {UPLOAD_BYTES_MAX}", name="size_bytes"),
    sa.CheckConstraint("train_bytes + validation_bytes = size_bytes", name="split"),
    sa.Index("uq_dataset_ready", "project_id", "id", unique=True, sqlite_where=_READY, postgresql_where=_READY),
    sa.Index(None, "project_id", "create_time", "uid"),
)

upload = sa.Table(
    "upload",
    metadata,
    uid(primary_key=True),
    required("project_id", Id, sa.ForeignKey("project.id")),
    required("dataset_id", Id),
    uid("dataset_uid", unique=True),
    required("size_bytes", sa.BigInteger),
    required("received_bytes", sa.BigInteger),
    required("parts", sa.Integer),
    required("sha256", Sha256),
    required("format", sa.String(20)),
    required("filename", sa.String(200)),
    required("validation_fraction", sa.Float),
    required("create_time", Instant),
    required("expire_time", Instant),
    required("creator", Name),
    required("finished", sa.Boolean),
    one_of("format", DatasetFormat),
    sa.CheckConstraint(f"size_bytes BETWEEN 1 AND {UPLOAD_BYTES_MAX}", name="size_bytes"),
    sa.CheckConstraint("received_bytes BETWEEN 0 AND size_bytes", name="received_bytes"),
    sa.Index(None, "expire_time"),
    sa.Index(None, "project_id", "dataset_id"),
)

upload_part = sa.Table(
    "upload_part",
    metadata,
    uid("upload_uid", primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    required("key", Name),
    required("offset_bytes", sa.BigInteger),
    required("size_bytes", sa.BigInteger),
    sa.ForeignKeyConstraint(["upload_uid"], ["upload.uid"], ondelete="CASCADE"),
)

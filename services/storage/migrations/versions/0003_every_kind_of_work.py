"""Jobs of every kind: fine-tuning, imports, exports and verification beside training.

A job has a kind, may read several datasets or none, and may begin with a model. Only some kinds publish a version. A
rollback begins a new line of steps, and leaves checkpoints that are not gone on from. Steps carry the chains that a
receipt is made of. Datasets may be rows, model files or a tokenizer. What is there becomes work of the kind `train`.

SQLite cannot change a constraint: the tables are copied, with their CHECKs written down here once more, since they
cannot be read back. `services.storage.schema` switches foreign keys off for that, and checks them all afterwards.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
_KINDS = "kind IN ('train', 'fine_tune', 'import_model', 'export_model', 'verify')"
_FORMATS = "format IN ('TEXT', 'JSONL', 'PARQUET', 'MODEL_FILES', 'TOKENIZER')"
_PUBLISHING = "kind IN ('train', 'fine_tune', 'import_model')"
_SUCCEEDED = f"(state = 'SUCCEEDED' AND {_PUBLISHING}) = (model_version <> '')"
_READS = "kind IN ('export_model', 'verify') OR dataset_uid IS NOT NULL"

_JOB_CHECKS = {
    "failure": "(state = 'FAILED') = (failure IS NOT NULL)",
    "lease": "(state IN ('STARTING', 'RUNNING', 'FINALIZING', 'CANCELLING')) = (lease_until IS NOT NULL)",
    "worker": "(state IN ('STARTING', 'RUNNING', 'FINALIZING', 'CANCELLING')) = (worker_id <> '')",
    "end_time": "(state NOT IN ('SUCCEEDED', 'CANCELLED', 'FAILED')) = (end_time IS NULL)",
    "desire": "desire IN ('RUN', 'PAUSE', 'CANCEL')",
    "state": "state IN ('QUEUED', 'STARTING', 'RUNNING', 'FINALIZING', 'SUCCEEDED', 'BACKOFF', 'PAUSED', 'CANCELLING', 'CANCELLED', 'FAILED')",
    "counters": "epoch >= 0 AND last_seq >= 0 AND lineage >= 1",
    "recorded_step": "recorded_step BETWEEN 0 AND 10000000",
}
_JOB_CHECKS_NOW = {"model_version": _SUCCEEDED, "kind": _KINDS, "dataset": _READS}
_DATASET_CHECKS = {
    "state": "state IN ('READY', 'DELETED')",
    "size_bytes": "size_bytes BETWEEN 1 AND 4294967296",
    "split": "train_bytes + validation_bytes = size_bytes",
}
_UPLOAD_CHECKS = {
    "size_bytes": "size_bytes BETWEEN 1 AND 4294967296",
    "received_bytes": "received_bytes BETWEEN 0 AND size_bytes",
}


def _checks(table: str, *checks: dict[str, str]) -> list[sa.CheckConstraint]:
    return [
        sa.CheckConstraint(condition, name=op.f(f"ck_{table}_{name}"))
        for some in checks
        for name, condition in some.items()
    ]


def _is_sqlite() -> bool:
    return op.get_bind().dialect.name == "sqlite"


def _change(table: str, *, kept: dict[str, str], now: dict[str, str], gone: tuple[str, ...]):
    """Return a table to change: copied on SQLite, in place on PostgreSQL; with the CHECKs that it has afterwards."""
    if not _is_sqlite():
        for name in gone:
            op.drop_constraint(f"ck_{table}_{name}", table, type_="check")
    return op.batch_alter_table(table, recreate="auto", table_args=_checks(table, kept, now))


def _add_checks(table: str, now: dict[str, str]) -> None:
    if not _is_sqlite():
        for name, condition in now.items():
            op.create_check_constraint(op.f(f"ck_{table}_{name}"), table, condition)


def upgrade() -> None:
    with _change("job", kept=_JOB_CHECKS, now=_JOB_CHECKS_NOW, gone=("model_version",)) as job:
        job.add_column(sa.Column("kind", sa.String(20), nullable=False, server_default="train"))
        job.alter_column("dataset_uid", existing_type=sa.String(36), nullable=True)
        job.add_column(sa.Column("mixture_uids", _JSON, nullable=False, server_default="[]"))
        job.add_column(sa.Column("tokenizer_uid", sa.String(36), nullable=True))
        job.add_column(sa.Column("base", _JSON, nullable=True))
        job.add_column(sa.Column("base_prefix", sa.String(300), nullable=False, server_default=""))
        job.add_column(sa.Column("line_start", sa.BigInteger(), nullable=False, server_default="0"))
        job.add_column(sa.Column("training_s", sa.Float(), nullable=False, server_default="0"))
        job.add_column(sa.Column("peak_memory_bytes", sa.BigInteger(), nullable=True))
    _add_checks("job", _JOB_CHECKS_NOW)
    begun = sa.text("base_prefix <> ''")
    op.create_index("ix_job_base", "job", ["base_prefix"], sqlite_where=begun, postgresql_where=begun)
    op.execute("UPDATE job SET training_s = coalesce((SELECT sum(seconds) FROM attempt WHERE job_uid = job.uid), 0)")

    with _change("dataset", kept=_DATASET_CHECKS, now={"format": _FORMATS}, gone=("format",)) as dataset:
        dataset.add_column(sa.Column("row_statistics", _JSON, nullable=True))
    _add_checks("dataset", {"format": _FORMATS})
    with _change("upload", kept=_UPLOAD_CHECKS, now={"format": _FORMATS}, gone=("format",)) as upload:
        upload.alter_column("format", existing_type=sa.String(20), nullable=False)
    _add_checks("upload", {"format": _FORMATS})

    for chain in ("data_chain", "loss_chain"):
        op.add_column("metric", sa.Column(chain, sa.String(64), nullable=False, server_default=""))
    op.add_column("checkpoint", sa.Column("abandoned", sa.Boolean(), nullable=False, server_default=sa.false()))

    version = {"version": "version >= 1"}
    with _change("model_version", kept=version, now={"kind": _PUBLISHING}, gone=()) as model_version:
        model_version.alter_column("train", new_column_name="spec", existing_type=_JSON, existing_nullable=False)
        model_version.add_column(sa.Column("kind", sa.String(20), nullable=False, server_default="train"))
        model_version.add_column(sa.Column("parent_version", sa.String(300), nullable=False, server_default=""))
    _add_checks("model_version", {"kind": _PUBLISHING})


def downgrade() -> None:
    raise NotImplementedError("there is no way back: work of the new kinds has no place in the old tables")

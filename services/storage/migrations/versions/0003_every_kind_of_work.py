"""Jobs of every kind: fine-tuning, imports, exports and verification beside training.

A job has a kind, may read several datasets or none, and may begin with a model. Only some kinds publish a version. A
rollback begins a new line of steps, and leaves checkpoints that are not gone on from. Steps carry the chains that a
receipt is made of. Datasets may be rows, model files or a tokenizer. What is there becomes work of the kind `train`.

SQLite cannot change a constraint: there the tables are copied, and `services.storage.schema` switches foreign keys off
for that, and checks them all afterwards.
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


def upgrade() -> None:
    with op.batch_alter_table("job") as job:
        job.drop_constraint(op.f("ck_job_model_version"), type_="check")
        job.alter_column("dataset_uid", existing_type=sa.String(36), nullable=True)
        job.add_column(sa.Column("kind", sa.String(20), nullable=False, server_default="train"))
        job.add_column(sa.Column("mixture_uids", _JSON, nullable=False, server_default="[]"))
        job.add_column(sa.Column("tokenizer_uid", sa.String(36), nullable=True))
        job.add_column(sa.Column("base", _JSON, nullable=True))
        job.add_column(sa.Column("base_prefix", sa.String(300), nullable=False, server_default=""))
        job.add_column(sa.Column("line_start", sa.BigInteger(), nullable=False, server_default="0"))
        job.add_column(sa.Column("training_s", sa.Float(), nullable=False, server_default="0"))
        job.add_column(sa.Column("peak_memory_bytes", sa.BigInteger(), nullable=True))
        job.create_check_constraint(op.f("ck_job_kind"), _KINDS)
        job.create_check_constraint(op.f("ck_job_dataset"), _READS)
        job.create_check_constraint(op.f("ck_job_model_version"), _SUCCEEDED)
    begun = sa.text("base_prefix <> ''")
    op.create_index("ix_job_base", "job", ["base_prefix"], sqlite_where=begun, postgresql_where=begun)
    op.execute("UPDATE job SET training_s = coalesce((SELECT sum(seconds) FROM attempt WHERE job_uid = job.uid), 0)")

    for table in ("dataset", "upload"):
        with op.batch_alter_table(table) as changed:
            changed.drop_constraint(op.f(f"ck_{table}_format"), type_="check")
            changed.create_check_constraint(op.f(f"ck_{table}_format"), _FORMATS)
    op.add_column("dataset", sa.Column("row_statistics", _JSON, nullable=True))

    for chain in ("data_chain", "loss_chain"):
        op.add_column("metric", sa.Column(chain, sa.String(64), nullable=False, server_default=""))
    op.add_column("checkpoint", sa.Column("abandoned", sa.Boolean(), nullable=False, server_default=sa.false()))

    with op.batch_alter_table("model_version") as model_version:
        model_version.alter_column("train", new_column_name="spec", existing_type=_JSON, existing_nullable=False)
        model_version.add_column(sa.Column("kind", sa.String(20), nullable=False, server_default="train"))
        model_version.add_column(sa.Column("parent_version", sa.String(300), nullable=False, server_default=""))
        model_version.create_check_constraint(op.f("ck_model_version_kind"), _PUBLISHING)


def downgrade() -> None:
    raise NotImplementedError("there is no way back: work of the new kinds has no place in the old tables")

"""Jobs with their lease, attempts, history and checkpoints.

The second fences stand here: whatever a stale writer gets past the epoch check meets a UNIQUE constraint.
"""

import sqlalchemy as sa

from services.domain.job_states import FINAL, HELD, WAITING, Desire, JobState
from services.domain.jobs import AttemptEnd, CheckpointState
from services.domain.limits import STEPS_MAX
from services.domain.work import KINDS, PUBLISHING
from services.storage.tables.columns import (
    Id,
    Instant,
    Json,
    Name,
    NullableJson,
    Sha256,
    metadata,
    one_of,
    required,
    uid,
    words,
    words_of,
)

WAITING_SQL = f"state IN ({words(state for state in JobState if state in WAITING)})"
HELD_SQL = f"state IN ({words(state for state in JobState if state in HELD)})"
USABLE_SQL = "state IN ('COMMITTED', 'VERIFIED')"
OPEN_SQL = f"state NOT IN ({words(state for state in JobState if state in FINAL)})"


def _index_where(name: str, *columns: str, condition: str, unique: bool = False) -> sa.Index:
    """Return an index over some of the rows only, so that a million finished jobs cost the queue nothing."""
    where = sa.text(condition)
    return sa.Index(name, *columns, unique=unique, sqlite_where=where, postgresql_where=where)


job = sa.Table(
    "job",
    metadata,
    uid(primary_key=True),
    required("project_id", Id, sa.ForeignKey("project.id")),
    required("id", Id),
    required("state", sa.String(20)),
    required("desire", sa.String(20)),
    required("kind", sa.String(20), server_default="train"),
    required("spec", Json),
    required("forecast", Json),
    sa.Column("dataset_uid", sa.String(36)),
    required("mixture_uids", Json, server_default="[]"),
    sa.Column("tokenizer_uid", sa.String(36)),
    sa.Column("base", NullableJson),
    required("base_prefix", Name, server_default=""),
    required("dataset_id", Id),
    required("model_id", Id),
    required("creator", Name),
    required("create_time", Instant),
    required("update_time", Instant),
    required("labels", Json),
    sa.Column("start_time", Instant),
    sa.Column("end_time", Instant),
    sa.Column("failure", NullableJson),
    required("model_version", Name),
    required("epoch", sa.BigInteger),
    required("worker_id", Id),
    sa.Column("lease_until", Instant),
    sa.Column("not_before", Instant),
    required("last_seq", sa.BigInteger),
    required("lineage", sa.BigInteger),
    required("line_start", sa.BigInteger, server_default="0"),
    required("recorded_step", sa.BigInteger),
    required("sampled_step", sa.BigInteger),
    sa.Column("checkpoint_step", sa.BigInteger),
    sa.Column("loss", sa.Float),
    sa.Column("validation_loss", sa.Float),
    sa.Column("tokens_per_second", sa.Float),
    required("training_s", sa.Float, server_default="0"),
    sa.Column("peak_memory_bytes", sa.BigInteger),
    required("interruptions", sa.Integer),
    required("attempts_without_progress", sa.Integer),
    required("host_out_of_memory", sa.Integer),
    sa.UniqueConstraint("project_id", "id"),
    sa.ForeignKeyConstraint(["dataset_uid"], ["dataset.uid"]),
    sa.CheckConstraint(f"kind IN ({words_of(KINDS)})", name="kind"),
    sa.CheckConstraint("kind IN ('export_model', 'verify') OR dataset_uid IS NOT NULL", name="dataset"),
    one_of("state", JobState),
    one_of("desire", Desire),
    sa.CheckConstraint(f"({HELD_SQL}) = (lease_until IS NOT NULL)", name="lease"),
    sa.CheckConstraint(f"({HELD_SQL}) = (worker_id <> '')", name="worker"),
    sa.CheckConstraint("(state = 'FAILED') = (failure IS NOT NULL)", name="failure"),
    sa.CheckConstraint(
        f"(state = 'SUCCEEDED' AND kind IN ({words_of(PUBLISHING)})) = (model_version <> '')", name="model_version"
    ),
    sa.CheckConstraint(f"({OPEN_SQL}) = (end_time IS NULL)", name="end_time"),
    sa.CheckConstraint(f"recorded_step BETWEEN 0 AND {STEPS_MAX}", name="recorded_step"),
    sa.CheckConstraint("epoch >= 0 AND last_seq >= 0 AND lineage >= 1", name="counters"),
    sa.Index(None, "project_id", "create_time", "uid"),
    sa.Index(None, "project_id", "state", "create_time", "uid"),
    sa.Index(None, "project_id", "model_id", "create_time", "uid"),
    sa.Index(None, "project_id", "dataset_id", "create_time", "uid"),
    _index_where("ix_job_waiting", "create_time", "uid", condition=WAITING_SQL),
    _index_where("ix_job_held", "lease_until", "project_id", condition=HELD_SQL),
    _index_where("ix_job_open", "project_id", "dataset_uid", condition=OPEN_SQL),
    _index_where("ix_job_base", "base_prefix", condition="base_prefix <> ''"),
)

job_label = sa.Table(
    "job_label",
    metadata,
    uid("job_uid", primary_key=True),
    sa.Column("key", sa.String(63), primary_key=True),
    required("value", sa.String(256)),
    required("project_id", Id),
    sa.ForeignKeyConstraint(["job_uid"], ["job.uid"]),
    sa.Index(None, "project_id", "key", "value", "job_uid"),
    comment="The labels once more, to be found by; they never change.",
)

attempt = sa.Table(
    "attempt",
    metadata,
    uid("job_uid", primary_key=True),
    sa.Column("epoch", sa.BigInteger, primary_key=True, autoincrement=False),
    required("worker_id", Id),
    required("claim_id", sa.String(64), unique=True),
    required("start_time", Instant),
    required("first_recorded_step", sa.BigInteger),
    sa.Column("end_time", Instant),
    sa.Column("end", sa.String(20)),
    required("message", sa.Text),
    required("last_fact_seq", sa.BigInteger),
    required("steps", sa.BigInteger),
    required("seconds", sa.Float),
    sa.ForeignKeyConstraint(["job_uid"], ["job.uid"]),
    sa.CheckConstraint(f'"end" IN ({words(AttemptEnd)})', name="end"),
    sa.CheckConstraint('(end_time IS NULL) = ("end" IS NULL)', name="ended"),
    _index_where("uq_attempt_open", "job_uid", condition="end_time IS NULL", unique=True),
    sa.Index(None, "start_time"),
)

event = sa.Table(
    "event",
    metadata,
    uid("job_uid", primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    required("time", Instant),
    required("epoch", sa.BigInteger),
    required("kind", sa.String(30)),
    required("body", Json),
    sa.ForeignKeyConstraint(["job_uid"], ["job.uid"]),
    sa.CheckConstraint("seq >= 1", name="seq"),
)

metric = sa.Table(
    "metric",
    metadata,
    uid("job_uid", primary_key=True),
    sa.Column("lineage", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("step", sa.BigInteger, primary_key=True, autoincrement=False),
    required("seq", sa.BigInteger),
    required("time", Instant),
    required("epoch", sa.BigInteger),
    required("body", Json),
    required("data_chain", sa.String(64), server_default=""),
    required("loss_chain", sa.String(64), server_default=""),
    sa.UniqueConstraint("job_uid", "seq"),
    sa.ForeignKeyConstraint(["job_uid"], ["job.uid"]),
    sa.CheckConstraint(f"step BETWEEN 1 AND {STEPS_MAX}", name="step"),
    comment="The values of a step; the primary key is the promise that each step counts once.",
)

checkpoint = sa.Table(
    "checkpoint",
    metadata,
    uid(primary_key=True),
    uid("job_uid"),
    required("lineage", sa.BigInteger),
    required("step", sa.BigInteger),
    required("epoch", sa.BigInteger),
    required("state", sa.String(20)),
    required("artifact_prefix", Name, unique=True),
    required("manifest_sha256", Sha256),
    required("size_bytes", sa.BigInteger),
    required("create_time", Instant),
    required("complete", sa.Boolean),
    required("abandoned", sa.Boolean, server_default=sa.false()),
    required("parameters", sa.BigInteger),
    sa.Column("validation_loss", sa.Float),
    sa.Column("validation_bits_per_byte", sa.Float),
    sa.ForeignKeyConstraint(["job_uid"], ["job.uid"]),
    one_of("state", CheckpointState),
    sa.CheckConstraint("step >= 0", name="step"),
    _index_where("uq_checkpoint_live", "job_uid", "lineage", "step", condition=USABLE_SQL, unique=True),
    sa.Index(None, "job_uid", "step"),
    sa.Index(None, "create_time"),
)

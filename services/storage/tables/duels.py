"""Duels of two versions, with the pairs of answers that they compare."""

import sqlalchemy as sa

from services.domain.duels import DuelJudge
from services.domain.limits import ERROR_RATE_MAX, ERROR_RATE_MIN
from services.storage.tables.columns import Id, Instant, Json, Name, NullableJson, metadata, one_of, required, uid

duel = sa.Table(
    "duel",
    metadata,
    uid(primary_key=True),
    required("project_id", Id, sa.ForeignKey("project.id")),
    required("id", Id),
    required("champion", Name),
    required("challenger", Name),
    required("prompts", Name),
    required("judge", sa.String(20)),
    sa.Column("checker", NullableJson),
    required("reward_model", Name),
    required("options", Json),
    required("error_rate", sa.Float),
    required("pairs", sa.BigInteger),
    required("overlap", sa.Integer),
    required("guidelines", sa.Text),
    required("reviewers", Json),
    uid("job_uid", unique=True),
    required("job_id", Id),
    sa.Column("review_uid", sa.String(36), unique=True),
    required("review_id", sa.String(63)),
    required("creator", Name),
    required("create_time", Instant),
    sa.UniqueConstraint("project_id", "id"),
    sa.ForeignKeyConstraint(["job_uid"], ["job.uid"]),
    one_of("judge", DuelJudge),
    sa.CheckConstraint(f"error_rate BETWEEN {ERROR_RATE_MIN} AND {ERROR_RATE_MAX}", name="error_rate"),
    sa.CheckConstraint("champion <> challenger", name="versions"),
    sa.CheckConstraint("(judge = 'REVIEWERS') = (review_uid IS NOT NULL)", name="review"),
    sa.CheckConstraint("(judge = 'CHECKER') = (checker IS NOT NULL)", name="checker"),
    sa.CheckConstraint("(judge = 'REWARD_MODEL') = (reward_model <> '')", name="reward_model"),
    sa.Index(None, "project_id", "create_time", "uid"),
    sa.Index(None, "project_id", "challenger", "create_time"),
    sa.Index(None, "project_id", "champion", "create_time"),
)

duel_pair = sa.Table(
    "duel_pair",
    metadata,
    uid("duel_uid", primary_key=True),
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    required("same", sa.Boolean),
    sa.Column("champion_score", sa.Float),
    sa.Column("challenger_score", sa.Float),
    sa.ForeignKeyConstraint(["duel_uid"], ["duel.uid"]),
    sa.CheckConstraint("number >= 1", name="number"),
    sa.CheckConstraint("(champion_score IS NULL) = (challenger_score IS NULL)", name="scores"),
)

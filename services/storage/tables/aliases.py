"""Aliases of model versions, with every move of each."""

import sqlalchemy as sa

from services.domain.limits import REASON_CHARACTERS_MAX
from services.storage.tables.columns import Count, Id, Instant, Name, metadata, required

alias = sa.Table(
    "alias",
    metadata,
    sa.Column("project_id", Id, sa.ForeignKey("project.id"), primary_key=True),
    sa.Column("model_id", Id, primary_key=True),
    sa.Column("id", Id, primary_key=True),
    required("version", sa.Integer),
    required("etag", sa.String(36)),
    required("update_time", Instant),
    sa.CheckConstraint("version >= 1", name="version"),
    sa.CheckConstraint("id <> 'latest'", name="id"),
)

alias_move = sa.Table(
    "alias_move",
    metadata,
    sa.Column("seq", Count, primary_key=True),
    required("project_id", Id),
    required("model_id", Id),
    required("alias_id", Id),
    required("version", sa.Integer),
    required("time", Instant),
    required("actor", Name),
    required("reason", sa.String(REASON_CHARACTERS_MAX)),
    required("gate", sa.Text),
    required("forced", sa.Boolean),
    required("rolled_back", sa.Boolean),
    sa.ForeignKeyConstraint(["project_id", "model_id", "alias_id"], ["alias.project_id", "alias.model_id", "alias.id"]),
    sa.Index(None, "project_id", "model_id", "alias_id", "seq"),
    comment="The history of aliases: triggers refuse to change a row.",
)

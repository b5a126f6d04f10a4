"""Feedback sets, and the votes in each of them."""

import sqlalchemy as sa

from services.domain.conflicts import ConflictPolicy
from services.storage.tables.columns import Id, Json, metadata, one_of, required, uid

feedback_set = sa.Table(
    "feedback_set",
    metadata,
    uid(primary_key=True),
    required("project_id", Id, sa.ForeignKey("project.id")),
    required("id", Id),
    required("policy", sa.String(20)),
    required("settings", Json),
    required("reviews", Json),
    required("sources", Json),
    required("votes", sa.BigInteger),
    required("scripted_votes", sa.BigInteger),
    required("reviewers", sa.Integer),
    required("items_left_out", sa.BigInteger),
    sa.Column("parent_set_uid", sa.String(36)),
    sa.ForeignKeyConstraint(["uid"], ["dataset.uid"]),
    sa.ForeignKeyConstraint(["parent_set_uid"], ["feedback_set.uid"]),
    sa.UniqueConstraint("project_id", "id"),
    one_of("policy", ConflictPolicy),
    sa.CheckConstraint("votes >= 1 AND scripted_votes BETWEEN 0 AND votes", name="votes"),
    sa.CheckConstraint("items_left_out >= 0 AND reviewers >= 1", name="counters"),
    sa.Index(None, "parent_set_uid"),
    comment="What a dataset of the house was made of; hash, time, bytes and counts of rows are the dataset's.",
)

feedback_set_vote = sa.Table(
    "feedback_set_vote",
    metadata,
    uid("set_uid", primary_key=True),
    uid("vote_uid", primary_key=True),
    sa.ForeignKeyConstraint(["set_uid"], ["feedback_set.uid"]),
    sa.ForeignKeyConstraint(["vote_uid"], ["vote.uid"]),
    sa.Index(None, "vote_uid"),
    comment="Every vote that was weighed for a set.",
)

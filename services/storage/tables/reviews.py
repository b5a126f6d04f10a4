"""Reviews with their items, the seats at them, and the ledger of votes.

Prompts, candidates and judgements are JSON text and never JSONB: a model may write the character NUL.
"""

import sqlalchemy as sa

from services.domain.judgements import ReviewKind
from services.domain.limits import (
    END_USER_CHARACTERS_MAX,
    OVERLAP_MAX,
    REPEAT_SHARE_MAX,
    SEAT_SECONDS_MAX,
    SEAT_SECONDS_MIN,
)
from services.domain.reviews import CHANGES, GIVEN, SeatState
from services.storage.tables.columns import (
    Count,
    Id,
    Instant,
    Json,
    Name,
    Sha256,
    metadata,
    one_of,
    required,
    uid,
    words,
)

FREE_SQL = "free_seats > 0"
TAKEN_SQL = "state IN ('HELD', 'VOTED') AND NOT repeat"
HELD_SQL = "state = 'HELD'"
RETRACTED_SQL = "state = 'RETRACTED'"
RESTING_SQL = "state IN ('LOST', 'SKIPPED', 'WAITING')"

_Text = sa.JSON()
_NullableText = sa.JSON(none_as_null=True)


def _index_where(name: str, *columns: str, condition: str, unique: bool = False) -> sa.Index:
    where = sa.text(condition)
    return sa.Index(name, *columns, unique=unique, sqlite_where=where, postgresql_where=where)


review = sa.Table(
    "review",
    metadata,
    uid(primary_key=True),
    required("project_id", Id, sa.ForeignKey("project.id")),
    required("id", Id),
    required("closed", sa.Boolean),
    required("kind", sa.String(20)),
    required("draw", Json),
    required("overlap", sa.Integer),
    required("guidelines", sa.Text),
    required("guidelines_version", sa.Integer),
    required("rubric", Json),
    required("reviewers", Json),
    required("repeat_share", sa.Float),
    required("seat_seconds", sa.Integer),
    uid("job_uid", unique=True),
    sa.Column("duel_id", Id),
    required("creator", Name),
    required("create_time", Instant),
    required("update_time", Instant),
    required("items", sa.BigInteger),
    required("next_position", sa.BigInteger),
    sa.UniqueConstraint("project_id", "id"),
    sa.ForeignKeyConstraint(["job_uid"], ["job.uid"]),
    one_of("kind", ReviewKind),
    sa.CheckConstraint(f"overlap BETWEEN 1 AND {OVERLAP_MAX}", name="overlap"),
    sa.CheckConstraint(f"repeat_share BETWEEN 0 AND {REPEAT_SHARE_MAX}", name="repeat_share"),
    sa.CheckConstraint(f"seat_seconds BETWEEN {SEAT_SECONDS_MIN} AND {SEAT_SECONDS_MAX}", name="seat_seconds"),
    sa.CheckConstraint("guidelines_version >= 1", name="guidelines_version"),
    sa.Index(None, "project_id", "create_time", "uid"),
)

review_guidelines = sa.Table(
    "review_guidelines",
    metadata,
    uid("review_uid", primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    required("text", sa.Text),
    required("create_time", Instant),
    sa.ForeignKeyConstraint(["review_uid"], ["review.uid"]),
    comment="Every version of the guidelines; votes say which their reviewer saw.",
)

review_item = sa.Table(
    "review_item",
    metadata,
    uid(primary_key=True),
    required("project_id", Id, sa.ForeignKey("project.id")),
    sa.Column("review_uid", sa.String(36)),
    required("number", sa.BigInteger),
    required("position", sa.BigInteger),
    required("free_seats", sa.Integer),
    required("prompt", _Text),
    required("prompt_sha256", Sha256),
    required("candidates", _Text),
    sa.Column("gold", _NullableText),
    sa.UniqueConstraint("review_uid", "number"),
    sa.ForeignKeyConstraint(["review_uid"], ["review.uid"]),
    sa.CheckConstraint(f"free_seats BETWEEN 0 AND {OVERLAP_MAX}", name="free_seats"),
    sa.CheckConstraint(
        "(review_uid IS NULL AND number = 0 AND free_seats = 0) OR (review_uid IS NOT NULL AND number >= 1)",
        name="number",
    ),
    _index_where("ix_review_item_free", "review_uid", "position", condition=FREE_SQL),
    comment="`number` is its name and never changes; `position` is its place in the queue, and only grows.",
)

review_reviewer = sa.Table(
    "review_reviewer",
    metadata,
    uid("review_uid", primary_key=True),
    sa.Column("reviewer", Name, primary_key=True),
    required("passed_position", sa.BigInteger),
    required("votes", sa.BigInteger),
    required("discards", sa.BigInteger),
    required("repeats", sa.BigInteger),
    sa.ForeignKeyConstraint(["review_uid"], ["review.uid"]),
    sa.CheckConstraint("votes >= 0 AND discards >= 0 AND repeats >= 0", name="counters"),
    comment="How far a reviewer is: nothing up to `passed_position` is left for them.",
)

seat = sa.Table(
    "seat",
    metadata,
    uid(primary_key=True),
    uid("item_uid"),
    uid("review_uid"),
    required("reviewer", Name),
    required("place", sa.Integer),
    required("state", sa.String(20)),
    required("repeat", sa.Boolean),
    required("take_time", Instant),
    required("expire_time", Instant),
    required("guidelines_version", sa.Integer),
    required("shown_order", Json),
    sa.Column("draft", _NullableText),
    sa.Column("vote_uid", sa.String(36), unique=True),
    required("due", sa.BigInteger),
    sa.UniqueConstraint("item_uid", "reviewer", "repeat"),
    sa.ForeignKeyConstraint(["item_uid"], ["review_item.uid"]),
    sa.ForeignKeyConstraint(["review_uid"], ["review.uid"]),
    one_of("state", SeatState),
    sa.CheckConstraint(f"place BETWEEN 0 AND {OVERLAP_MAX - 1}", name="place"),
    sa.CheckConstraint("(state = 'VOTED') = (vote_uid IS NOT NULL)", name="vote"),
    sa.CheckConstraint("state <> 'WAITING' OR repeat", name="waiting"),
    _index_where("uq_seat_place", "item_uid", "place", condition=TAKEN_SQL, unique=True),
    _index_where("ix_seat_held", "review_uid", "reviewer", "take_time", condition=HELD_SQL),
    _index_where("ix_seat_resting", "review_uid", "reviewer", condition=RESTING_SQL),
    comment="UNIQUE(item_uid, place) is the promise that no place is held twice.",
)

vote = sa.Table(
    "vote",
    metadata,
    sa.Column("seq", Count, primary_key=True),
    uid(unique=True),
    required("project_id", Id, sa.ForeignKey("project.id")),
    uid("item_uid"),
    sa.Column("review_uid", sa.String(36)),
    sa.Column("seat_uid", sa.String(36)),
    required("reviewer", Name),
    required("state", sa.String(20)),
    required("judgement", _Text),
    required("shown_order", Json),
    required("active_seconds", sa.Float),
    required("guidelines_version", sa.Integer),
    required("source", Id),
    required("end_user", sa.String(END_USER_CHARACTERS_MAX)),
    required("scripted", sa.Boolean),
    required("repeat", sa.Boolean),
    required("create_time", Instant),
    sa.ForeignKeyConstraint(["item_uid"], ["review_item.uid"]),
    sa.ForeignKeyConstraint(["review_uid"], ["review.uid"]),
    sa.ForeignKeyConstraint(["seat_uid"], ["seat.uid"]),
    sa.CheckConstraint(f"state IN ({words(GIVEN)})", name="state"),
    sa.CheckConstraint("active_seconds >= 0", name="active_seconds"),
    sa.CheckConstraint("(review_uid IS NULL) = (seat_uid IS NULL)", name="seat"),
    sa.Index(None, "item_uid"),
    sa.Index(None, "project_id", "seq"),
    sa.Index(None, "review_uid", "seq"),
    sa.Index(None, "review_uid", "reviewer", "seq"),
    sa.Index(None, "project_id", "source", "seq"),
    comment="The ledger: triggers refuse to change a row.",
)

vote_change = sa.Table(
    "vote_change",
    metadata,
    uid("vote_uid", primary_key=True),
    sa.Column("state", sa.String(20), primary_key=True),
    required("reason", sa.Text),
    required("actor", Name),
    required("create_time", Instant),
    sa.ForeignKeyConstraint(["vote_uid"], ["vote.uid"]),
    sa.CheckConstraint(f"state IN ({words(CHANGES)})", name="state"),
    _index_where("ix_vote_change_retracted", "vote_uid", condition=RETRACTED_SQL),
    comment="What was said of a vote later; triggers refuse to change a row.",
)

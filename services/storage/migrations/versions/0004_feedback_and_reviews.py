"""Reviews, the ledger of votes, feedback sets, duels and aliases.

A review has items, each with a number that is its name and a position in the queue: an item whose seat became free goes
to the end, so that every reviewer finds it by going forward only. A reviewer has one seat at an item, and one more where
the item comes again unsaid. Votes are never changed: what becomes of one is a row of its own. Prompts, candidates and
judgements are kept as JSON text, for a model may write the character NUL, which JSONB has no place for.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
_NULLABLE_JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
_COUNT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_KINDS = "kind IN ('train', 'fine_tune', 'import_model', 'export_model', 'verify', 'draw', 'evaluate')"
_REVIEW_KINDS = "kind IN ('PAIR', 'SINGLE', 'RANKING')"
_SEAT_STATES = "state IN ('HELD', 'VOTED', 'SKIPPED', 'LOST', 'WAITING')"
_NEVER_CHANGED = ("vote", "vote_change", "feedback_set", "feedback_set_vote", "alias_move")
_REFUSAL = "votes, feedback sets and moves of aliases are never changed"
_JUDGES = "judge IN ('REVIEWERS', 'CHECKER', 'REWARD_MODEL')"
_RELATIONS = (
    "relation IN ('TRAINED_ON', 'TOKENIZED_BY', 'TUNED_FROM', 'REWARDED_BY', 'IMPORTED_FROM', 'MERGED_INTO',"
    " 'EXPORTED_FROM', 'PROMPTED_BY', 'DRAWN_FROM', 'SCORED_BY', 'MEASURED', 'MEASURED_ON', 'VERIFIED')"
)


def upgrade() -> None:
    with op.batch_alter_table("job") as job:
        job.drop_constraint(op.f("ck_job_kind"), type_="check")
        job.create_check_constraint(op.f("ck_job_kind"), _KINDS)
    _reviews()
    _seats()
    _votes()
    _feedback_sets()
    _aliases()
    _duels()
    _job_sources()
    for statement in _triggers():
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("there is no way back: votes have no place in the old tables")


def _reviews() -> None:
    op.create_table(
        "review",
        sa.Column("uid", sa.String(36), primary_key=True),
        sa.Column("project_id", sa.String(63), nullable=False),
        sa.Column("id", sa.String(63), nullable=False),
        sa.Column("closed", sa.Boolean(), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("draw", _JSON, nullable=False),
        sa.Column("overlap", sa.Integer(), nullable=False),
        sa.Column("guidelines", sa.Text(), nullable=False),
        sa.Column("guidelines_version", sa.Integer(), nullable=False),
        sa.Column("rubric", _JSON, nullable=False),
        sa.Column("reviewers", _JSON, nullable=False),
        sa.Column("repeat_share", sa.Float(), nullable=False),
        sa.Column("seat_seconds", sa.Integer(), nullable=False),
        sa.Column("job_uid", sa.String(36), nullable=False),
        sa.Column("duel_id", sa.String(63), nullable=True),
        sa.Column("creator", sa.String(300), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.Column("update_time", sa.BigInteger(), nullable=False),
        sa.Column("items", sa.BigInteger(), nullable=False),
        sa.Column("next_position", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_review_project_id")),
        sa.ForeignKeyConstraint(["job_uid"], ["job.uid"], name=op.f("fk_review_job_uid")),
        sa.UniqueConstraint("project_id", "id", name=op.f("uq_review_project_id_id")),
        sa.UniqueConstraint("job_uid", name=op.f("uq_review_job_uid")),
        sa.CheckConstraint(_REVIEW_KINDS, name=op.f("ck_review_kind")),
        sa.CheckConstraint("overlap BETWEEN 1 AND 20", name=op.f("ck_review_overlap")),
        sa.CheckConstraint("repeat_share BETWEEN 0 AND 0.5", name=op.f("ck_review_repeat_share")),
        sa.CheckConstraint("seat_seconds BETWEEN 30 AND 86400", name=op.f("ck_review_seat_seconds")),
        sa.CheckConstraint("guidelines_version >= 1", name=op.f("ck_review_guidelines_version")),
    )
    op.create_index("ix_review_project_id_create_time_uid", "review", ["project_id", "create_time", "uid"])
    op.create_table(
        "review_guidelines",
        sa.Column("review_uid", sa.String(36), primary_key=True),
        sa.Column("version", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["review_uid"], ["review.uid"], name=op.f("fk_review_guidelines_review_uid")),
    )
    op.create_table(
        "review_item",
        sa.Column("uid", sa.String(36), primary_key=True),
        sa.Column("project_id", sa.String(63), nullable=False),
        sa.Column("review_uid", sa.String(36), nullable=True),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("free_seats", sa.Integer(), nullable=False),
        sa.Column("prompt", sa.JSON(), nullable=False),
        sa.Column("prompt_sha256", sa.String(64), nullable=False),
        sa.Column("candidates", sa.JSON(), nullable=False),
        sa.Column("gold", sa.JSON(none_as_null=True), nullable=True),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_review_item_project_id")),
        sa.ForeignKeyConstraint(["review_uid"], ["review.uid"], name=op.f("fk_review_item_review_uid")),
        sa.UniqueConstraint("review_uid", "number", name=op.f("uq_review_item_review_uid_number")),
        sa.CheckConstraint("free_seats BETWEEN 0 AND 20", name=op.f("ck_review_item_free_seats")),
        sa.CheckConstraint(
            "(review_uid IS NULL AND number = 0 AND free_seats = 0) OR (review_uid IS NOT NULL AND number >= 1)",
            name=op.f("ck_review_item_number"),
        ),
    )
    free = sa.text("free_seats > 0")
    op.create_index(
        "ix_review_item_free", "review_item", ["review_uid", "position"], sqlite_where=free, postgresql_where=free
    )
    op.create_table(
        "review_reviewer",
        sa.Column("review_uid", sa.String(36), primary_key=True),
        sa.Column("reviewer", sa.String(300), primary_key=True),
        sa.Column("passed_position", sa.BigInteger(), nullable=False),
        sa.Column("votes", sa.BigInteger(), nullable=False),
        sa.Column("discards", sa.BigInteger(), nullable=False),
        sa.Column("repeats", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["review_uid"], ["review.uid"], name=op.f("fk_review_reviewer_review_uid")),
        sa.CheckConstraint("votes >= 0 AND discards >= 0 AND repeats >= 0", name=op.f("ck_review_reviewer_counters")),
    )


def _seats() -> None:
    op.create_table(
        "seat",
        sa.Column("uid", sa.String(36), primary_key=True),
        sa.Column("item_uid", sa.String(36), nullable=False),
        sa.Column("review_uid", sa.String(36), nullable=False),
        sa.Column("reviewer", sa.String(300), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("repeat", sa.Boolean(), nullable=False),
        sa.Column("take_time", sa.BigInteger(), nullable=False),
        sa.Column("expire_time", sa.BigInteger(), nullable=False),
        sa.Column("guidelines_version", sa.Integer(), nullable=False),
        sa.Column("shown_order", _JSON, nullable=False),
        sa.Column("draft", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("vote_uid", sa.String(36), nullable=True),
        sa.Column("due", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["item_uid"], ["review_item.uid"], name=op.f("fk_seat_item_uid")),
        sa.ForeignKeyConstraint(["review_uid"], ["review.uid"], name=op.f("fk_seat_review_uid")),
        sa.UniqueConstraint("item_uid", "reviewer", "repeat", name=op.f("uq_seat_item_uid_reviewer_repeat")),
        sa.UniqueConstraint("vote_uid", name=op.f("uq_seat_vote_uid")),
        sa.CheckConstraint(_SEAT_STATES, name=op.f("ck_seat_state")),
        sa.CheckConstraint("place BETWEEN 0 AND 19", name=op.f("ck_seat_place")),
        sa.CheckConstraint("(state = 'VOTED') = (vote_uid IS NOT NULL)", name=op.f("ck_seat_vote")),
        sa.CheckConstraint("state <> 'WAITING' OR repeat", name=op.f("ck_seat_waiting")),
    )
    taken = sa.text("state IN ('HELD', 'VOTED') AND NOT repeat")
    held = sa.text("state = 'HELD'")
    resting = sa.text("state IN ('LOST', 'SKIPPED', 'WAITING')")
    op.create_index(
        "uq_seat_place", "seat", ["item_uid", "place"], unique=True, sqlite_where=taken, postgresql_where=taken
    )
    op.create_index(
        "ix_seat_held", "seat", ["review_uid", "reviewer", "take_time"], sqlite_where=held, postgresql_where=held
    )
    op.create_index(
        "ix_seat_resting", "seat", ["review_uid", "reviewer"], sqlite_where=resting, postgresql_where=resting
    )


def _votes() -> None:
    op.create_table(
        "vote",
        sa.Column("seq", _COUNT, primary_key=True),
        sa.Column("uid", sa.String(36), nullable=False),
        sa.Column("project_id", sa.String(63), nullable=False),
        sa.Column("item_uid", sa.String(36), nullable=False),
        sa.Column("review_uid", sa.String(36), nullable=True),
        sa.Column("seat_uid", sa.String(36), nullable=True),
        sa.Column("reviewer", sa.String(300), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("judgement", sa.JSON(), nullable=False),
        sa.Column("shown_order", _JSON, nullable=False),
        sa.Column("active_seconds", sa.Float(), nullable=False),
        sa.Column("guidelines_version", sa.Integer(), nullable=False),
        sa.Column("source", sa.String(63), nullable=False),
        sa.Column("end_user", sa.String(128), nullable=False),
        sa.Column("scripted", sa.Boolean(), nullable=False),
        sa.Column("repeat", sa.Boolean(), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.UniqueConstraint("uid", name=op.f("uq_vote_uid")),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_vote_project_id")),
        sa.ForeignKeyConstraint(["item_uid"], ["review_item.uid"], name=op.f("fk_vote_item_uid")),
        sa.ForeignKeyConstraint(["review_uid"], ["review.uid"], name=op.f("fk_vote_review_uid")),
        sa.ForeignKeyConstraint(["seat_uid"], ["seat.uid"], name=op.f("fk_vote_seat_uid")),
        sa.CheckConstraint("state IN ('SUBMITTED', 'DISCARDED')", name=op.f("ck_vote_state")),
        sa.CheckConstraint("active_seconds >= 0", name=op.f("ck_vote_active_seconds")),
        sa.CheckConstraint("(review_uid IS NULL) = (seat_uid IS NULL)", name=op.f("ck_vote_seat")),
    )
    op.create_index("ix_vote_item_uid", "vote", ["item_uid"])
    op.create_index("ix_vote_project_id_seq", "vote", ["project_id", "seq"])
    op.create_index("ix_vote_review_uid_seq", "vote", ["review_uid", "seq"])
    op.create_index("ix_vote_review_uid_reviewer_seq", "vote", ["review_uid", "reviewer", "seq"])
    op.create_index("ix_vote_project_id_source_seq", "vote", ["project_id", "source", "seq"])
    op.create_table(
        "vote_change",
        sa.Column("vote_uid", sa.String(36), primary_key=True),
        sa.Column("state", sa.String(20), primary_key=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("actor", sa.String(300), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["vote_uid"], ["vote.uid"], name=op.f("fk_vote_change_vote_uid")),
        sa.CheckConstraint("state IN ('WITHDRAWN', 'RETRACTED')", name=op.f("ck_vote_change_state")),
    )
    retracted = sa.text("state = 'RETRACTED'")
    op.create_index(
        "ix_vote_change_retracted", "vote_change", ["vote_uid"], sqlite_where=retracted, postgresql_where=retracted
    )


def _feedback_sets() -> None:
    op.create_table(
        "feedback_set",
        sa.Column("uid", sa.String(36), primary_key=True),
        sa.Column("project_id", sa.String(63), nullable=False),
        sa.Column("id", sa.String(63), nullable=False),
        sa.Column("policy", sa.String(20), nullable=False),
        sa.Column("settings", _JSON, nullable=False),
        sa.Column("reviews", _JSON, nullable=False),
        sa.Column("sources", _JSON, nullable=False),
        sa.Column("votes", sa.BigInteger(), nullable=False),
        sa.Column("scripted_votes", sa.BigInteger(), nullable=False),
        sa.Column("reviewers", sa.Integer(), nullable=False),
        sa.Column("items_left_out", sa.BigInteger(), nullable=False),
        sa.Column("parent_set_uid", sa.String(36), nullable=True),
        sa.ForeignKeyConstraint(["uid"], ["dataset.uid"], name=op.f("fk_feedback_set_uid")),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_feedback_set_project_id")),
        sa.ForeignKeyConstraint(["parent_set_uid"], ["feedback_set.uid"], name=op.f("fk_feedback_set_parent_set_uid")),
        sa.UniqueConstraint("project_id", "id", name=op.f("uq_feedback_set_project_id_id")),
        sa.CheckConstraint("policy IN ('MAJORITY', 'UNANIMOUS', 'WEIGHTED')", name=op.f("ck_feedback_set_policy")),
        sa.CheckConstraint("votes >= 1 AND scripted_votes BETWEEN 0 AND votes", name=op.f("ck_feedback_set_votes")),
        sa.CheckConstraint("items_left_out >= 0 AND reviewers >= 1", name=op.f("ck_feedback_set_counters")),
    )
    op.create_index("ix_feedback_set_parent_set_uid", "feedback_set", ["parent_set_uid"])
    op.create_table(
        "feedback_set_vote",
        sa.Column("set_uid", sa.String(36), primary_key=True),
        sa.Column("vote_uid", sa.String(36), primary_key=True),
        sa.ForeignKeyConstraint(["set_uid"], ["feedback_set.uid"], name=op.f("fk_feedback_set_vote_set_uid")),
        sa.ForeignKeyConstraint(["vote_uid"], ["vote.uid"], name=op.f("fk_feedback_set_vote_vote_uid")),
    )
    op.create_index("ix_feedback_set_vote_vote_uid", "feedback_set_vote", ["vote_uid"])


def _aliases() -> None:
    op.create_table(
        "alias",
        sa.Column("project_id", sa.String(63), primary_key=True),
        sa.Column("model_id", sa.String(63), primary_key=True),
        sa.Column("id", sa.String(63), primary_key=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("etag", sa.String(36), nullable=False),
        sa.Column("update_time", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_alias_project_id")),
        sa.CheckConstraint("version >= 1", name=op.f("ck_alias_version")),
        sa.CheckConstraint("id <> 'latest'", name=op.f("ck_alias_id")),
    )
    op.create_table(
        "alias_move",
        sa.Column("seq", _COUNT, primary_key=True),
        sa.Column("project_id", sa.String(63), nullable=False),
        sa.Column("model_id", sa.String(63), nullable=False),
        sa.Column("alias_id", sa.String(63), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(300), nullable=False),
        sa.Column("reason", sa.String(1000), nullable=False),
        sa.Column("gate", sa.Text(), nullable=False),
        sa.Column("forced", sa.Boolean(), nullable=False),
        sa.Column("rolled_back", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id", "model_id", "alias_id"],
            ["alias.project_id", "alias.model_id", "alias.id"],
            name=op.f("fk_alias_move_project_id"),
        ),
    )
    of_alias = ["project_id", "model_id", "alias_id", "seq"]
    op.create_index("ix_alias_move_project_id_model_id_alias_id_seq", "alias_move", of_alias)


def _duels() -> None:
    op.create_table(
        "duel",
        sa.Column("uid", sa.String(36), primary_key=True),
        sa.Column("project_id", sa.String(63), nullable=False),
        sa.Column("id", sa.String(63), nullable=False),
        sa.Column("champion", sa.String(300), nullable=False),
        sa.Column("challenger", sa.String(300), nullable=False),
        sa.Column("prompts", sa.String(300), nullable=False),
        sa.Column("judge", sa.String(20), nullable=False),
        sa.Column("checker", _NULLABLE_JSON, nullable=True),
        sa.Column("reward_model", sa.String(300), nullable=False),
        sa.Column("options", _JSON, nullable=False),
        sa.Column("error_rate", sa.Float(), nullable=False),
        sa.Column("pairs", sa.BigInteger(), nullable=False),
        sa.Column("overlap", sa.Integer(), nullable=False),
        sa.Column("guidelines", sa.Text(), nullable=False),
        sa.Column("reviewers", _JSON, nullable=False),
        sa.Column("job_uid", sa.String(36), nullable=False),
        sa.Column("job_id", sa.String(63), nullable=False),
        sa.Column("review_uid", sa.String(36), nullable=True),
        sa.Column("review_id", sa.String(63), nullable=False),
        sa.Column("creator", sa.String(300), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_duel_project_id")),
        sa.ForeignKeyConstraint(["job_uid"], ["job.uid"], name=op.f("fk_duel_job_uid")),
        sa.UniqueConstraint("project_id", "id", name=op.f("uq_duel_project_id_id")),
        sa.UniqueConstraint("job_uid", name=op.f("uq_duel_job_uid")),
        sa.UniqueConstraint("review_uid", name=op.f("uq_duel_review_uid")),
        sa.CheckConstraint(_JUDGES, name=op.f("ck_duel_judge")),
        sa.CheckConstraint("error_rate BETWEEN 0.001 AND 0.2", name=op.f("ck_duel_error_rate")),
        sa.CheckConstraint("champion <> challenger", name=op.f("ck_duel_versions")),
        sa.CheckConstraint("(judge = 'REVIEWERS') = (review_uid IS NOT NULL)", name=op.f("ck_duel_review")),
        sa.CheckConstraint("(judge = 'CHECKER') = (checker IS NOT NULL)", name=op.f("ck_duel_checker")),
        sa.CheckConstraint("(judge = 'REWARD_MODEL') = (reward_model <> '')", name=op.f("ck_duel_reward_model")),
    )
    op.create_index("ix_duel_project_id_create_time_uid", "duel", ["project_id", "create_time", "uid"])
    for side in ("challenger", "champion"):
        op.create_index(f"ix_duel_project_id_{side}_create_time", "duel", ["project_id", side, "create_time"])
    op.create_table(
        "duel_pair",
        sa.Column("duel_uid", sa.String(36), primary_key=True),
        sa.Column("number", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("same", sa.Boolean(), nullable=False),
        sa.Column("champion_score", sa.Float(), nullable=True),
        sa.Column("challenger_score", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(["duel_uid"], ["duel.uid"], name=op.f("fk_duel_pair_duel_uid")),
        sa.CheckConstraint("number >= 1", name=op.f("ck_duel_pair_number")),
        sa.CheckConstraint(
            "(champion_score IS NULL) = (challenger_score IS NULL)", name=op.f("ck_duel_pair_scores")
        ),
    )


def _job_sources() -> None:
    table = op.create_table(
        "job_source",
        sa.Column("job_uid", sa.String(36), primary_key=True),
        sa.Column("source", sa.String(300), primary_key=True),
        sa.Column("relation", sa.String(20), primary_key=True),
        sa.ForeignKeyConstraint(["job_uid"], ["job.uid"], name=op.f("fk_job_source_job_uid")),
        sa.CheckConstraint(_RELATIONS, name=op.f("ck_job_source_relation")),
    )
    op.create_index("ix_job_source_source", "job_source", ["source"])
    columns = ("uid", "kind", "dataset_uid", "tokenizer_uid")
    job = sa.table("job", *(sa.column(name) for name in columns), sa.column("mixture_uids", _JSON), sa.column("spec", _JSON))
    rows = [
        {"job_uid": found.uid, "source": source, "relation": relation}
        for found in op.get_bind().execute(sa.select(job))
        for source, relation in _sources(found)
        if source
    ]
    if rows:
        op.bulk_insert(table, rows)


def _sources(job: sa.Row[tuple[object, ...]]) -> set[tuple[str, str]]:
    """Return what a job of the kinds up to now began with: uids of datasets, names of versions and jobs."""
    spec = job.spec
    if job.kind == "verify":
        return {(spec["job"], "VERIFIED")}
    learnt = "IMPORTED_FROM" if job.kind == "import_model" else "TRAINED_ON"
    found = {(uid, learnt) for uid in (job.dataset_uid, *job.mixture_uids)}
    found.add((job.tokenizer_uid, "TOKENIZED_BY"))
    if job.kind == "export_model":
        found.add((spec["model"], "EXPORTED_FROM"))
    elif job.kind == "import_model":
        found.add((spec.get("base", ""), "MERGED_INTO"))
    elif job.kind == "fine_tune":
        found.add((spec["base"].partition("/checkpoints/")[0], "TUNED_FROM"))
    return found


def _triggers() -> list[str]:
    """Return the statements that keep the ledger from being changed, as those of the audit record."""
    if op.get_bind().dialect.name == "sqlite":
        return [
            f"CREATE TRIGGER {table}_no_{name} BEFORE {name.upper()} ON {table}"
            f" BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END"
            for table in _NEVER_CHANGED
            for name in ("update", "delete")
        ]
    function = "CREATE FUNCTION refuse_vote_change() RETURNS trigger LANGUAGE plpgsql AS"
    return [
        f"{function} $$ BEGIN RAISE EXCEPTION '{_REFUSAL}'; END $$",
        *(
            f"CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION refuse_vote_change()"
            for table in _NEVER_CHANGED
        ),
    ]

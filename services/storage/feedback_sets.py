"""Keeper of feedback sets, and of which votes are in them."""

import collections
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from services.domain.datasets import RowStatistics, SignalCounts
from services.domain.errors import AlreadyExists
from services.domain.feedback_sets import FeedbackSet, FreezeSettings, Scope
from services.domain.pages import Page
from services.domain.plain import from_plain
from services.domain.reviews import VoteState
from services.storage.paging import page_of
from services.storage.tables.datasets import dataset
from services.storage.tables.feedback import feedback_set, feedback_set_vote
from services.storage.tables.reviews import RETRACTED_SQL, review, review_item, vote, vote_change

_IDS_MAX = 1000
_MEMBERS_AT_ONCE = 5000
_UIDS_AT_ONCE = 500
_OF_SET = ("project_id", "id", "uid", "votes", "scripted_votes", "reviewers", "items_left_out", "parent_set_uid")
_COUNTS = sa.and_(
    vote.c.state == VoteState.SUBMITTED.value,
    vote.c.repeat.is_(False),
    ~sa.exists().where(vote_change.c.vote_uid == vote.c.uid),
)


class FeedbackSets:
    """See `services.ports.FeedbackSets`."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def add(self, noun: FeedbackSet, *, vote_uids: Collection[str]) -> None:
        """Keep a new set and every vote in it. Raises: AlreadyExists."""
        values = {name: getattr(noun, name) for name in _OF_SET}
        values |= {"policy": noun.policy.value, "settings": noun.settings.to_json()}
        values |= {"reviews": list(noun.reviews), "sources": list(noun.sources)}
        try:
            self._connection.execute(sa.insert(feedback_set).values(values))
        except sa.exc.IntegrityError as error:
            raise AlreadyExists.of(noun.name) from error
        members = sorted(vote_uids)
        for first in range(0, len(members), _MEMBERS_AT_ONCE):
            rows = [{"set_uid": noun.uid, "vote_uid": each} for each in members[first : first + _MEMBERS_AT_ONCE]]
            self._connection.execute(sa.insert(feedback_set_vote), rows)

    def find(self, project_id: str, set_id: str) -> FeedbackSet | None:
        """Return a set by its id."""
        found = self._all(_sets().where(feedback_set.c.project_id == project_id, feedback_set.c.id == set_id))
        return found[0] if found else None

    def find_by_uid(self, uid: str) -> FeedbackSet | None:
        """Return a set by its uid, which is that of its dataset."""
        found = self._all(_sets().where(feedback_set.c.uid == uid))
        return found[0] if found else None

    def children(self, uid: str) -> Sequence[FeedbackSet]:
        """Return the sets that were made of this one without retracted votes, oldest first."""
        query = _sets().where(feedback_set.c.parent_set_uid == uid)
        return self._all(query.order_by(dataset.c.create_time, dataset.c.uid))

    def page(self, project_id: str, *, page: Page) -> Sequence[FeedbackSet]:
        """Return at most `page.size` + 1 sets, in the order of (create_time, uid)."""
        query = _sets().where(dataset.c.project_id == project_id)
        return self._all(page_of(query, page, dataset.c.create_time, dataset.c.uid))

    def ids(self, project_id: str) -> Sequence[str]:
        """Return the ids in use; at most 1000."""
        query = sa.select(feedback_set.c.id).where(feedback_set.c.project_id == project_id)
        return self._connection.execute(query.order_by(feedback_set.c.id).limit(_IDS_MAX)).scalars().all()

    def with_vote(self, vote_uid: str) -> Sequence[FeedbackSet]:
        """Return the sets that hold a vote, oldest first."""
        holding = sa.select(feedback_set_vote.c.set_uid).where(feedback_set_vote.c.vote_uid == vote_uid)
        query = _sets().where(feedback_set.c.uid.in_(holding))
        return self._all(query.order_by(dataset.c.create_time, dataset.c.uid))

    def counting(self, project_id: str, scope: Scope, *, count_max: int) -> Sequence[tuple[str, int]]:
        """Return the votes in a scope that count now, as hashes of prompts and numbers of votes, in that order."""
        query = (
            sa.select(review_item.c.prompt_sha256, vote.c.seq)
            .join_from(vote, review_item, review_item.c.uid == vote.c.item_uid)
            .where(_in_scope(project_id, scope), _COUNTS)
            .limit(count_max)
        )
        return sorted((row.prompt_sha256, row.seq) for row in self._connection.execute(query))

    def not_counting(self, project_id: str, scope: Scope) -> Mapping[str, int]:
        """Return how many votes in a scope do not count, by what they are."""
        became = sa.func.coalesce(sa.func.min(vote_change.c.state), vote.c.state)
        each = (
            sa.select(vote.c.uid, became.label("state"))
            .join_from(vote, vote_change, vote_change.c.vote_uid == vote.c.uid, isouter=True)
            .where(_in_scope(project_id, scope), vote.c.repeat.is_(False))
            .group_by(vote.c.uid, vote.c.state)
            .subquery()
        )
        query = sa.select(each.c.state, sa.func.count()).group_by(each.c.state)
        found = {row[0]: row[1] for row in self._connection.execute(query)}
        return {state: found[state] for state in sorted(found) if state != VoteState.SUBMITTED.value}

    def seqs_in(self, uid: str) -> Sequence[int]:
        """Return the numbers of all votes in a set, in their order."""
        query = (
            sa.select(vote.c.seq)
            .join_from(feedback_set_vote, vote, vote.c.uid == feedback_set_vote.c.vote_uid)
            .where(feedback_set_vote.c.set_uid == uid)
        )
        return sorted(self._connection.execute(query).scalars())

    def changed_in(self, uid: str) -> int:
        """Return how many votes in a set do not count any more."""
        query = (
            sa.select(sa.func.count(sa.distinct(vote_change.c.vote_uid)))
            .join_from(feedback_set_vote, vote_change, vote_change.c.vote_uid == feedback_set_vote.c.vote_uid)
            .where(feedback_set_vote.c.set_uid == uid)
        )
        return self._connection.execute(query).scalar_one()

    def _all(self, query: sa.Select[Any]) -> list[FeedbackSet]:
        found = self._connection.execute(query).mappings().all()
        retracted = self._retracted() if found else {}
        return [_noun(row, retracted=retracted[row["uid"]]) for row in found]

    def _retracted(self) -> Mapping[str, int]:
        """Return how many votes of each set were retracted. It begins with those, which are few, and not with sets."""
        query = sa.select(vote_change.c.vote_uid).where(sa.text(RETRACTED_SQL))
        retracted = self._connection.execute(query).scalars().all()
        counts: collections.Counter[str] = collections.Counter()
        for first in range(0, len(retracted), _UIDS_AT_ONCE):
            some = feedback_set_vote.c.vote_uid.in_(retracted[first : first + _UIDS_AT_ONCE])
            counts.update(self._connection.execute(sa.select(feedback_set_vote.c.set_uid).where(some)).scalars())
        return counts


def _in_scope(project_id: str, scope: Scope) -> sa.ColumnElement[bool]:
    if scope.set_uid:
        members = sa.select(feedback_set_vote.c.vote_uid).where(feedback_set_vote.c.set_uid == scope.set_uid)
        return vote.c.uid.in_(members)
    named = sa.and_(review.c.project_id == project_id, review.c.id.in_(scope.reviews))
    reviewed = vote.c.review_uid.in_(sa.select(review.c.uid).where(named))
    sent = sa.and_(vote.c.review_uid.is_(None), vote.c.source.in_(scope.sources))
    return sa.and_(vote.c.project_id == project_id, sa.or_(reviewed, sent))


def _sets() -> sa.Select[Any]:
    """Return the query for sets, each with what its dataset says and its parent."""
    parent = feedback_set.alias("parent")
    columns = [dataset.c.sha256, dataset.c.create_time, dataset.c.creator, dataset.c.row_statistics]
    return (
        sa.select(feedback_set, *columns, parent.c.id.label("parent_id"))
        .join(dataset, dataset.c.uid == feedback_set.c.uid)
        .join(parent, parent.c.uid == feedback_set.c.parent_set_uid, isouter=True)
    )


def _noun(row: Mapping[Any, Any], *, retracted: int) -> FeedbackSet:
    statistics = from_plain(RowStatistics, row["row_statistics"])
    parent = f"projects/{row['project_id']}/feedbackSets/{row['parent_id']}" if row["parent_id"] else ""
    return FeedbackSet(
        **{name: row[name] for name in (*_OF_SET, "sha256", "create_time", "creator")},
        reviews=tuple(row["reviews"]),
        sources=tuple(row["sources"]),
        settings=FreezeSettings.from_json(row["settings"]),
        train=statistics.train_signals or SignalCounts(),
        validation=statistics.validation_signals or SignalCounts(),
        retracted_votes=retracted,
        parent_set=parent,
    )

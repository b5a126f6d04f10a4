"""Keeper of the ledger: votes are added and never changed; what becomes of one is a row of its own."""

import dataclasses
import datetime
from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from services.domain.judgements import Judgement
from services.domain.pages import Page
from services.domain.plain import from_plain, to_plain
from services.domain.reviews import ReviewItem, Vote, VoteState
from services.storage.judged import candidates_from_json, prompt_from_json
from services.storage.paging import page_of, read_long
from services.storage.tables.reviews import review, review_item, vote, vote_change

_SAME = ("seat_uid", "active_seconds", "guidelines_version", "source", "end_user", "scripted", "repeat", "create_time")


class Votes:
    """A row a vote. See `services.ports.Votes`."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert

    def add(self, new: Vote) -> Vote:
        """Keep a new vote, whose item was kept before, and return it with its number in the ledger."""
        values = {name: getattr(new, name) for name in ("uid", "reviewer", *_SAME)}
        values |= {"project_id": new.item.project_id, "item_uid": new.item.uid, "review_uid": new.item.review_uid}
        values |= {"state": new.state.value, "judgement": to_plain(new.judgement), "shown_order": list(new.shown_order)}
        made = self._connection.execute(sa.insert(vote).returning(vote.c.seq), values).scalar_one()
        return dataclasses.replace(new, seq=made)

    def find(self, project_id: str, uid: str) -> Vote | None:
        """Return a vote of a project, in whatever state."""
        return next(iter(self._all(_votes().where(vote.c.project_id == project_id, vote.c.uid == uid))), None)

    def change(self, uid: str, *, state: VoteState, actor: str, reason: str, time: datetime.datetime) -> bool:
        """Say of a vote that it was withdrawn or retracted; return whether nobody had said so before."""
        values = {"vote_uid": uid, "state": state.value, "actor": actor, "reason": reason, "create_time": time}
        insert = self._insert(vote_change).values(values).on_conflict_do_nothing().returning(vote_change.c.vote_uid)
        return self._connection.execute(insert).one_or_none() is not None

    def page(self, project_id: str, *, page: Page, review_uid: str | None = None, source: str = "") -> Sequence[Vote]:
        """Return at most `page.size` + 1 votes of a project, of a review or from a source, in the order of `seq`.

        Of long ones, here and below, no more than a message holds and one that is beyond it.
        """
        query = _votes().where(vote.c.project_id == project_id)
        if review_uid is not None:
            query = query.where(vote.c.review_uid == review_uid)
        if source:
            query = query.where(vote.c.source == source)
        return read_long(self._connection, page_of(query, page, vote.c.seq), _noun)

    def page_of_reviewer(self, review_uid: str, *, reviewer: str, page: Page) -> Sequence[Vote]:
        """Return at most `page.size` + 1 votes of a reviewer in a review, in the order of `seq`."""
        query = _votes().where(vote.c.review_uid == review_uid, vote.c.reviewer == reviewer)
        return read_long(self._connection, page_of(query, page, vote.c.seq), _noun)

    def read(
        self,
        project_id: str,
        *,
        after: int,
        count_max: int,
        review_uids: Collection[str] = (),
        sources: Collection[str] = (),
        counting: bool = True,
    ) -> Sequence[Vote]:
        """Return votes of any of these reviews and of applications with any of these sources, after a `seq`, in order.

        Without reviews and sources: all votes of the project. With `counting`: only those that are SUBMITTED still.
        """
        query = _votes().where(vote.c.project_id == project_id, vote.c.seq > after)
        if review_uids or sources:
            ours = vote.c.review_uid.in_(list(review_uids))
            application = sa.and_(vote.c.review_uid.is_(None), vote.c.source.in_(list(sources)))
            query = query.where(sa.or_(ours, application))
        if counting:
            changed = sa.exists().where(vote_change.c.vote_uid == vote.c.uid)
            query = query.where(vote.c.state == VoteState.SUBMITTED.value, ~changed)
        return self._all(query.order_by(vote.c.seq).limit(count_max))

    def of_seqs(self, seqs: Collection[int]) -> Sequence[Vote]:
        """Return the votes with these numbers in the ledger, in their order."""
        return self._all(_votes().where(vote.c.seq.in_(list(seqs))).order_by(vote.c.seq))

    def _all(self, query: sa.Select[Any]) -> list[Vote]:
        return [_noun(row) for row in self._connection.execute(query)]


def _votes() -> sa.Select[Any]:
    """Return the query for votes with their items and with what became of them."""
    withdrawn, retracted = vote_change.alias("withdrawn"), vote_change.alias("retracted")
    joined = vote.join(review_item, review_item.c.uid == vote.c.item_uid)
    joined = joined.outerjoin(review, review.c.uid == vote.c.review_uid)
    for change, state in ((withdrawn, VoteState.WITHDRAWN), (retracted, VoteState.RETRACTED)):
        joined = joined.outerjoin(change, sa.and_(change.c.vote_uid == vote.c.uid, change.c.state == state.value))
    item = [review_item.c.prompt, review_item.c.candidates, review_item.c.number, review.c.id.label("review_id")]
    changes = [withdrawn.c.state.label("withdrawn"), retracted.c.state.label("retracted"), retracted.c.reason]
    return sa.select(vote, *item, *changes).select_from(joined)


def _noun(row: Any) -> Vote:
    item = ReviewItem(
        uid=row.item_uid,
        project_id=row.project_id,
        prompt=prompt_from_json(row.prompt),
        candidates=candidates_from_json(row.candidates),
        review_uid=row.review_uid,
        review_id=row.review_id or "",
        number=row.number,
    )
    return Vote(
        uid=row.uid,
        item=item,
        reviewer=row.reviewer,
        state=VoteState(row.retracted or row.withdrawn or row.state),
        judgement=from_plain(Judgement, row.judgement),
        shown_order=tuple(row.shown_order),
        seq=row.seq,
        retraction_reason=row.reason or "",
        **{name: getattr(row, name) for name in _SAME},
    )

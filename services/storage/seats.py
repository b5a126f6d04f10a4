"""Keeper of seats, and of how far each reviewer is.

Whoever needs several of these rows holds them in this order, so that nobody waits in a circle: the reviewer's progress,
the review, items, seats. A reviewer's own calls come one after the other, for each holds the reviewer's progress first.
Items are handed out with SKIP LOCKED, so that two hundred reviewers do not queue for the same item.
"""

import dataclasses
import datetime
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from services.domain.judgements import Judgement
from services.domain.plain import from_plain, to_plain
from services.domain.reviews import ReviewerProgress, ReviewItem, Seat, SeatState
from services.storage import seat_queries as queries
from services.storage.judged import candidates_from_json, prompt_from_json
from services.storage.tables.reviews import review_reviewer

_EVER = 2**62  # votes that nobody has given


class Seats:
    """A row a seat. See `services.ports.Seats`."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert

    def lock_reviewer(self, review_uid: str, *, reviewer: str) -> ReviewerProgress:
        """Return how far a reviewer is, and hold the row; it is made when it is needed first."""
        there = {"at_review": review_uid, "at_reviewer": reviewer}
        row = self._connection.execute(queries.LOCK_REVIEWER, there).one_or_none()
        if row is None:
            values = {"review_uid": review_uid, "reviewer": reviewer, **dict.fromkeys(queries.COUNTERS, 0)}
            self._connection.execute(self._insert(review_reviewer).values(values).on_conflict_do_nothing())
            row = self._connection.execute(queries.LOCK_REVIEWER, there).one()
        return ReviewerProgress(**row._mapping)

    def find_reviewer(self, review_uid: str, *, reviewer: str) -> ReviewerProgress:
        """Return how far a reviewer is."""
        there = {"at_review": review_uid, "at_reviewer": reviewer}
        row = self._connection.execute(queries.FIND_REVIEWER, there).one_or_none()
        return ReviewerProgress(**row._mapping) if row else ReviewerProgress()

    def save_reviewer(self, review_uid: str, *, reviewer: str, progress: ReviewerProgress) -> None:
        """Write how far a reviewer is; the row must be held."""
        values = {name: getattr(progress, name) for name in queries.COUNTERS}
        there = {"at_review": review_uid, "at_reviewer": reviewer}
        self._connection.execute(queries.SAVE_REVIEWER, there | values)

    def find(self, project_id: str, *, review_id: str, uid: str, reviewer: str) -> Seat | None:
        """Return a reviewer's own seat."""
        where = {"at_project": project_id, "at_id": review_id, "at_reviewer": reviewer, "at_uid": uid}
        return self._first(queries.FIND_OWN, where)

    def find_by_uid(self, uid: str) -> Seat | None:
        """Return a seat."""
        return self._first(queries.FIND, {"at_uid": uid})

    def of_item(self, item_uid: str, *, reviewer: str, repeat: bool) -> Seat | None:
        """Return a reviewer's seat at an item, whatever became of it."""
        return self._first(queries.OF_ITEM, {"at_item": item_uid, "at_reviewer": reviewer, "at_repeat": repeat})

    def held(self, review_uid: str, *, reviewer: str) -> Sequence[Seat]:
        """Return the seats that a reviewer holds, in the order in which they were taken."""
        return self._all(queries.HELD, {"at_review": review_uid, "at_reviewer": reviewer})

    def renew(self, uids: Collection[str], *, expire_time: datetime.datetime, guidelines_version: int) -> None:
        """Prolong the leases of seats that are held."""
        values = {"expire_time": expire_time, "guidelines_version": guidelines_version}
        self._connection.execute(queries.RENEW, {"at_uids": list(uids), **values})

    def lost(self, review_uid: str, *, reviewer: str, count_max: int) -> Sequence[Seat]:
        """Return seats that a reviewer lost and can have again, and hold their items; none that others work at."""
        return self._all(queries.LOST, {"at_review": review_uid, "at_reviewer": reviewer, "at_count": count_max})

    def waiting(self, review_uid: str, *, reviewer: str, due: int | None, count_max: int) -> Sequence[Seat]:
        """Return repetitions that have come due after so many votes, or all of them, the oldest first."""
        where = {"at_review": review_uid, "at_reviewer": reviewer, "at_count": count_max}
        return self._all(queries.WAITING, {**where, "at_due": _EVER if due is None else due})

    def first_free(self, review_uid: str, *, reviewer: str, after: int) -> int | None:
        """Return the place in the queue of the first item that a reviewer could still judge."""
        where = {"at_review": review_uid, "at_reviewer": reviewer, "at_after": after}
        return self._connection.execute(queries.FIRST_FREE, where).scalar_one_or_none()

    def lock_free(
        self, review_uid: str, *, reviewer: str, after: int, count_max: int, wait: bool = False
    ) -> Sequence[ReviewItem]:
        """Return items with a free seat that a reviewer could judge, and hold them.

        Those that others hold just now are passed over; with `wait`, they are waited for.
        """
        where = {"at_review": review_uid, "at_reviewer": reviewer, "at_after": after, "at_count": count_max}
        query = queries.WAIT_FREE if wait else queries.LOCK_FREE
        found = self._connection.execute(query, where)
        return [dataclasses.replace(_item(row), position=row.position) for row in found]

    def lock_item(self, item_uid: str) -> int:
        """Return how many seats of an item are free, and hold the item."""
        return int(self._connection.execute(queries.LOCK_ITEM, {"at_item": item_uid}).scalar_one())

    def places_taken(self, item_uids: Collection[str]) -> Mapping[str, Collection[int]]:
        """Return which places of items are taken; the items must be held."""
        taken: dict[str, list[int]] = {uid: [] for uid in item_uids}
        for row in self._connection.execute(queries.PLACES_AT, {"at_items": list(item_uids)}):
            taken[row.item_uid].append(row.place)
        return taken

    def own_seats(self, item_uids: Collection[str], *, reviewer: str) -> Mapping[str, Seat]:
        """Return the seats that a reviewer had at items before, by the uids of the items."""
        found = self._all(queries.OWN_AT, {"at_items": list(item_uids), "at_reviewer": reviewer})
        return {seat.item.uid: seat for seat in found}

    def take_places(self, item_uids: Collection[str]) -> None:
        """Count one seat of each of these items as taken; the items must be held."""
        self._connection.execute(queries.TAKE_PLACES, {"at_items": list(item_uids)})

    def free_place(self, item: ReviewItem) -> None:
        """Count one seat of an item as free, and put it at the end of the queue; review and item must be held.

        At the end, because reviewers only go forward: what they have passed is looked at no more.
        """
        position = self._connection.execute(queries.NEXT_POSITION, {"at_review": item.review_uid}).scalar_one()
        self._connection.execute(queries.FREE_PLACE, {"at_item": item.uid, "at_position": position})

    def add(self, new: Seat) -> None:
        """Keep a new seat."""
        names = {"uid": new.uid, "item_uid": new.item.uid, "review_uid": new.item.review_uid, "reviewer": new.reviewer}
        self._connection.execute(queries.ADD, names | _values(new))

    def save(self, changed: Seat) -> None:
        """Write what may change of a seat."""
        self._connection.execute(queries.SAVE, {"at_uid": changed.uid, **_values(changed)})

    def save_held(self, changed: Seat) -> bool:
        """Write a seat if it is held still, and return whether it was; a caretaker may have taken it away."""
        saved = self._connection.execute(queries.SAVE_HELD, {"at_uid": changed.uid, **_values(changed)})
        return saved.one_or_none() is not None

    def expired_in(self, *, now: datetime.datetime, count_max: int) -> Sequence[str]:
        """Return the uids of reviews with seats whose lease is over."""
        found = self._connection.execute(queries.EXPIRED_IN, {"at_now": now, "at_count": count_max})
        return found.scalars().all()

    def lock_expired(self, review_uid: str, *, now: datetime.datetime, count_max: int) -> Sequence[Seat]:
        """Return seats whose lease is over, and hold their items; the review must be held. Repetitions keep theirs."""
        return self._all(queries.LOCK_EXPIRED, {"at_review": review_uid, "at_now": now, "at_count": count_max})

    def lose(self, lost: Seat, *, now: datetime.datetime) -> bool:
        """Take a seat away if its lease is over still, and return whether that was so."""
        return self._connection.execute(queries.LOSE, {"at_uid": lost.uid, "at_now": now}).one_or_none() is not None

    def count_left(self, review_uid: str, *, reviewer: str, after: int, exact_max: int, count_max: int) -> int:
        """Return how many items a reviewer could take beside those held: exactly if few, and at most `count_max`.

        Many are counted without a look at which of them the reviewer has judged, which few of them are: those behind
        the reviewer's place in the queue are left out.
        """
        where = {"at_review": review_uid, "at_after": after}
        left = self._connection.execute(queries.COUNT_FREE, {**where, "at_count": count_max}).scalar_one()
        if 0 < left < exact_max:
            where |= {"at_reviewer": reviewer, "at_count": exact_max}
            left = self._connection.execute(queries.COUNT_FREE_FOR, where).scalar_one()
        return int(left)

    def count_waiting(self, review_uid: str, *, reviewer: str) -> int:
        """Return how many repetitions are still to come."""
        where = {"at_review": review_uid, "at_reviewer": reviewer}
        return int(self._connection.execute(queries.COUNT_WAITING, where).scalar_one())

    def _first(self, query: sa.Select[Any], where: Mapping[str, Any]) -> Seat | None:
        return next(iter(self._all(query, where)), None)

    def _all(self, query: sa.Select[Any], where: Mapping[str, Any]) -> list[Seat]:
        return [_noun(row) for row in self._connection.execute(query, where)]


def _item(row: Any) -> ReviewItem:
    return ReviewItem(
        uid=row.item_uid,
        project_id=row.project_id,
        prompt=prompt_from_json(row.prompt),
        candidates=candidates_from_json(row.candidates),
        review_uid=row.review_uid,
        review_id=row.review_id,
        number=row.number,
    )


def _noun(row: Any) -> Seat:
    return Seat(
        uid=row.uid,
        item=_item(row),
        reviewer=row.reviewer,
        state=SeatState(row.state),
        shown_order=tuple(row.shown_order),
        take_time=row.take_time,
        expire_time=row.expire_time,
        guidelines_version=row.guidelines_version,
        place=row.place,
        repeat=row.repeat,
        due=row.due,
        draft=None if row.draft is None else from_plain(Judgement, row.draft),
        vote_uid=row.vote_uid,
    )


def _values(of: Seat) -> dict[str, Any]:
    names = ("place", "repeat", "take_time", "expire_time", "guidelines_version", "vote_uid", "due")
    values = {name: getattr(of, name) for name in names}
    draft = None if of.draft is None else to_plain(of.draft)
    return values | {"state": of.state.value, "shown_order": list(of.shown_order), "draft": draft}

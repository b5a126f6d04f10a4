"""Keeper of seats, and of how far each reviewer is.

Whoever needs several of these rows holds them in this order, so that nobody waits in a circle: the reviewer's progress,
the review, items, seats. A reviewer's own calls come one after the other, for each holds the reviewer's progress first.
Items are handed out with SKIP LOCKED, so that two hundred reviewers do not queue for the same item.
"""

import datetime
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from services.domain.judgements import Judgement
from services.domain.plain import from_plain, to_plain
from services.domain.reviews import ReviewerProgress, ReviewItem, Seat, SeatState
from services.storage.judged import candidates_from_json, prompt_from_json
from services.storage.tables.reviews import (
    FREE_SQL,
    HELD_SQL,
    RESTING_SQL,
    TAKEN_SQL,
    review,
    review_item,
    review_reviewer,
    seat,
)

# As text, so that the planner sees that the partial indexes hold all there is to look at.
_FREE = sa.text("review_item." + FREE_SQL)
_HELD = sa.text("seat." + HELD_SQL)
_RESTING = sa.text("seat." + RESTING_SQL)
_TAKEN = sa.text("seat." + TAKEN_SQL.replace("NOT repeat", "NOT seat.repeat"))
_COUNTERS = ("passed_position", "votes", "discards", "repeats")


class Seats:
    """A row a seat. See `services.ports.Seats`."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert

    def lock_reviewer(self, review_uid: str, *, reviewer: str) -> ReviewerProgress:
        """Return how far a reviewer is, and hold the row; it is made when it is needed first."""
        query = _progress(review_uid, reviewer).with_for_update()
        row = self._connection.execute(query).one_or_none()
        if row is None:
            values = {"review_uid": review_uid, "reviewer": reviewer, **dict.fromkeys(_COUNTERS, 0)}
            self._connection.execute(self._insert(review_reviewer).values(values).on_conflict_do_nothing())
            row = self._connection.execute(query).one()
        return ReviewerProgress(**row._mapping)

    def find_reviewer(self, review_uid: str, *, reviewer: str) -> ReviewerProgress:
        """Return how far a reviewer is."""
        row = self._connection.execute(_progress(review_uid, reviewer)).one_or_none()
        return ReviewerProgress(**row._mapping) if row else ReviewerProgress()

    def save_reviewer(self, review_uid: str, *, reviewer: str, progress: ReviewerProgress) -> None:
        """Write how far a reviewer is; the row must be held."""
        ours = sa.and_(review_reviewer.c.review_uid == review_uid, review_reviewer.c.reviewer == reviewer)
        values = {name: getattr(progress, name) for name in _COUNTERS}
        self._connection.execute(sa.update(review_reviewer).where(ours).values(values))

    def find(self, project_id: str, *, review_id: str, uid: str, reviewer: str) -> Seat | None:
        """Return a reviewer's own seat."""
        ours = sa.and_(review.c.project_id == project_id, review.c.id == review_id, seat.c.reviewer == reviewer)
        return next(iter(self._all(_seats().where(ours, seat.c.uid == uid))), None)

    def find_by_uid(self, uid: str) -> Seat | None:
        """Return a seat."""
        return next(iter(self._all(_seats().where(seat.c.uid == uid))), None)

    def of_item(self, item_uid: str, *, reviewer: str, repeat: bool) -> Seat | None:
        """Return a reviewer's seat at an item, whatever became of it."""
        ours = sa.and_(seat.c.item_uid == item_uid, seat.c.reviewer == reviewer, seat.c.repeat.is_(repeat))
        return next(iter(self._all(_seats().where(ours))), None)

    def held(self, review_uid: str, *, reviewer: str) -> Sequence[Seat]:
        """Return the seats that a reviewer holds, in the order in which they were taken."""
        ours = sa.and_(seat.c.review_uid == review_uid, seat.c.reviewer == reviewer, _HELD)
        return self._all(_seats().where(ours).order_by(seat.c.take_time, review_item.c.number, seat.c.uid))

    def renew(self, uids: Collection[str], *, expire_time: datetime.datetime, guidelines_version: int) -> None:
        """Prolong the leases of seats that are held."""
        held = sa.and_(seat.c.uid.in_(list(uids)), seat.c.state == SeatState.HELD.value)
        values = {"expire_time": expire_time, "guidelines_version": guidelines_version}
        self._connection.execute(sa.update(seat).where(held).values(values))

    def lost(self, review_uid: str, *, reviewer: str, count_max: int) -> Sequence[Seat]:
        """Return seats that a reviewer lost and can have again, and hold their items; none that others work at."""
        ours = sa.and_(seat.c.review_uid == review_uid, seat.c.reviewer == reviewer, _RESTING)
        query = _seats().where(ours, seat.c.state == SeatState.LOST.value, _FREE)
        query = query.order_by(seat.c.take_time, review_item.c.number, seat.c.uid)
        return self._all(query.limit(count_max).with_for_update(skip_locked=True, key_share=True, of=review_item))

    def waiting(self, review_uid: str, *, reviewer: str, due: int | None, count_max: int) -> Sequence[Seat]:
        """Return repetitions that have come due after so many votes, or all of them, the oldest first."""
        ours = sa.and_(seat.c.review_uid == review_uid, seat.c.reviewer == reviewer, _RESTING)
        query = _seats().where(ours, seat.c.state == SeatState.WAITING.value)
        if due is not None:
            query = query.where(seat.c.due <= due)
        return self._all(query.order_by(seat.c.due, seat.c.uid).limit(count_max))

    def first_free(self, review_uid: str, *, reviewer: str, after: int) -> int | None:
        """Return the place in the queue of the first item that a reviewer could still judge."""
        query = _free_for(review_uid, reviewer, after=after, columns=[review_item.c.position])
        return self._connection.execute(query.limit(1)).scalar_one_or_none()

    def lock_free(
        self, review_uid: str, *, reviewer: str, after: int, count_max: int, wait: bool = False
    ) -> Sequence[ReviewItem]:
        """Return items with a free seat that a reviewer could judge, and hold them.

        Those that others hold just now are passed over; with `wait`, they are waited for.
        """
        query = _free_for(review_uid, reviewer, after=after, columns=_ITEM_COLUMNS).limit(count_max)
        locked = query.with_for_update(skip_locked=not wait, key_share=True, of=review_item)
        return [_item(row) for row in self._connection.execute(locked)]

    def lock_item(self, item_uid: str) -> int:
        """Return how many seats of an item are free, and hold the item."""
        query = sa.select(review_item.c.free_seats).where(review_item.c.uid == item_uid)
        return self._connection.execute(query.with_for_update(key_share=True)).scalar_one()

    def places_taken(self, item_uids: Collection[str]) -> Mapping[str, Collection[int]]:
        """Return which places of items are taken; the items must be held."""
        query = sa.select(seat.c.item_uid, seat.c.place).where(seat.c.item_uid.in_(list(item_uids)), _TAKEN)
        taken: dict[str, list[int]] = {uid: [] for uid in item_uids}
        for row in self._connection.execute(query):
            taken[row.item_uid].append(row.place)
        return taken

    def own_seats(self, item_uids: Collection[str], *, reviewer: str) -> Mapping[str, Seat]:
        """Return the seats that a reviewer had at items before, by the uids of the items."""
        ours = sa.and_(seat.c.item_uid.in_(list(item_uids)), seat.c.reviewer == reviewer, seat.c.repeat.is_(False))
        return {found.item.uid: found for found in self._all(_seats().where(ours))}

    def take_places(self, item_uids: Collection[str]) -> None:
        """Count one seat of each of these items as taken; the items must be held."""
        taken = sa.update(review_item).where(review_item.c.uid.in_(list(item_uids)))
        self._connection.execute(taken.values(free_seats=review_item.c.free_seats - 1))

    def free_place(self, item: ReviewItem) -> None:
        """Count one seat of an item as free, and put it at the end of the queue; review and item must be held.

        At the end, because reviewers only go forward: what they have passed is looked at no more.
        """
        last = sa.update(review).where(review.c.uid == item.review_uid)
        last = last.values(next_position=review.c.next_position + 1).returning(review.c.next_position)
        values = {"free_seats": review_item.c.free_seats + 1, "position": self._connection.execute(last).scalar_one()}
        self._connection.execute(sa.update(review_item).where(review_item.c.uid == item.uid).values(values))

    def add(self, new: Seat) -> None:
        """Keep a new seat."""
        values = {"uid": new.uid, "item_uid": new.item.uid, "review_uid": new.item.review_uid}
        self._connection.execute(sa.insert(seat).values(values | {"reviewer": new.reviewer} | _values(new)))

    def save(self, changed: Seat) -> None:
        """Write what may change of a seat."""
        self._connection.execute(sa.update(seat).where(seat.c.uid == changed.uid).values(_values(changed)))

    def save_held(self, changed: Seat) -> bool:
        """Write a seat if it is held still, and return whether it was; a caretaker may have taken it away."""
        held = sa.update(seat).where(seat.c.uid == changed.uid, seat.c.state == SeatState.HELD.value)
        return self._connection.execute(held.values(_values(changed)).returning(seat.c.uid)).one_or_none() is not None

    def expired_in(self, *, now: datetime.datetime, count_max: int) -> Sequence[str]:
        """Return the uids of reviews with seats whose lease is over."""
        query = sa.select(seat.c.review_uid).where(_HELD, seat.c.expire_time < now, seat.c.repeat.is_(False))
        return self._connection.execute(query.distinct().limit(count_max)).scalars().all()

    def lock_expired(self, review_uid: str, *, now: datetime.datetime, count_max: int) -> Sequence[Seat]:
        """Return seats whose lease is over, and hold their items; the review must be held. Repetitions keep theirs."""
        over = sa.and_(_HELD, seat.c.expire_time < now, seat.c.review_uid == review_uid, seat.c.repeat.is_(False))
        query = _seats().where(over).order_by(seat.c.item_uid, seat.c.uid).limit(count_max)
        return self._all(query.with_for_update(key_share=True, of=review_item))

    def lose(self, lost: Seat, *, now: datetime.datetime) -> bool:
        """Take a seat away if its lease is over still, and return whether that was so."""
        over = sa.and_(seat.c.uid == lost.uid, seat.c.state == SeatState.HELD.value, seat.c.expire_time < now)
        update = sa.update(seat).where(over).values(state=SeatState.LOST.value).returning(seat.c.uid)
        return self._connection.execute(update).one_or_none() is not None

    def count_left(self, review_uid: str, *, reviewer: str, after: int, exact_max: int, count_max: int) -> int:
        """Return how many items a reviewer could take beside what they hold: exactly if few, and at most `count_max`.

        Many are counted without a look at which of them the reviewer has judged, which few of them are: those behind
        the reviewer's place in the queue are left out.
        """
        exact = _free_for(review_uid, reviewer, after=after, columns=[sa.literal(1)]).order_by(None)
        some = _free(review_uid, after=after, columns=[sa.literal(1)])
        for query, most in ((some, count_max), (exact, exact_max)):
            found = self._connection.execute(sa.select(sa.func.count()).select_from(query.limit(most).subquery()))
            left = found.scalar_one()
            if left >= exact_max:
                break
        return left

    def count_waiting(self, review_uid: str, *, reviewer: str) -> int:
        """Return how many repetitions are still to come."""
        ours = sa.and_(seat.c.review_uid == review_uid, seat.c.reviewer == reviewer, _RESTING)
        query = sa.select(sa.func.count()).select_from(seat).where(ours, seat.c.state == SeatState.WAITING.value)
        return self._connection.execute(query).scalar_one()

    def _all(self, query: sa.Select[Any]) -> list[Seat]:
        return [_noun(row) for row in self._connection.execute(query)]


_ITEM_COLUMNS: list[sa.ColumnElement[Any]] = [
    review_item.c.project_id,
    review_item.c.review_uid,
    review_item.c.uid.label("item_uid"),
    review_item.c.number,
    review_item.c.prompt,
    review_item.c.candidates,
    sa.literal("").label("review_id"),
]


def _progress(review_uid: str, reviewer: str) -> sa.Select[Any]:
    ours = sa.and_(review_reviewer.c.review_uid == review_uid, review_reviewer.c.reviewer == reviewer)
    return sa.select(*(review_reviewer.c[name] for name in _COUNTERS)).where(ours)


def _free(review_uid: str, *, after: int, columns: Sequence[sa.ColumnElement[Any]]) -> sa.Select[Any]:
    place = sa.and_(review_item.c.review_uid == review_uid, _FREE, review_item.c.position > after)
    return sa.select(*columns).select_from(review_item).where(place)


def _free_for(
    review_uid: str, reviewer: str, *, after: int, columns: Sequence[sa.ColumnElement[Any]]
) -> sa.Select[Any]:
    """Return the query for items with a free seat at which a reviewer neither sits nor has voted, in their order."""
    own = sa.exists().where(seat.c.item_uid == review_item.c.uid, seat.c.reviewer == reviewer, _TAKEN)
    return _free(review_uid, after=after, columns=columns).where(~own).order_by(review_item.c.position)


def _seats() -> sa.Select[Any]:
    joined = seat.join(review_item, review_item.c.uid == seat.c.item_uid).join(
        review, review.c.uid == seat.c.review_uid
    )
    columns = [each for each in _ITEM_COLUMNS if each.name not in ("review_id", "item_uid", "review_uid")]
    return sa.select(seat, *columns, review.c.id.label("review_id")).select_from(joined)


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

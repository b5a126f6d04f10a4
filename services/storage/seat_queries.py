"""What is asked of seats all the time, put together once: to do that anew would take longer than the database does.

`at_…` are the parameters of conditions, because the names of columns are those of values.
"""

from typing import Any

import sqlalchemy as sa

from services.domain.reviews import SeatState
from services.storage.tables.columns import Instant
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

COUNTERS = ("passed_position", "votes", "discards", "repeats")

# As text, so that the planner sees that the partial indexes hold all there is to look at.
_FREE = sa.text("review_item." + FREE_SQL)
_HELD = sa.text("seat." + HELD_SQL)
_RESTING = sa.text("seat." + RESTING_SQL)
_TAKEN = sa.text("seat." + TAKEN_SQL.replace("NOT repeat", "NOT seat.repeat"))

_REVIEW: Any = sa.bindparam("at_review")
_REVIEWER: Any = sa.bindparam("at_reviewer")
_AFTER: Any = sa.bindparam("at_after")
_COUNT: Any = sa.bindparam("at_count")
_NOW: Any = sa.bindparam("at_now", type_=Instant)
_ITEMS: Any = sa.bindparam("at_items", expanding=True)
_LOCK: dict[str, Any] = {"key_share": True, "of": review_item}

_ITEM_COLUMNS = [
    review_item.c.project_id,
    review_item.c.number,
    review_item.c.prompt,
    review_item.c.candidates,
]


def _seats() -> sa.Select[Any]:
    joined = seat.join(review_item, review_item.c.uid == seat.c.item_uid)
    joined = joined.join(review, review.c.uid == seat.c.review_uid)
    return sa.select(seat, *_ITEM_COLUMNS, review.c.id.label("review_id")).select_from(joined)


def _free(*columns: Any) -> sa.Select[Any]:
    place = sa.and_(review_item.c.review_uid == _REVIEW, _FREE, review_item.c.position > _AFTER)
    return sa.select(*columns).select_from(review_item).where(place)


# Not an EXISTS: PostgreSQL would join all seats of a reviewer to it, thousands, where few items are asked for.
_OWN_THERE = (
    sa.select(sa.literal_column("1"))
    .where(seat.c.item_uid == review_item.c.uid, seat.c.reviewer == _REVIEWER, _TAKEN)
    .limit(1)
    .scalar_subquery()
)
_OURS = sa.and_(seat.c.review_uid == _REVIEW, seat.c.reviewer == _REVIEWER)
_OVER = sa.and_(_HELD, seat.c.expire_time < _NOW, sa.text("NOT seat.repeat"))
_UID = seat.c.uid == sa.bindparam("at_uid")


def _free_for(*columns: Any) -> sa.Select[Any]:
    """Return the query for items with a free seat at which a reviewer neither sits nor has voted."""
    return _free(*columns).where(_OWN_THERE.is_(None))


_there = sa.and_(review_reviewer.c.review_uid == _REVIEW, review_reviewer.c.reviewer == _REVIEWER)
FIND_REVIEWER = sa.select(*(review_reviewer.c[name] for name in COUNTERS)).where(_there)
LOCK_REVIEWER = FIND_REVIEWER.with_for_update()
SAVE_REVIEWER = sa.update(review_reviewer).where(_there)

_named = sa.and_(review.c.project_id == sa.bindparam("at_project"), review.c.id == sa.bindparam("at_id"))
FIND_OWN = _seats().where(_named, seat.c.reviewer == _REVIEWER, _UID)
FIND = _seats().where(_UID)
OF_ITEM = _seats().where(
    seat.c.item_uid == sa.bindparam("at_item"),
    seat.c.reviewer == _REVIEWER,
    seat.c.repeat == sa.bindparam("at_repeat"),
)
HELD = _seats().where(_OURS, _HELD).order_by(seat.c.take_time, review_item.c.number, seat.c.uid)
LOST = (
    _seats()
    .where(_OURS, _RESTING, seat.c.state == SeatState.LOST.value, _FREE)
    .order_by(seat.c.take_time, review_item.c.number, seat.c.uid)
    .limit(_COUNT)
    .with_for_update(skip_locked=True, **_LOCK)
)
WAITING = (
    _seats()
    .where(_OURS, _RESTING, seat.c.state == SeatState.WAITING.value, seat.c.due <= sa.bindparam("at_due"))
    .order_by(seat.c.due, seat.c.uid)
    .limit(_COUNT)
)
COUNT_WAITING = (
    sa.select(sa.func.count()).select_from(seat).where(_OURS, _RESTING, seat.c.state == SeatState.WAITING.value)
)
OWN_AT = _seats().where(seat.c.item_uid.in_(_ITEMS), seat.c.reviewer == _REVIEWER, sa.text("NOT seat.repeat"))
PLACES_AT = sa.select(seat.c.item_uid, seat.c.place).where(seat.c.item_uid.in_(_ITEMS), _TAKEN)
SAVE = sa.update(seat).where(_UID)
SAVE_HELD = SAVE.where(seat.c.state == SeatState.HELD.value).returning(seat.c.uid)
RENEW = sa.update(seat).where(
    seat.c.uid.in_(sa.bindparam("at_uids", expanding=True)), seat.c.state == SeatState.HELD.value
)
ADD = sa.insert(seat)

FIRST_FREE = _free_for(review_item.c.position).order_by(review_item.c.position).limit(1)
_FREE_ITEMS = (
    _free_for(
        *_ITEM_COLUMNS,
        review_item.c.review_uid,
        review_item.c.uid.label("item_uid"),
        review_item.c.position,
        sa.literal_column("''").label("review_id"),
    )
    .order_by(review_item.c.position)
    .limit(_COUNT)
)
LOCK_FREE = _FREE_ITEMS.with_for_update(skip_locked=True, **_LOCK)
WAIT_FREE = _FREE_ITEMS.with_for_update(**_LOCK)
COUNT_FREE = sa.select(sa.func.count()).select_from(_free(sa.literal_column("1")).limit(_COUNT).subquery())
COUNT_FREE_FOR = sa.select(sa.func.count()).select_from(_free_for(sa.literal_column("1")).limit(_COUNT).subquery())

LOCK_ITEM = (
    sa.select(review_item.c.free_seats)
    .where(review_item.c.uid == sa.bindparam("at_item"))
    .with_for_update(key_share=True)
)
TAKE_PLACES = (
    sa.update(review_item).where(review_item.c.uid.in_(_ITEMS)).values(free_seats=review_item.c.free_seats - 1)
)
NEXT_POSITION = (
    sa.update(review)
    .where(review.c.uid == _REVIEW)
    .values(next_position=review.c.next_position + 1)
    .returning(review.c.next_position)
)
FREE_PLACE = (
    sa.update(review_item)
    .where(review_item.c.uid == sa.bindparam("at_item"))
    .values(free_seats=review_item.c.free_seats + 1, position=sa.bindparam("at_position"))
)

EXPIRED_IN = sa.select(seat.c.review_uid).where(_OVER).distinct().limit(_COUNT)
LOCK_EXPIRED = (
    _seats()
    .where(_OVER, seat.c.review_uid == _REVIEW)
    .order_by(seat.c.item_uid, seat.c.uid)
    .limit(_COUNT)
    .with_for_update(**_LOCK)
)
LOSE = (
    SAVE.where(seat.c.state == SeatState.HELD.value, seat.c.expire_time < _NOW)
    .values(state=SeatState.LOST.value)
    .returning(seat.c.uid)
)

"""Giving seats to reviewers and taking them away. In which order rows are held is said in `services.storage.seats`."""

import dataclasses
import datetime
import itertools
from collections.abc import Collection

from services.domain.errors import SeatLost
from services.domain.review_items import shown_order
from services.domain.reviews import Review, ReviewItem, Seat, SeatState
from services.ports import House, UnitOfWork

_LOST_AT_ONCE = 100


def seated(house: House, review: Review, item: ReviewItem, *, reviewer: str, now: datetime.datetime) -> Seat:
    """Return a new seat at an item, its candidates in an order that chance decides; nothing is written."""
    return Seat(
        uid=house.chance.uid(),
        item=dataclasses.replace(item, review_id=review.id),
        reviewer=reviewer,
        state=SeatState.HELD,
        shown_order=shown_order(len(item.candidates), seed=house.chance.seed()),
        take_time=now,
        expire_time=now + review.seat_time,
        guidelines_version=review.guidelines_version,
    )


def held_again(seat: Seat, review: Review, *, now: datetime.datetime, place: int) -> Seat:
    """Return a seat as its reviewer holds it again, with what they wrote; nothing is written."""
    return dataclasses.replace(
        seat,
        state=SeatState.HELD,
        place=place,
        take_time=now,
        expire_time=now + review.seat_time,
        guidelines_version=review.guidelines_version,
    )


def free_place_in(taken: Collection[int]) -> int:
    """Return the first place that is not taken; the item says that a seat is free, whose number may just have grown."""
    return next(place for place in itertools.count() if place not in taken)


def take_back(uow: UnitOfWork, seat: Seat, review: Review, *, now: datetime.datetime) -> Seat:
    """Return a seat that was skipped or lost as it is held again, and write it.

    Raises: SeatLost if others have every seat of the item by now.
    """
    if seat.repeat:
        again = held_again(seat, review, now=now, place=seat.place)
    else:
        if uow.seats.lock_item(seat.item.uid) < 1:
            raise SeatLost.of(seat.name)
        taken = uow.seats.places_taken([seat.item.uid])[seat.item.uid]
        again = held_again(seat, review, now=now, place=free_place_in(taken))
        uow.seats.take_places([seat.item.uid])
    uow.seats.save(again)
    return again


def lose_expired(uow: UnitOfWork, review_uid: str, *, now: datetime.datetime) -> int:
    """Take seats of a review away whose lease is over, so that others can have them; return how many."""
    if uow.reviews.lock(review_uid) is None:
        return 0
    lost = 0
    for seat in uow.seats.lock_expired(review_uid, now=now, count_max=_LOST_AT_ONCE):
        if uow.seats.lose(seat, now=now):
            uow.seats.free_place(seat.item)
            lost += 1
    return lost

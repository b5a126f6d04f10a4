"""Giving a seat back without a vote."""

import dataclasses

from services.domain.errors import WrongState
from services.domain.limits import REPEAT_AFTER_VOTES
from services.domain.projects import Caller
from services.domain.requests import NO_REQUEST_KEY, RequestKey
from services.domain.reviews import ReviewerProgress, Seat, SeatState
from services.ports import House, UnitOfWork
from services.reviews.own_review import lock_own_seat


def skip_seat(house: House, *, caller: Caller, name: str, request: RequestKey = NO_REQUEST_KEY) -> None:
    """Give the caller's seat back: the item goes to the end of the queue, where others, too, find it.

    What was written of a judgement stays with the seat, for when the item comes again. Skipping a seat that is not held
    any more changes nothing.
    Raises: NotFound, WrongState for a seat with a vote, RequestIdReused.
    """
    with house.storage.write() as uow:
        _, progress, seat = lock_own_seat(uow, caller=caller, name=name)
        now = uow.now()
        repeated = uow.requests.remember(caller, request, resource=seat.name, time=now) is not None
        if repeated or seat.state in (SeatState.SKIPPED, SeatState.LOST, SeatState.WAITING):
            return
        if seat.state is SeatState.VOTED:
            raise WrongState.of(f"{seat.name} has a vote; undo it first", state=seat.state.value)
        _given_back(uow, seat, progress=progress)
        uow.audit.record(caller, resource=seat.name, time=now)
        uow.commit()


def _given_back(uow: UnitOfWork, seat: Seat, *, progress: ReviewerProgress) -> None:
    if seat.repeat:
        due = progress.given + REPEAT_AFTER_VOTES
        uow.seats.save_held(dataclasses.replace(seat, state=SeatState.WAITING, due=due))
        return
    assert seat.item.review_uid is not None
    uow.reviews.lock(seat.item.review_uid)
    uow.seats.lock_item(seat.item.uid)
    if uow.seats.save_held(dataclasses.replace(seat, state=SeatState.SKIPPED)):
        uow.seats.free_place(seat.item)

"""Keeping an unfinished judgement."""

import dataclasses

from services.domain.errors import WrongState
from services.domain.judgements import Judgement, check_judgement
from services.domain.projects import Caller
from services.domain.reviews import Review, Seat, SeatState
from services.ports import House, UnitOfWork
from services.reviews.own_review import lock_own_seat
from services.reviews.seating import take_back


def save_draft(house: House, *, caller: Caller, name: str, draft: Judgement) -> Seat:
    """Keep what there is of a judgement with the caller's seat, and prolong its lease.

    The last draft counts; saving it twice is the same as once, so it needs no request_id. An empty one removes it.
    Raises: NotFound, InvalidField for what is wrong already, SeatLost, WrongState if the review is closed or the seat
    has a vote.
    """
    with house.storage.write() as uow:
        review, _, seat = lock_own_seat(uow, caller=caller, name=name)
        check_judgement(
            draft,
            kind=review.kind,
            candidates=seat.candidates,
            rubric=review.rubric_keys,
            complete=False,
            field="draft",
        )
        review.check_open()
        seat = _saved(uow, review, seat, draft=draft)
        uow.commit()
    return seat


def _saved(uow: UnitOfWork, review: Review, seat: Seat, *, draft: Judgement) -> Seat:
    if seat.state is SeatState.VOTED:
        raise WrongState.of(f"{seat.name} has a vote; undo it to change it", state=seat.state.value)
    kept, now = None if draft.says_nothing else draft, uow.now()
    held = dataclasses.replace(seat, draft=kept, expire_time=now + review.seat_time)
    if seat.state is SeatState.HELD and uow.seats.save_held(held):
        return held
    again = dataclasses.replace(take_back(uow, seat, review, now=now), draft=kept)
    uow.seats.save(again)
    return again

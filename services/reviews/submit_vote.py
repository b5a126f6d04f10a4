"""Recording a vote: the ledger gets a row, the seat is done, and sometimes the item is put aside to come again."""

import dataclasses
import datetime
import math

from services.domain.errors import InvalidField, WrongState
from services.domain.judgements import Judgement, check_judgement, in_item_order
from services.domain.limits import ACTIVE_SECONDS_MAX, REPEAT_AFTER_VOTES
from services.domain.projects import Caller
from services.domain.requests import NO_REQUEST_KEY, RequestKey
from services.domain.review_items import blind, swapped
from services.domain.reviews import Review, ReviewerProgress, Seat, SeatState, Vote, VoteState
from services.ports import House, UnitOfWork
from services.reviews.own_review import lock_own_seat
from services.reviews.seating import take_back

_SEEDS = 2**32


def submit_vote(
    house: House,
    *,
    caller: Caller,
    name: str,
    judgement: Judgement,
    active_seconds: float = 0.0,
    scripted: bool = False,
    request: RequestKey = NO_REQUEST_KEY,
) -> Vote:
    """Record a judgement, whose candidates are counted in the order of the seat, and return it as its reviewer sees it.

    The same judgement again is the same vote, also without a request_id. A seat whose lease is over is good still, as
    long as the item has room. Time beyond a day is counted as a day.
    Raises: NotFound for a seat that is not the caller's, InvalidField with every wrong field, SeatLost, WrongState if
    the review is closed or the seat has another vote, RequestIdReused.
    """
    _check_time(active_seconds)
    uid = house.chance.uid()
    with house.storage.write() as uow:
        review, progress, seat = lock_own_seat(uow, caller=caller, name=name)
        now = uow.now()
        resource = f"{caller.project}/votes/{uid}"
        earlier = uow.requests.remember(caller, request, resource=resource, time=now)
        if earlier is not None:
            return blind(_given(uow, caller, uid=earlier.rpartition("/")[2]))
        check_judgement(judgement, kind=review.kind, candidates=seat.candidates, rubric=review.rubric_keys)
        if seat.vote_uid is not None:
            return blind(_same(uow, caller, seat, judgement))
        review.check_open()
        vote = _vote(seat, judgement, uid=uid, now=now, scripted=scripted)
        vote = dataclasses.replace(vote, active_seconds=min(active_seconds, ACTIVE_SECONDS_MAX))
        _sit(uow, seat, review, vote=vote, now=now)
        vote = uow.votes.add(vote)
        progress = progress.counting(vote)
        uow.seats.save_reviewer(review.uid, reviewer=caller.api_key, progress=progress)
        _put_aside(house, uow, review, seat, vote=vote, progress=progress)
        uow.audit.record(caller, resource=vote.name, time=now)
        uow.commit()
    return blind(vote)


def _check_time(active_seconds: float) -> None:
    if not math.isfinite(active_seconds) or active_seconds < 0:
        raise InvalidField.of("active_seconds", f"must be at least 0 and finite, got {active_seconds}")


def _given(uow: UnitOfWork, caller: Caller, *, uid: str) -> Vote:
    vote = uow.votes.find(caller.project_id, uid)
    assert vote is not None, "a vote is never removed"
    return vote


def _same(uow: UnitOfWork, caller: Caller, seat: Seat, judgement: Judgement) -> Vote:
    """Return the vote of a seat that has one, if it says the same: its answer was lost on the way."""
    assert seat.vote_uid is not None
    vote = _given(uow, caller, uid=seat.vote_uid)
    if vote.judgement != in_item_order(judgement, seat.shown_order):
        words = f"{seat.name} has a vote already, which says something else; undo {vote.name} to vote again"
        raise WrongState.of(words, state=seat.state.value)
    return vote


def _vote(seat: Seat, judgement: Judgement, *, uid: str, now: datetime.datetime, scripted: bool) -> Vote:
    return Vote(
        uid=uid,
        item=seat.item,
        reviewer=seat.reviewer,
        state=VoteState.SUBMITTED if judgement.discard is None else VoteState.DISCARDED,
        judgement=in_item_order(judgement, seat.shown_order),
        shown_order=seat.shown_order,
        create_time=now,
        seat_uid=seat.uid,
        guidelines_version=seat.guidelines_version,
        scripted=scripted,
        repeat=seat.repeat,
    )


def _sit(uow: UnitOfWork, seat: Seat, review: Review, *, vote: Vote, now: datetime.datetime) -> None:
    """Write that a seat has its vote. One that was lost or skipped is taken back first. Raises: SeatLost."""
    done = dataclasses.replace(seat, state=SeatState.VOTED, vote_uid=vote.uid, draft=None)
    if seat.state is SeatState.HELD and uow.seats.save_held(done):
        return
    again = take_back(uow, seat, review, now=now)
    uow.seats.save(dataclasses.replace(again, state=SeatState.VOTED, vote_uid=vote.uid, draft=None))


def _put_aside(
    house: House, uow: UnitOfWork, review: Review, seat: Seat, *, vote: Vote, progress: ReviewerProgress
) -> None:
    """Let chance decide whether the item comes to the same reviewer again, later and in another order, unsaid."""
    if seat.repeat or vote.state is VoteState.DISCARDED or house.chance.seed() >= review.repeat_share * _SEEDS:
        return
    if uow.seats.of_item(seat.item.uid, reviewer=seat.reviewer, repeat=True) is None:
        again = dataclasses.replace(
            seat,
            uid=house.chance.uid(),
            state=SeatState.WAITING,
            place=0,
            repeat=True,
            due=progress.given + REPEAT_AFTER_VOTES,
            shown_order=swapped(seat.shown_order),
            draft=None,
        )
        uow.seats.add(again)

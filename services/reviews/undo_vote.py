"""Taking a vote back: the ledger keeps it as withdrawn, and its reviewer sits at the item again."""

import dataclasses
import datetime

from services.domain.errors import WrongState
from services.domain.judgements import in_shown_order
from services.domain.projects import Caller
from services.domain.requests import NO_REQUEST_KEY, RequestKey
from services.domain.reviews import Review, Seat, SeatState, Vote, VoteState
from services.ports import House
from services.reviews.own_review import find_own_vote


def undo_vote(house: House, *, caller: Caller, name: str, request: RequestKey = NO_REQUEST_KEY) -> Seat:
    """Withdraw the caller's own vote, and return their seat with the vote as its draft.

    It does not matter who has voted since: the seat was theirs all the time. Undoing what is undone changes nothing.
    Raises: NotFound, WrongState if the review is closed, or for a vote that was retracted or given again since;
    RequestIdReused.
    """
    with house.storage.write() as uow:
        review, vote = find_own_vote(uow, caller=caller, name=name)
        now = uow.now()
        repeated = uow.requests.remember(caller, request, resource=vote.name, time=now) is not None
        progress = uow.seats.lock_reviewer(review.uid, reviewer=caller.api_key)
        vote = uow.votes.find(caller.project_id, vote.uid) or vote  # as it is now that nobody else changes it
        seat = uow.seats.find_by_uid(vote.seat_uid) if vote.seat_uid else None
        assert seat is not None, "a vote in a review was given from a seat"
        if repeated or (vote.state is VoteState.WITHDRAWN and seat.vote_uid is None):
            return seat
        review.check_open()
        seat = _held(seat, review, vote=vote, now=now)
        uow.seats.save(seat)
        uow.votes.change(vote.uid, state=VoteState.WITHDRAWN, actor=caller.api_key, reason="", time=now)
        progress = progress.counting(vote, by=-1)
        uow.seats.save_reviewer(review.uid, reviewer=caller.api_key, progress=progress)
        uow.audit.record(caller, resource=vote.name, time=now)
        uow.commit()
    return seat


def _held(seat: Seat, review: Review, *, vote: Vote, now: datetime.datetime) -> Seat:
    if vote.state is VoteState.RETRACTED:
        raise WrongState.of(f"{vote.name} was retracted: it does not count any more", state=vote.state.value)
    if seat.vote_uid != vote.uid:
        words = f"{vote.name} was withdrawn before, and there is a newer vote on the same item"
        raise WrongState.of(words, state=vote.state.value)
    return dataclasses.replace(
        seat,
        state=SeatState.HELD,
        vote_uid=None,
        draft=in_shown_order(vote.judgement, vote.shown_order),
        expire_time=now + review.seat_time,
        guidelines_version=review.guidelines_version,
    )

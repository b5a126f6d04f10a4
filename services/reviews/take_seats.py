"""Handing out seats: those that a reviewer holds, those that come back, then new ones from the queue.

The queue is the items in the order of their positions. A reviewer only goes forward in it: what lies behind is judged
by them, or full; an item that becomes free moves to the end. So the next seat is found without a look at what is done,
however many items there are.
"""

import dataclasses
import datetime
from collections.abc import Callable, Sequence

from services.domain.errors import InvalidField, Unavailable
from services.domain.limits import ITEMS_LEFT_COUNTED_MAX, ITEMS_LEFT_EXACT_MAX, SEATS_MAX
from services.domain.projects import Caller
from services.domain.reviews import Review, Seat
from services.ports import House, UnitOfWork
from services.reviews.own_review import find_assigned_review
from services.reviews.seating import free_place_in, held_again, lose_expired, seated

_ROUNDS = 5
_BEHIND_MAX = 50  # entries of the queue that are looked at in vain; to remember each step would cost more
_RETRY_AFTER_S = 0.2


@dataclasses.dataclass(frozen=True, kw_only=True)
class TakenSeats:
    """A reviewer's seats in the order in which to judge them, and how many items are left, these included."""

    seats: tuple[Seat, ...]
    items_left: int


def take_seats(house: House, *, caller: Caller, name: str, seats: int = 1) -> TakenSeats:
    """Give the caller up to so many seats at the same time; what they hold already is theirs for longer.

    Nothing is left for them if there are no seats. Repeating the call gives the same ones, so it needs no request_id.
    Raises: InvalidField, NotFound for a review that is not theirs, WrongState if it is closed, Unavailable.
    """
    if not 1 <= seats <= SEATS_MAX:
        raise InvalidField.of("seats", f"must be 1 to {SEATS_MAX}, got {seats}")
    with house.storage.write() as uow:
        review = find_assigned_review(uow, caller=caller, name=name)
        review.check_open()
        taker = _Taker(house, uow, review, reviewer=caller.api_key, now=uow.now())
        found = taker.take(seats)
        left = taker.items_left()
        uow.commit()
    return TakenSeats(seats=tuple(found[:seats]), items_left=left)


class _Taker:
    """One reviewer at one review, in one transaction."""

    def __init__(self, house: House, uow: UnitOfWork, review: Review, *, reviewer: str, now: datetime.datetime) -> None:
        self._house = house
        self._uow = uow
        self._review = review
        self._reviewer = reviewer
        self._now = now
        self._progress = uow.seats.lock_reviewer(review.uid, reviewer=reviewer)
        self._held = 0

    def take(self, wanted: int) -> list[Seat]:
        """Return the seats that are held at the end, in an order that stays, and write what is new."""
        found = self._renewed()
        found += self._repetitions(wanted - len(found), due=self._progress.given)
        found += self._lost(wanted - len(found))
        found += self._new(wanted - len(found), wait=not found)
        if not found:
            found = self._repetitions(wanted, due=None)
        self._held = len(found)
        return sorted(found, key=lambda seat: (seat.take_time, seat.item.number, seat.uid))

    def items_left(self) -> int:
        """Return how many items are left, those that are held included."""
        review, reviewer = self._review, self._reviewer
        left = self._uow.seats.count_left(
            review.uid,
            reviewer=reviewer,
            after=self._progress.passed_position,
            exact_max=ITEMS_LEFT_EXACT_MAX,
            count_max=ITEMS_LEFT_COUNTED_MAX,
        )
        waiting = self._uow.seats.count_waiting(review.uid, reviewer=reviewer) if review.repeat_share else 0
        return left + waiting + self._held

    def _renewed(self) -> list[Seat]:
        held = self._uow.seats.held(self._review.uid, reviewer=self._reviewer)
        until, version = self._now + self._review.seat_time, self._review.guidelines_version
        if held:
            self._uow.seats.renew([seat.uid for seat in held], expire_time=until, guidelines_version=version)
        return [dataclasses.replace(seat, expire_time=until, guidelines_version=version) for seat in held]

    def _repetitions(self, wanted: int, *, due: int | None) -> list[Seat]:
        """Return items that come a second time, once enough votes lie between or nothing else is left."""
        if wanted < 1 or not self._review.repeat_share:
            return []
        waiting = self._uow.seats.waiting(self._review.uid, reviewer=self._reviewer, due=due, count_max=wanted)
        again = [held_again(seat, self._review, now=self._now, place=0) for seat in waiting]
        for seat in again:
            self._uow.seats.save(seat)
        return again

    def _lost(self, wanted: int) -> list[Seat]:
        """Return seats that were taken from the reviewer and that nobody else has: whoever comes back finds them."""
        if wanted < 1:
            return []
        lost = self._uow.seats.lost(self._review.uid, reviewer=self._reviewer, count_max=wanted)
        return self._placed(lost)

    def _new(self, wanted: int, *, wait: bool) -> list[Seat]:
        """Return seats from the queue. With `wait` they are waited for, if others hold every item just now."""
        if wanted < 1:
            return []
        found = self._locked(wanted, wait=False)
        if found:
            self._catch_up(found[0].item.position)
            return found
        for _ in range(_ROUNDS):
            first = self._first_free(lose=wait)
            if first is None:
                return []
            self._pass(first - 1)
            found = self._locked(wanted, wait=False) or (self._locked(1, wait=True) if wait else [])
            if found or not wait:
                return found
        raise Unavailable("others are taking the last seats just now", retry_after_s=_RETRY_AFTER_S)

    def _catch_up(self, position: int) -> None:
        """Remember how far the reviewer is, if they are far from what is remembered. Items may be held by now, so no
        seats are taken from others here.
        """
        if position > self._progress.passed_position + _BEHIND_MAX:
            after = self._progress.passed_position
            first = self._uow.seats.first_free(self._review.uid, reviewer=self._reviewer, after=after)
            self._pass((position + 1 if first is None else first) - 1)

    def _first_free(self, *, lose: bool) -> int | None:
        """Return the place of the first item that is left; to `lose` is to take seats from others if none is.

        Whoever has a seat already holds rows that come after the review, and must not wait for it.
        """
        uid, after = self._review.uid, self._progress.passed_position
        first = self._uow.seats.first_free(uid, reviewer=self._reviewer, after=after)
        if first is None and lose and lose_expired(self._uow, uid, now=self._now):
            first = self._uow.seats.first_free(uid, reviewer=self._reviewer, after=after)
        return first

    def _locked(self, wanted: int, *, wait: bool) -> list[Seat]:
        after, reviewer = self._progress.passed_position, self._reviewer
        items = self._uow.seats.lock_free(self._review.uid, reviewer=reviewer, after=after, count_max=wanted, wait=wait)
        earlier = self._uow.seats.own_seats([item.uid for item in items], reviewer=reviewer) if items else {}
        new = [
            seated(self._house, self._review, item, reviewer=reviewer, now=self._now)
            for item in items
            if item.uid not in earlier
        ]
        places = {item.uid: place for place, item in enumerate(items)}
        return sorted(
            self._placed(list(earlier.values())) + self._placed(new, write=self._uow.seats.add),
            key=lambda seat: places[seat.item.uid],
        )

    def _placed(self, seats: Sequence[Seat], *, write: Callable[[Seat], None] | None = None) -> list[Seat]:
        """Return seats as they are held at items that are locked, and write them."""
        if not seats:
            return []
        uids = [seat.item.uid for seat in seats]
        taken = self._uow.seats.places_taken(uids)
        placed = [
            held_again(seat, self._review, now=self._now, place=free_place_in(taken[seat.item.uid])) for seat in seats
        ]
        for seat in placed:
            (write or self._uow.seats.save)(seat)
        self._uow.seats.take_places(uids)
        return placed

    def _pass(self, position: int) -> None:
        """Remember that nothing up to a position is left for the reviewer."""
        if position > self._progress.passed_position:
            self._progress = dataclasses.replace(self._progress, passed_position=position)
            self._uow.seats.save_reviewer(self._review.uid, reviewer=self._reviewer, progress=self._progress)

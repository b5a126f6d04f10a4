"""The sender of a reviewer: it works behind their back, so that nobody waits for the line.

One thread sends decisions in their order, and keeps seats ready. A line that is cut stops neither the person nor, once
it is back, the thread.
"""

import collections
import datetime
import threading
import time
from typing import TYPE_CHECKING, Any, Self

from tutelage.cli._review_journal import SKIP, SUBMIT, UNDO, Decision, Journal

if TYPE_CHECKING:
    import tutelage

# Seats that are ready, when more are asked for, and the most that one reviewer may hold.
SEATS_READY, SEATS_LOW, SEATS_MAX = 5, 3, 10
# Seats are asked for again this often: that renews their leases, and shows items that were drawn since.
RENEW_S, RENEW_S_MIN, DRAWING_S = 60.0, 5.0, 1.0
BACKOFF_S, BACKOFF_S_MAX = 0.2, 5.0
LAST_WORDS_S = 6.0


class Sender:
    """Decisions on their way out, seats on their way in. Every field is read and written under `changed`."""

    def __init__(self, client: "tutelage.Client", review: str, journal: Journal) -> None:
        self.client = client
        self.review = review
        self.journal = journal
        self.changed = threading.Condition()
        self.seats: collections.deque[tutelage.Seat] = collections.deque()
        self.refusals: collections.deque[tuple[Decision, tutelage.TutelageError]] = collections.deque()
        self.trouble = ""
        self.ended = ""
        self.failure: tutelage.TutelageError | None = None
        self.items_left = 0
        self.votes_sent = 0
        self._known: set[str] = {decision.subject for decision in journal.pending}
        self._leaving = self._gone = self._awaited = False
        self._leave_by = float("inf")
        self._had_more = True
        self._looked: float | None = None
        self._pause_s = BACKOFF_S
        self._renew_s = RENEW_S
        self._thread = threading.Thread(target=self._work, name="review-sender", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.leave()

    def send(self, decision: Decision) -> None:
        """Takes a decision: it is on disk when this returns, and with the service as soon as the line allows."""
        with self.changed:
            self.journal.decide(decision)
            self.items_left += {SUBMIT: -1, UNDO: 1}.get(decision.kind, 0)
            self.changed.notify_all()

    def draft(self, seat: str, judgement: dict[str, Any]) -> None:
        """Keeps an unfinished judgement on disk."""
        with self.changed:
            self.journal.draft(seat, judgement)

    def take_back(self, decision_id: str) -> bool:
        """Removes a decision that was never tried; says whether it could."""
        with self.changed:
            for decision in self.journal.pending:
                if decision.id == decision_id and not decision.tries:
                    self.journal.answer(decision, "")
                    self.items_left += 1
                    return True
        return False

    def next_seat(self, *, timeout_s: float) -> "tutelage.Seat | None":
        """Returns the next seat; None if none comes in time, or none is left (see `ended`)."""
        with self.changed:
            self._awaited = True
            self.changed.notify_all()
            self.changed.wait_for(lambda: self.seats or self.ended, timeout=timeout_s)
            seat = self.seats.popleft() if self.seats else None
            self._awaited = seat is None
            self.changed.notify_all()
            return seat

    def unsent(self) -> int:
        """Returns how many decisions are on disk only."""
        with self.changed:
            return len(self.journal.pending)

    def leave(self) -> None:
        """Sends what is left, for at most a few seconds; the rest is sent when the reviewer comes back."""
        with self.changed:
            self._leaving, self._leave_by = True, time.monotonic() + LAST_WORDS_S
            self.changed.notify_all()
        self._thread.join(timeout=LAST_WORDS_S)
        with self.changed:
            self._gone = True  # A call that is still on its way finds the journal closed.

    def flush(self, *, timeout_s: float) -> bool:
        """Waits until everything was answered; says whether it was."""
        with self.changed:
            return bool(self.changed.wait_for(lambda: not self.journal.pending, timeout=timeout_s))

    def _work(self) -> None:
        """Sends, then looks for seats, then waits; until told to leave."""
        while True:
            with self.changed:
                decision = self.journal.pending[0] if self.journal.pending else None
                wants_seats = not self._leaving and not self.ended and self._is_time_to_look()
                if decision is None and self._leaving:
                    return
                if decision is None and not wants_seats:
                    self.changed.wait(timeout=DRAWING_S)
                    continue
            done = self._send(decision) if decision is not None else self._look_for_seats()
            with self.changed:
                if self._gone or time.monotonic() > self._leave_by:
                    return
                self.changed.notify_all()
                if not done:
                    self.changed.wait(timeout=self._pause_s)
                    self._pause_s = min(2 * self._pause_s, BACKOFF_S_MAX)

    def _is_time_to_look(self) -> bool:
        since = float("inf") if self._looked is None else time.monotonic() - self._looked
        is_low = len(self.seats) < SEATS_LOW and self._had_more
        return is_low or since > self._renew_s or (self._awaited and not self.seats and since > DRAWING_S)

    def _send(self, decision: Decision) -> bool:
        """Sends one decision; returns whether it was answered, and be it with a no."""
        import tutelage

        with self.changed:
            decision.tries += 1
        try:
            name = self._call(decision)
        except tutelage.TutelageError as error:
            if not isinstance(error, tutelage.InvalidArgument | tutelage.NotFound | tutelage.FailedPrecondition):
                # A broken line, a broken service, a key that ran out: the decision stays until it can be told.
                self._stumble(str(error))
                return False
            self._refused(decision, error)
            return True
        except (TypeError, ValueError) as error:
            # Words that no message has room for: sent again they would hold up all that comes after them.
            self._refused(decision, tutelage.InvalidArgument(f"it cannot be sent: {error}"))
            return True
        with self.changed:
            self._keep(decision, name)
            self.votes_sent += decision.kind == SUBMIT
            if decision.kind == SKIP:
                self._known.discard(decision.subject)
            self._had_more = True
            self._recover()
        return True

    def _refused(self, decision: Decision, error: "tutelage.TutelageError") -> None:
        with self.changed:
            self._keep(decision, "")
            self.refusals.append((decision, error))

    def _keep(self, decision: Decision, name: str) -> None:
        if not self._gone:
            self.journal.answer(decision, name)

    def _call(self, decision: Decision) -> str:
        """Carries out one decision and returns the name that it made."""
        import tutelage

        subject = self.journal.answers.get(decision.subject, decision.subject)
        if not subject:
            raise tutelage.FailedPrecondition("what it was about was refused")
        if decision.kind == SUBMIT:
            vote = self.client.reviews.submit_vote(
                subject,
                active_seconds=decision.active_seconds,
                scripted=decision.scripted,
                request_id=decision.id,
                **decision.judgement,
            )
            return vote.name
        if decision.kind == SKIP:
            self.client.reviews.skip_seat(subject, request_id=decision.id)
            return subject
        seat = self.client.reviews.undo_vote(subject, request_id=decision.id)
        with self.changed:
            self._known.add(seat.name)
        return seat.name

    def _look_for_seats(self) -> bool:
        """Asks for seats; returns whether the service answered."""
        import tutelage
        from tutelage._retry import is_broken_line

        with self.changed:
            wanted = min(SEATS_MAX, SEATS_READY + 1 + len(self.journal.pending))
        try:
            answer = self.client.reviews.take_seats(self.review, seats=wanted)
            drawing = bool(answer.seats) or self._is_drawing()
        except tutelage.TutelageError as error:
            if is_broken_line(error):
                self._stumble(str(error))
                return False
            with self.changed:
                self.ended, self.failure = error.message, error
            return True
        with self.changed:
            self._take(answer, drawing=drawing, is_all=len(answer.seats) < wanted)
            self._recover()
        return True

    def _take(self, answer: "tutelage.TakeSeatsResponse", *, drawing: bool, is_all: bool) -> None:
        """Keeps what is new, and lets go of seats whose lease has ended; an answer that is full may name not all."""
        held = {seat.name for seat in answer.seats}
        self.seats = collections.deque(seat for seat in self.seats if seat.name in held or not is_all)
        new = [seat for seat in answer.seats if seat.name not in self._known]
        if self._awaited and not new and not self.seats and not self.journal.pending:
            new = list(answer.seats)  # held, and on nobody's desk: what was said of them was refused
        self._known |= {seat.name for seat in new}
        self.seats.extend(new)
        self.items_left = answer.items_left - sum(decision.kind == SUBMIT for decision in self.journal.pending)
        self._renew_s = renewal_s(answer)
        self._had_more = bool(new)
        self._looked = time.monotonic()
        if not answer.seats and not self.seats and not self.journal.pending and not drawing:
            self.ended = "nothing is left for you"

    def _is_drawing(self) -> bool:
        """Says whether more items may come."""
        from tutelage._names import short_name

        mine = short_name(self.review)
        return any(each.drawing for each in self.client.reviews.list_open() if short_name(each.name) == mine)

    def _stumble(self, message: str) -> None:
        with self.changed:
            self.trouble = message

    def _recover(self) -> None:
        self.trouble, self._pause_s = "", BACKOFF_S


def renewal_s(answer: "tutelage.TakeSeatsResponse") -> float:
    """Returns how soon to renew leases: in a third of the time that they last, whatever this machine's clock says."""
    times = [seat.expire_time for seat in answer.seats if seat.expire_time is not None]
    if not times:
        return RENEW_S
    lasts_s = (max(times) - datetime.datetime.now(datetime.UTC)).total_seconds()
    return min(max(lasts_s / 3, RENEW_S_MIN), RENEW_S)

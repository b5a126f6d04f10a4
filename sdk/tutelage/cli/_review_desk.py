"""The desk of a reviewer: one item in front of them, what they think of it, and what they decided before.

It knows nothing of keys and screens: a terminal, lines on a pipe and tests all use it.
"""

import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tutelage.cli._review_journal import SKIP, SUBMIT, UNDO, Decision
from tutelage.cli._review_sender import Sender

if TYPE_CHECKING:
    import tutelage

# A reviewer who did nothing for longer was away.
AWAY_S = 60.0
STRENGTHS = {1: "negligibly", 2: "slightly", 3: "clearly", 4: "far"}
STRONGLY = 4
DISCARDS = ("bad-prompt", "unsafe", "not-my-expertise", "language")
CHOICE, STRENGTH, RATING, RANKING = "choice", "strength", "rating", "ranking"


@dataclasses.dataclass
class Past:
    """A vote that was given: at which seat, what it said, and how to name it."""

    seat: "tutelage.Seat"
    judgement: dict[str, Any]
    subject: str
    vote: str
    """The name of the vote, or the id of the decision that it comes from."""


class Desk:
    """What a reviewer does. Methods return what to tell them, or nothing."""

    def __init__(
        self,
        sender: Sender,
        review: "tutelage.OpenReview",
        *,
        scripted: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.sender = sender
        self.review = review
        self.scripted = scripted
        self.clock = clock
        self.seat: tutelage.Seat | None = None
        self.subject = ""
        self.judgement: dict[str, Any] = {}
        self.focus = ""
        self.given = 0
        self.past: list[Past] = []
        self.undone: list[Past] = []
        self.aside: list[tuple[tutelage.Seat, str, dict[str, Any]]] = []
        self._older: Any = None
        self._active_s = 0.0
        self._touched = 0.0

    @property
    def kind(self) -> str:
        """What is asked: PAIR, SINGLE or RANKING."""
        return str(self.review.kind)

    @property
    def rubric(self) -> list[str]:
        """The keys of the further questions."""
        return [question.key for question in self.review.rubric]

    def open_next(self, *, timeout_s: float) -> bool:
        """Puts the next item on the desk, if there is none and one is there; says whether there is one."""
        if self.seat is None and self.aside:
            begun, subject, judgement = self.aside.pop()
            self._open(begun, subject=subject, judgement=judgement)
        elif self.seat is None and (seat := self.sender.next_seat(timeout_s=timeout_s)) is not None:
            kept = self.sender.journal.drafts.get(seat.name)
            self._open(seat, subject=seat.name, judgement=words_of(seat.draft) if kept is None else kept)
        return self.seat is not None

    def _open(self, seat: "tutelage.Seat | None", *, subject: str, judgement: Mapping[str, Any]) -> None:
        self.seat, self.subject, self.judgement = seat, subject, dict(judgement)
        self.focus = self._first_question()
        self._active_s, self._touched = 0.0, self.clock()

    def _first_question(self) -> str:
        return {"SINGLE": RATING, "RANKING": RANKING}.get(self.kind, CHOICE)

    def begin_anew(self) -> None:
        """Forgets what was said of the item on the desk."""
        self.judgement, self.focus = {}, self._first_question()

    def touch(self) -> None:
        """Counts the time since the last key as spent on the item, unless the reviewer was away."""
        now = self.clock()
        self._active_s += min(now - self._touched, AWAY_S)
        self._touched = now

    # What one can say of an item

    def prefer(self, candidate: int, *, strongly: bool = False) -> str:
        """Says which of two is better."""
        if self.kind != "PAIR":
            return "only of two answers one can be preferred"
        self._forget("verdict", "preferred", "strength", "discard")
        self.judgement["preferred"] = candidate
        if strongly:
            self.judgement["strength"] = STRONGLY
        self.focus = STRENGTH
        return self._changed()

    def call(self, verdict: str) -> str:
        """Says that neither of two is better: `equal` or `both_bad`."""
        if self.kind != "PAIR":
            return "only two answers can be equal, or both bad"
        self._forget("preferred", "strength", "discard")
        self.judgement["verdict"] = verdict
        self.focus = self._next_open_question()
        return self._changed()

    def thumb(self, rating: int) -> str:
        """Says that a single answer is good (1) or bad (-1)."""
        if self.kind != "SINGLE":
            return "a thumb is for a single answer"
        self._forget("score", "discard")
        self.judgement["rating"] = rating
        self.focus = self._next_open_question()
        return self._changed()

    def digit(self, number: int) -> str:
        """Answers the focused question with a number from 1 to 9."""
        if self.focus == STRENGTH and number <= STRONGLY and "preferred" in self.judgement:
            self.judgement["strength"] = number
            self.focus = self._next_open_question()
        elif self.focus == RATING:
            self._forget("rating", "discard")
            self.judgement["score"] = number
            self.focus = self._next_open_question()
        elif self.focus == RANKING:
            return self._rank(number - 1)
        elif self.focus in self.rubric:
            self.judgement.setdefault("rubric", {})[self.focus] = number
            self.focus = self._next_open_question()
        else:
            return "choose first: A, B, E or N" if self.focus == CHOICE else f"strength goes from 1 to {STRONGLY}"
        return self._changed()

    def _rank(self, candidate: int) -> str:
        """Puts a candidate at the next place, best first; one that has a place begins anew from there."""
        assert self.seat is not None
        ranking: list[int] = list(self.judgement.get("ranking", []))
        if candidate >= len(self.seat.candidates):
            return f"there are {len(self.seat.candidates)} answers"
        if candidate in ranking:
            ranking = ranking[: ranking.index(candidate)]
        else:
            ranking.append(candidate)
        self.judgement["ranking"] = ranking
        self._forget("discard")
        if len(ranking) == len(self.seat.candidates):
            self.focus = self._next_open_question()
        return self._changed()

    def correct(self, candidate: int, text: str) -> str:
        """Writes a better answer; the answer itself, unchanged, is none."""
        assert self.seat is not None
        if text == self.seat.candidates[candidate]:
            self._forget("correction", "corrected")
            return "the correction equals the answer: if the answer is good as it is, rate or prefer it instead"
        self.judgement["correction"], self.judgement["corrected"] = text, candidate
        self._forget("discard")
        return self._changed()

    def explain(self, text: str) -> str:
        """Says why."""
        self._forget("rationale")
        if text:
            self.judgement["rationale"] = text
        return self._changed()

    def next_question(self, step: int = 1) -> str:
        """Moves the focus to another question."""
        questions = self.questions()
        place = questions.index(self.focus) if self.focus in questions else 0
        self.focus = questions[(place + step) % len(questions)]
        return ""

    def questions(self) -> list[str]:
        """Returns the questions of this item, in order."""
        strength = [STRENGTH] if "preferred" in self.judgement else []
        return [self._first_question(), *strength, *self.rubric]

    def _next_open_question(self) -> str:
        answered = self.judgement.get("rubric", {})
        return next((key for key in self.rubric if key not in answered), self.focus)

    def _forget(self, *names: str) -> None:
        for name in names:
            self.judgement.pop(name, None)

    def _changed(self) -> str:
        self.touch()
        self.sender.draft(self.subject, self.judgement)
        return ""

    # What one can do with an item

    def problem(self) -> str:
        """Returns what is missing before the judgement can be given."""
        if self.seat is None:
            return "there is no item"
        said, texts = self.judgement, self.seat.candidates
        if "discard" in said:
            return ""
        if "correction" in said and not 0 <= said["corrected"] < len(texts):
            return f"there are {len(texts)} answers to correct, counted from 0"
        if "correction" in said and said["correction"] == texts[said["corrected"]]:
            return "the correction equals the answer: if the answer is good as it is, rate or prefer it instead"
        if self.kind == "PAIR" and not {"preferred", "verdict"} & set(said):
            return "choose first: A or B, E equal, N both bad"
        if self.kind == "SINGLE" and not {"rating", "score", "correction"} & set(said):
            return "judge first: 1 to 9, + good or - bad, or C to write a better answer"
        if self.kind == "RANKING" and len(said.get("ranking", [])) < len(texts):
            return "order all answers first, best first"
        missing = [key for key in self.rubric if key not in said.get("rubric", {})]
        return f"answer with 1 to 9: {', '.join(missing)}" if missing else ""

    def submit(self) -> str:
        """Gives the vote, and clears the desk."""
        if problem := self.problem():
            return problem
        assert self.seat is not None
        self.touch()
        decision = Decision(
            kind=SUBMIT,
            subject=self.subject,
            judgement=self.judgement,
            active_seconds=round(self._active_s, 3),
            scripted=self.scripted,
        )
        self.sender.send(decision)
        self.past.append(Past(self.seat, self.judgement, self.subject, decision.id))
        self.undone.clear()
        self.given += 1
        self._open(None, subject="", judgement={})
        return ""

    def discard(self, reason: str) -> str:
        """Says that the item cannot be judged, and why."""
        if reason not in DISCARDS:
            return f"{reason!r} is none of {', '.join(DISCARDS)}"
        self.judgement = {name: text for name, text in self.judgement.items() if name == "rationale"}
        self.judgement["discard"] = reason
        return self.submit()

    def skip(self) -> str:
        """Leaves the item for later: it comes again at the end."""
        if self.seat is None:
            return "there is no item"
        self.sender.send(Decision(kind=SKIP, subject=self.subject))
        self._open(None, subject="", judgement={})
        return "skipped: it comes again at the end"

    def undo(self) -> str:
        """Takes the last vote back, and puts its item on the desk as it was judged."""
        import tutelage

        try:
            last = self.past.pop() if self.past else self._older_vote()
        except tutelage.TutelageError as error:
            self._older = None
            return f"older votes cannot be looked up now: {error.message}"
        if last is None:
            return "there is nothing to undo"
        self._set_aside()
        self.undone.append(last)
        subject = last.subject
        if not self.sender.take_back(last.vote):
            decision = Decision(kind=UNDO, subject=last.vote)
            self.sender.send(decision)
            subject = decision.id
        self.given -= 1
        self._open(last.seat, subject=subject, judgement=last.judgement)
        return "taken back; Shift+Z gives it again"

    def redo(self) -> str:
        """Gives a vote again that was taken back."""
        if not self.undone:
            return "there is nothing to redo"
        again, rest = self.undone.pop(), list(self.undone)
        if self.seat is not again.seat:
            return "there is nothing to redo"
        self.judgement = dict(again.judgement)
        told = self.submit()
        self.undone = rest
        return told

    def _set_aside(self) -> None:
        """Makes the item on the desk the next one, with what was said of it."""
        if self.seat is not None:
            self.sender.draft(self.subject, self.judgement)
            self.aside.append((self.seat, self.subject, self.judgement))

    def _older_vote(self) -> Past | None:
        """Returns the last vote of an earlier sitting."""
        if self._older is None:
            self.sender.flush(timeout_s=2.0)
            self._older = iter(self.sender.client.reviews.own_votes(self.review.name))
        for vote in self._older:
            if vote.state in ("SUBMITTED", "DISCARDED"):
                return Past(seat_of(vote), words_of(vote.judgement), "", vote.name)
        return None

    def hear_refusals(self) -> list[str]:
        """Returns what the service refused, in words; a vote that can be mended comes back to the desk."""
        told = []
        while self.sender.refusals:
            decision, error = self.sender.refusals.popleft()
            lost = next((past for past in self.past if past.vote == decision.id), None)
            if lost is not None:
                self.past.remove(lost)
                self.given -= 1
            if lost is not None and type(error).__name__ == "InvalidArgument":
                self._set_aside()
                self._open(lost.seat, subject=lost.subject, judgement=lost.judgement)
            elif decision.id == self.subject:
                self._open(None, subject="", judgement={})
            told.append(f"your {decision.kind} was not taken: {error.message}")
        return told


def words_of(judgement: "tutelage.Judgement | None") -> dict[str, Any]:
    """Returns a judgement of the service in the words in which it is given."""
    if judgement is None:
        return {}
    j = judgement
    words: dict[str, Any] = {
        "verdict": {"EQUAL": "equal", "BOTH_BAD": "both_bad"}.get(j.verdict),
        "preferred": j.preferred if j.verdict == "PREFERS" else None,
        "strength": j.strength,
        "rating": {"UP": 1, "DOWN": -1}.get(j.thumb),
        "score": j.rating,
        "ranking": list(j.ranking) or None,
        "correction": j.correction.text if j.correction else None,
        "corrected": j.correction.candidate if j.correction else None,
        "rubric": dict(j.rubric) or None,
        "rationale": j.rationale or None,
        "discard": None if j.discard == "UNSPECIFIED" else j.discard.lower().replace("_", "-"),
    }
    return {name: value for name, value in words.items() if value is not None}


def seat_of(vote: "tutelage.Vote") -> "tutelage.Seat":
    """Returns what was shown to the reviewer of a vote."""
    import tutelage

    return tutelage.Seat(
        name="",
        prompt=vote.prompt,
        candidates=tuple(candidate.text for candidate in vote.candidates),
        draft=vote.judgement,
        expire_time=None,
        guidelines_version=vote.guidelines_version,
    )

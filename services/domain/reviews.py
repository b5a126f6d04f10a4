"""Reviews: people judge what models wrote. A review has items; a reviewer judges an item from a seat.

A seat is one reviewer's place at one item. As many seats of an item can be taken as the review asks for votes of it. A
seat that is left comes back to the same reviewer with what they wrote, unless others have taken every seat meanwhile.
"""

import dataclasses
import datetime
import enum
from collections.abc import Sequence

from services.domain.answers import Candidate, Prompt
from services.domain.errors import WrongState
from services.domain.job_states import FINAL, JobState
from services.domain.judgements import Judgement, ReviewKind
from services.domain.work import DrawSpec


class ReviewState(enum.Enum):
    """Where a review is in its life; it follows from its job, and from whether it was closed."""

    DRAWING = "DRAWING"
    OPEN = "OPEN"
    CLOSED = "CLOSED"
    FAILED = "FAILED"


WORKED_ON = (ReviewState.DRAWING, ReviewState.OPEN)


class SeatState(enum.Enum):
    """What became of a seat. HELD and VOTED take a place at the item; WAITING is a repetition that is still to come."""

    HELD = "HELD"
    VOTED = "VOTED"
    SKIPPED = "SKIPPED"
    LOST = "LOST"
    WAITING = "WAITING"


class VoteState(enum.Enum):
    """Whether a vote counts. It is given as one of the first two; the others are said of it later."""

    SUBMITTED = "SUBMITTED"
    DISCARDED = "DISCARDED"
    WITHDRAWN = "WITHDRAWN"
    RETRACTED = "RETRACTED"


GIVEN = (VoteState.SUBMITTED, VoteState.DISCARDED)
CHANGES = (VoteState.WITHDRAWN, VoteState.RETRACTED)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RubricQuestion:
    """A question that is answered from 1 to 9 beside the main one."""

    key: str
    description: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReviewProgress:
    """How far a review has come. Silent repetitions are no votes that were wanted, and are not counted."""

    items: int = 0
    items_done: int = 0
    votes: int = 0
    votes_wanted: int = 0
    reviewers: int = 0
    seats_held: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Review:
    """People's work on what models wrote; `job_state` is that of the job that draws for it."""

    project_id: str
    id: str
    uid: str
    kind: ReviewKind
    draw: DrawSpec
    job_uid: str
    job_id: str
    creator: str
    create_time: datetime.datetime
    update_time: datetime.datetime
    overlap: int = 1
    guidelines: str = ""
    guidelines_version: int = 1
    rubric: tuple[RubricQuestion, ...] = ()
    reviewers: tuple[str, ...] = ()
    repeat_share: float = 0.0
    seat_seconds: int = 600
    duel_id: str | None = None
    closed: bool = False
    items: int = 0
    job_state: JobState = JobState.QUEUED
    progress: ReviewProgress | None = None

    @property
    def name(self) -> str:
        """Its resource name."""
        return f"projects/{self.project_id}/reviews/{self.id}"

    @property
    def job(self) -> str:
        """Resource name of the job that draws its candidates."""
        return f"projects/{self.project_id}/jobs/{self.job_id}"

    @property
    def duel(self) -> str:
        """Resource name of the duel that it is held for, or nothing."""
        return f"projects/{self.project_id}/duels/{self.duel_id}" if self.duel_id else ""

    @property
    def state(self) -> ReviewState:
        """Where it is in its life. What was drawn before a job failed can be judged."""
        if self.closed:
            return ReviewState.CLOSED
        if self.job_state not in FINAL:
            return ReviewState.DRAWING
        drawn = self.items > 0 or self.job_state is JobState.SUCCEEDED
        return ReviewState.OPEN if drawn else ReviewState.FAILED

    @property
    def drawing(self) -> bool:
        """Whether more items may come."""
        return self.state is ReviewState.DRAWING

    @property
    def seat_time(self) -> datetime.timedelta:
        """How long a seat is held without a sign."""
        return datetime.timedelta(seconds=self.seat_seconds)

    @property
    def rubric_keys(self) -> tuple[str, ...]:
        """The keys of its further questions."""
        return tuple(question.key for question in self.rubric)

    def is_for(self, reviewer: str) -> bool:
        """Whether a key, by its resource name, may review."""
        return not self.reviewers or reviewer in self.reviewers

    def check_open(self) -> None:
        """Refuse work on a review that takes no votes. Raises: WrongState."""
        if self.closed:
            raise WrongState.of(f"{self.name} is closed: no votes are taken any more", state=self.state.value)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReviewItem:
    """A prompt with its candidates. Feedback from an application is an item without a review, with the number 0.

    `position` is its place in the queue, where that was asked for.
    """

    uid: str
    project_id: str
    prompt: Prompt
    candidates: tuple[Candidate, ...]
    review_uid: str | None = None
    review_id: str = ""
    number: int = 0
    position: int = 0
    gold: Judgement | None = None
    votes: int = 0

    @property
    def name(self) -> str:
        """Its resource name, empty without a review."""
        return f"projects/{self.project_id}/reviews/{self.review_id}/items/{self.number}" if self.review_id else ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Seat:
    """One reviewer's place at one item. `shown_order` has the number of the candidate shown first, then second …"""

    uid: str
    item: ReviewItem
    reviewer: str
    state: SeatState
    shown_order: tuple[int, ...]
    take_time: datetime.datetime
    expire_time: datetime.datetime
    guidelines_version: int
    place: int = 0
    repeat: bool = False
    due: int = 0
    draft: Judgement | None = None
    vote_uid: str | None = None

    @property
    def name(self) -> str:
        """Its resource name."""
        return f"projects/{self.item.project_id}/reviews/{self.item.review_id}/seats/{self.uid}"

    @property
    def prompt(self) -> Prompt:
        """What was answered."""
        return self.item.prompt

    @property
    def candidates(self) -> tuple[str, ...]:
        """The texts of the answers, in the order in which they are shown."""
        return tuple(self.item.candidates[number].text for number in self.shown_order)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReviewerProgress:
    """How far a reviewer is in a review: nothing up to `passed_position` of the queue is left for them."""

    passed_position: int = 0
    votes: int = 0
    discards: int = 0
    repeats: int = 0

    @property
    def given(self) -> int:
        """Votes of every kind."""
        return self.votes + self.discards + self.repeats

    def counting(self, vote: "Vote", *, by: int = 1) -> "ReviewerProgress":
        """Return the progress with one vote more, or one less."""
        if vote.repeat:
            return dataclasses.replace(self, repeats=self.repeats + by)
        if vote.judgement.discard is not None:
            return dataclasses.replace(self, discards=self.discards + by)
        return dataclasses.replace(self, votes=self.votes + by)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Vote:
    """One judgement in the ledger. `judgement` counts candidates in the order of the item; `seq` counts all votes.

    `state` says what became of it: a vote that was retracted is RETRACTED, whatever else happened to it.
    """

    uid: str
    item: ReviewItem
    reviewer: str
    state: VoteState
    judgement: Judgement
    shown_order: tuple[int, ...]
    create_time: datetime.datetime
    seq: int = 0
    seat_uid: str | None = None
    active_seconds: float = 0.0
    guidelines_version: int = 0
    source: str = "review"
    end_user: str = ""
    scripted: bool = False
    repeat: bool = False
    retraction_reason: str = ""

    @property
    def name(self) -> str:
        """Its resource name."""
        return f"projects/{self.item.project_id}/votes/{self.uid}"

    @property
    def prompt(self) -> Prompt:
        """What was answered."""
        return self.item.prompt

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """The answers, in the order of the item."""
        return self.item.candidates


@dataclasses.dataclass(frozen=True, kw_only=True)
class OpenReview:
    """A review as its reviewers see it."""

    review: Review
    items_left: int
    votes: int


def texts_of(candidates: Sequence[Candidate]) -> tuple[str, ...]:
    """Return the texts of candidates."""
    return tuple(candidate.text for candidate in candidates)

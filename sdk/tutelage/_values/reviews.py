"""Reviews: work for people who judge what models wrote."""

import dataclasses
import datetime

from tutelage._values.drawing import DrawSpec
from tutelage._values.feedback import Candidate, Judgement, Prompt
from tutelage._values.value import Value, WireEnum


class ReviewKind(WireEnum):
    """What reviewers are asked."""

    UNSPECIFIED = "UNSPECIFIED"
    """The review's default: PAIR with two candidates or more versions, else SINGLE."""
    PAIR = "PAIR"
    """Which of two candidates is better, and how much."""
    SINGLE = "SINGLE"
    """How good one candidate is: a thumb or a rating."""
    RANKING = "RANKING"
    """The order of three candidates or more."""


class ReviewState(WireEnum):
    """Where a review is in its life."""

    UNSPECIFIED = "UNSPECIFIED"
    """Never used."""
    DRAWING = "DRAWING"
    """Its candidates are being drawn; what is there can be judged."""
    OPEN = "OPEN"
    """All items are there."""
    CLOSED = "CLOSED"
    """No more votes are taken."""
    FAILED = "FAILED"
    """Its candidates could not be drawn; the job says why."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RubricQuestion(Value):
    """A question that reviewers answer from 1 to 9 beside the main one."""

    key: str
    """A short word, such as `helpful`: lower-case letters, digits and hyphens."""
    description: str
    """The question; at most 500 characters."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReviewProgress(Value):
    """How far a review has come."""

    items: int
    """Items that are there."""
    items_done: int
    """Items with all their votes."""
    votes: int
    """Votes that count."""
    votes_wanted: int
    """Votes that are still wanted of the items that are there."""
    reviewers: int
    """Reviewers who gave a vote."""
    seats_held: int
    """Seats that are held now."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Review(Value):
    """People's work on what models wrote."""

    name: str
    """`projects/{project}/reviews/{review}`."""
    uid: str
    """A UUID that is never used again."""
    state: ReviewState
    """Where it is in its life."""
    kind: ReviewKind
    """What reviewers are asked."""
    draw: DrawSpec | None
    """What is drawn for it: prompts, models, samples."""
    overlap: int
    """Votes wanted of each item, each by another reviewer; 1 to 20. Default 1. It can be raised later."""
    guidelines: str
    """What reviewers should know, as Markdown; at most 20,000 characters."""
    guidelines_version: int
    """Counts the changes of the guidelines from 1; each vote keeps the number that its reviewer saw."""
    rubric: tuple[RubricQuestion, ...]
    """Further questions; at most 10."""
    reviewers: tuple[str, ...]
    """API keys, `projects/{project}/apiKeys/{key}`, that may review; none means every key that may vote. At most 1,000.
    """
    repeat_share: float
    """Share of items that come to the same reviewer a second time, in another order, unsaid; 0 to 0.5. Default 0."""
    seat_seconds: int
    """How long a seat is held without a sign, in seconds; 30 to 86400. Default 600."""
    job: str
    """The job that draws the candidates, `projects/{project}/jobs/{job}`."""
    progress: ReviewProgress | None
    """How far it has come."""
    create_time: datetime.datetime | None
    """When it was made."""
    update_time: datetime.datetime | None
    """When it was last changed."""
    creator: str
    """Who made it, `projects/{project}/apiKeys/{key}`."""
    duel: str
    """The duel that it is held for, `projects/{project}/duels/{duel}`, if it is."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReviewItem(Value):
    """A prompt with its candidates, as its owner sees it."""

    name: str
    """`projects/{project}/reviews/{review}/items/{item}`, items counting 1, 2, 3."""
    prompt: Prompt | None
    """What was answered."""
    candidates: tuple[Candidate, ...]
    """The answers, in an order that never changes."""
    votes: int
    """Votes that count."""
    gold: Judgement | None
    """The right answer of a gold item."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Seat(Value):
    """A place at an item, as its reviewer sees it."""

    name: str
    """`projects/{project}/reviews/{review}/seats/{seat}`."""
    prompt: Prompt | None
    """What was answered."""
    candidates: tuple[str, ...]
    """The texts of the answers, in the order that this reviewer sees."""
    draft: Judgement | None
    """What was saved of a judgement; candidates counted in the order of this seat."""
    expire_time: datetime.datetime | None
    """Until when it is held."""
    guidelines_version: int
    """The guidelines that hold for it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class OpenReview(Value):
    """A review as its reviewers see it."""

    name: str
    """`projects/{project}/reviews/{review}`."""
    kind: ReviewKind
    """What is asked."""
    guidelines: str
    """What to know."""
    guidelines_version: int
    """Counts their changes."""
    rubric: tuple[RubricQuestion, ...]
    """Further questions."""
    items_left: int
    """Items that this reviewer could still judge."""
    votes: int
    """Votes of this reviewer."""
    drawing: bool
    """Whether more items are being drawn."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TakeSeatsResponse(Value):
    """The caller's seats."""

    seats: tuple[Seat, ...]
    """In the order in which to judge them."""
    items_left: int
    """Items that this reviewer could still judge, these included."""

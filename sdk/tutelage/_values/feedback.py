"""Feedback: what people and programs think of answers, and what is made of it to train on."""

import dataclasses
import datetime
from collections.abc import Mapping

from tutelage._values.value import Value, WireEnum


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChatMessage(Value):
    """One turn of a conversation."""

    role: str
    """`system`, `user` or `assistant`."""
    content: str
    """What was said."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prompt(Value):
    """What was answered: a text or a conversation, never both."""

    text: str
    """A text to continue; at most 100,000 characters."""
    messages: tuple[ChatMessage, ...]
    """A conversation whose next turn is the answer; at most 100 turns."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Candidate(Value):
    """An answer."""

    text: str
    """Its text; at most 100,000 characters."""
    model_version: str
    """The version that wrote it, `projects/{project}/models/{model}/versions/{version}`, if it is known."""
    seed: int | None
    """The seed that it was drawn with."""
    tokens: int
    """Tokens drawn."""
    logprob: float | None
    """Natural logarithm of its probability under the model that drew it."""
    score: float | None
    """What a checker or a reward model gave it."""


class Verdict(WireEnum):
    """Which of two is better."""

    UNSPECIFIED = "UNSPECIFIED"
    """Not said."""
    PREFERS = "PREFERS"
    """The candidate in `preferred`."""
    EQUAL = "EQUAL"
    """They are equally good."""
    BOTH_BAD = "BOTH_BAD"
    """Both are bad."""


class Thumb(WireEnum):
    """Good or bad."""

    UNSPECIFIED = "UNSPECIFIED"
    """Not said."""
    UP = "UP"
    """Good."""
    DOWN = "DOWN"
    """Bad."""


class DiscardReason(WireEnum):
    """Why an item could not be judged."""

    UNSPECIFIED = "UNSPECIFIED"
    """It could."""
    BAD_PROMPT = "BAD_PROMPT"
    """The prompt makes no sense."""
    UNSAFE = "UNSAFE"
    """It should not be shown to anybody."""
    NOT_MY_EXPERTISE = "NOT_MY_EXPERTISE"
    """The reviewer does not know the subject."""
    LANGUAGE = "LANGUAGE"
    """The reviewer does not know the language."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Correction(Value):
    """A better answer, written by a person."""

    candidate: int
    """Which candidate it is made of, counted from 0."""
    text: str
    """The better answer; at most 100,000 characters, and not the candidate itself."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Judgement(Value):
    """What somebody thinks of candidates, which are counted from 0 in the order in which they are shown."""

    verdict: Verdict
    """Which of two is better."""
    preferred: int | None
    """The better candidate; with VERDICT_PREFERS only."""
    strength: int | None
    """How much better: 1 negligibly, 2 slightly, 3 clearly, 4 far. With VERDICT_PREFERS only."""
    thumb: Thumb
    """Good or bad; of a single candidate."""
    rating: int | None
    """How good; 1 to 9, of a single candidate."""
    ranking: tuple[int, ...]
    """All candidates, best first; of three or more."""
    correction: Correction | None
    """A better answer."""
    rubric: Mapping[str, int]
    """Answers to the further questions of the review; 1 to 9 each."""
    rationale: str
    """Why, in words; at most 10,000 characters."""
    discard: DiscardReason
    """Why it cannot be judged; then nothing else is set but `rationale`."""


class VoteState(WireEnum):
    """Whether a vote counts."""

    UNSPECIFIED = "UNSPECIFIED"
    """Never used."""
    SUBMITTED = "SUBMITTED"
    """It counts."""
    DISCARDED = "DISCARDED"
    """The item could not be judged."""
    WITHDRAWN = "WITHDRAWN"
    """Its reviewer took it back."""
    RETRACTED = "RETRACTED"
    """An owner said that it must not be used."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Vote(Value):
    """One judgement of one reviewer."""

    name: str
    """`projects/{project}/votes/{vote}`."""
    state: VoteState
    """Whether it counts."""
    item: str
    """The item, `projects/{project}/reviews/{review}/items/{item}`; empty for feedback from an application."""
    prompt: Prompt | None
    """What was answered."""
    candidates: tuple[Candidate, ...]
    """The answers, in the order of the item."""
    judgement: Judgement | None
    """What was judged."""
    reviewer: str
    """Who judged, `projects/{project}/apiKeys/{key}`."""
    shown_order: tuple[int, ...]
    """The order in which the candidates were shown: the number of the first one, of the second one and so on."""
    create_time: datetime.datetime | None
    """When it was given."""
    active_seconds: float
    """Time spent, in seconds."""
    guidelines_version: int
    """The guidelines that its reviewer saw."""
    source: str
    """Where it comes from: `review`, or what the application said."""
    scripted: bool
    """Whether a program voted."""
    retraction_reason: str
    """Why it was retracted."""
    end_user: str
    """The application's own user who gave it, if the application said so; a pseudonym."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RetractVoteResponse(Value):
    """A retracted vote and what holds it."""

    vote: Vote | None
    """The vote."""
    feedback_sets: tuple[str, ...]
    """Feedback sets that hold it, `projects/{project}/feedbackSets/{feedback_set}`."""
    model_versions: tuple[str, ...]
    """Versions that learnt from it, and versions that were tuned from those."""
    open_jobs: tuple[str, ...]
    """Jobs that are not over and learn from it."""

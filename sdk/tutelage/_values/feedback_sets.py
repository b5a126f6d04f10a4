"""Feedback sets: votes made fit to train on."""

import dataclasses
import datetime

from tutelage._values.value import Value, WireEnum


class ConflictPolicy(WireEnum):
    """How votes that disagree become one."""

    UNSPECIFIED = "UNSPECIFIED"
    """MAJORITY."""
    MAJORITY = "MAJORITY"
    """What most say; nothing, if as many say the opposite."""
    UNANIMOUS = "UNANIMOUS"
    """Only what all say."""
    WEIGHTED = "WEIGHTED"
    """What most say, weighted by how far they agree."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SignalCounts(Value):
    """How many rows of a kind a set has."""

    pairs: int
    """Pairs of a chosen and a rejected answer, for DPO, IPO, SimPO, ORPO and reward models."""
    labels: int
    """Answers called good or bad, for KTO."""
    examples: int
    """Answers to learn from, for SFT."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FeedbackSet(Value):
    """Votes made fit to train on; it never changes."""

    name: str
    """`projects/{project}/feedbackSets/{feedback_set}`."""
    uid: str
    """A UUID that is never used again."""
    dataset: str
    """The dataset that holds it, `projects/{project}/datasets/{dataset}`, with the same id; jobs train on this."""
    reviews: tuple[str, ...]
    """Reviews whose votes it holds."""
    sources: tuple[str, ...]
    """Sources whose votes it holds."""
    policy: ConflictPolicy
    """How votes that disagreed became one."""
    votes: int
    """Votes that it was made of."""
    scripted_votes: int
    """Of those, votes of programs."""
    reviewers: int
    """Reviewers behind them."""
    items_left_out: int
    """Items whose votes left nothing to learn from: ties and conflicts."""
    train: SignalCounts | None
    """Rows for training."""
    validation: SignalCounts | None
    """Rows for validation."""
    sha256: str
    """SHA-256 of its rows, hexadecimal."""
    create_time: datetime.datetime | None
    """When it was made."""
    creator: str
    """Who made it, `projects/{project}/apiKeys/{key}`."""
    retracted_votes: int
    """Votes in it that were retracted since."""
    parent_set: str
    """The set that it was made of without retracted votes, if it was."""


class FeedbackFormat(WireEnum):
    """The rows that other tools read."""

    UNSPECIFIED = "UNSPECIFIED"
    """VOTES."""
    VOTES = "VOTES"
    """A row a vote, as it is in the ledger; reviewers by pseudonyms."""
    SFT = "SFT"
    """`prompt` and `completion`, or `messages`."""
    DPO = "DPO"
    """`prompt`, `chosen`, `rejected`."""
    KTO = "KTO"
    """`prompt`, `completion`, `label`."""
    OPENAI = "OPENAI"
    """`input`, `preferred_output`, `non_preferred_output`."""

"""Feedback sets: votes made fit to train on, which never change and know every vote in them.

The same votes and settings make the same bytes, whatever the order in which the votes are read. All rows of a prompt
are on one side, which the hash of the prompt decides: a prompt that is held out is held out of every later set, too.
"""

import dataclasses
import datetime
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from services.domain.answers import Prompt
from services.domain.conflicts import ConflictPolicy
from services.domain.datasets import SignalCounts
from services.domain.errors import FieldViolation, InvalidField
from services.domain.limits import GOOD_RATING_MIN, RATING_MAX, VALIDATION_SHARE_DEFAULT, VALIDATION_SHARE_MAX
from services.domain.signals import Scale

_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
"""Made once: to make one takes longer than to write a row."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FreezeSettings:
    """How votes become rows."""

    policy: ConflictPolicy = ConflictPolicy.MAJORITY
    validation_share: float = VALIDATION_SHARE_DEFAULT
    scale: Scale = Scale()

    def to_json(self) -> dict[str, Any]:
        """Return plain values that `from_json` turns back."""
        return dataclasses.asdict(self) | {"policy": self.policy.value}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> "FreezeSettings":
        """Return the settings behind plain values."""
        return cls(
            policy=ConflictPolicy(plain["policy"]),
            validation_share=plain["validation_share"],
            scale=Scale(**plain["scale"]),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scope:
    """Which votes a set is made of: those of reviews and of applications, or those of an earlier set.

    `reviews` are ids. Votes that repeat an item for the same reviewer are never in it: they measure the reviewer.
    """

    reviews: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    set_uid: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FeedbackSet:
    """Votes made fit to train on. Its rows are the bytes of the dataset with the same uid and id.

    `reviews` are resource names. `votes` counts all that were weighed, also those that left nothing to learn from.
    """

    project_id: str
    id: str
    uid: str
    reviews: tuple[str, ...]
    sources: tuple[str, ...]
    settings: FreezeSettings
    votes: int
    scripted_votes: int
    reviewers: int
    items_left_out: int
    train: SignalCounts
    validation: SignalCounts
    sha256: str
    create_time: datetime.datetime
    creator: str
    retracted_votes: int = 0
    parent_set: str = ""
    parent_set_uid: str | None = None

    @property
    def name(self) -> str:
        """Its resource name."""
        return f"projects/{self.project_id}/feedbackSets/{self.id}"

    @property
    def dataset(self) -> str:
        """Resource name of the dataset that holds its rows."""
        return f"projects/{self.project_id}/datasets/{self.id}"

    @property
    def policy(self) -> ConflictPolicy:
        """How votes that disagreed became one."""
        return self.settings.policy


def canonical(value: Any) -> str:
    """Return the one way in which a value is written as JSON here: keys in order, no spaces, characters as they are."""
    return _ENCODER.encode(value)


def plain_prompt(prompt: Prompt) -> Any:
    """Return a prompt as rows hold it: a text, or a list of objects with `role` and `content`."""
    if prompt.messages:
        return [{"role": each.role, "content": each.content} for each in prompt.messages]
    return prompt.text


def prompt_sha256(prompt: Prompt) -> str:
    """Return the hash by which a prompt is known, hexadecimal: that of its canonical form."""
    return hashlib.sha256(canonical(plain_prompt(prompt)).encode()).hexdigest()


def is_held_out(sha256: str, *, share: float) -> bool:
    """Whether the prompt with this hash is for validation: hashes are even, so about this share of prompts is."""
    return int(sha256[:16], 16) < share * 2**64


def held_out_count(prompts: Sequence[str], *, share: float) -> int:
    """Return how many of these prompts are for validation: the first of their hashes, which come in order, each once.

    With two prompts or more neither side is left empty, unless nothing is to be held out.
    """
    if share <= 0 or len(prompts) < 2:
        return 0
    return min(max(sum(is_held_out(each, share=share) for each in prompts), 1), len(prompts) - 1)


def settings_violations(settings: FreezeSettings) -> list[FieldViolation]:
    """Return what is wrong with the settings of a request."""
    wrong = []
    if not 0 <= settings.validation_share <= VALIDATION_SHARE_MAX:
        description = f"must be from 0 to {VALIDATION_SHARE_MAX}, got {settings.validation_share:g}"
        wrong.append(FieldViolation("validation_share", description))
    good, bad = settings.scale.good_rating, settings.scale.bad_rating
    if not GOOD_RATING_MIN <= good <= RATING_MAX:
        wrong.append(FieldViolation("good_rating", f"must be from {GOOD_RATING_MIN} to {RATING_MAX}, got {good}"))
    if not 1 <= bad < good:
        wrong.append(FieldViolation("bad_rating", f"must be at least 1 and below good_rating, {good}, got {bad}"))
    return wrong


def check_settings(settings: FreezeSettings) -> None:
    """Check the settings of a request. Raises: InvalidField with every wrong field."""
    wrong = settings_violations(settings)
    if wrong:
        raise InvalidField.of_all(wrong)

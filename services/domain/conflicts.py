"""How votes that disagree become one answer, by a policy that the set states.

A voter has one say to each question: what they said last. Whatever the policy, nothing is learnt from a question to
which two answers were given equally often.
"""

import collections
import dataclasses
import enum
from collections.abc import Sequence

_WEIGHT_DIGITS = 6  # enough for a million voters, and the same text on every machine


class Answer(enum.Enum):
    """What is said to a question: the first three of one text, the others of two in the order of the alphabet."""

    GOOD = "GOOD"
    BAD = "BAD"
    BETWEEN = "BETWEEN"
    FIRST = "FIRST"
    SECOND = "SECOND"
    EQUAL = "EQUAL"
    BOTH_BAD = "BOTH_BAD"


class ConflictPolicy(enum.Enum):
    """How votes that disagree become one."""

    MAJORITY = "MAJORITY"
    UNANIMOUS = "UNANIMOUS"
    WEIGHTED = "WEIGHTED"


@dataclasses.dataclass(frozen=True)
class Decision:
    """What was decided, and how much it weighs: above 0, at most 1."""

    answer: Answer
    weight: float


def decide(answers: Sequence[Answer], *, policy: ConflictPolicy) -> Decision | None:
    """Return what the voters say together, or None if they do not; `answers` has one of each voter, in any order.

    MAJORITY takes the answer that more voters gave than any other one, UNANIMOUS the one that all gave. WEIGHTED takes
    that of MAJORITY with a weight: the voters who gave it, less those who gave the next most common, divided by all.
    Bad votes are then worth little: with two of three on one side, the weight is a third.
    """
    (best, most), *others = collections.Counter(answers).most_common()
    next_most = others[0][1] if others else 0
    if most == next_most or (others and policy is ConflictPolicy.UNANIMOUS):
        return None
    weight = (most - next_most) / len(answers) if policy is ConflictPolicy.WEIGHTED else 1.0
    return Decision(best, round(weight, _WEIGHT_DIGITS))

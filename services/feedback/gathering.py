"""Reading the votes that count, in one snapshot of the ledger, and writing the rows that they make.

Prompts come in the order of their hashes. What is held out are the lowest ones, so that the rows of both parts are
written one after the other, and nothing but their lengths is kept in memory.
"""

import collections
import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from typing import IO

from services.domain.counting import counted
from services.domain.datasets import SignalCounts
from services.domain.errors import LimitReached
from services.domain.feedback_rows import PromptRows, rows_of_prompt
from services.domain.feedback_sets import FreezeSettings, Scope, held_out_count
from services.domain.limits import FROZEN_VOTES_MAX
from services.domain.reviews import Vote
from services.domain.row_counting import RowCounter
from services.domain.signals import kind_of
from services.ports import UnitOfWork

_VOTES_AT_ONCE = 500


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """One side of the split: how many bytes and rows it has."""

    size_bytes: int = 0
    counts: SignalCounts = SignalCounts()

    def __add__(self, other: "Part") -> "Part":
        """Return both together."""
        return Part(size_bytes=self.size_bytes + other.size_bytes, counts=self.counts + other.counts)


class Gathered:
    """What was read of the ledger; `prompts` are those that have rows, in the order in which these were written."""

    def __init__(self) -> None:
        self.vote_uids: list[str] = []
        self.scripted_votes = 0
        self.reviewers: set[str] = set()
        self.kinds: collections.Counter[str] = collections.Counter()
        self.items_left_out = 0
        self.rows = RowCounter()
        self.prompts: list[tuple[str, Part]] = []

    def count_vote(self, vote: Vote) -> None:
        """Count a vote that was read."""
        self.vote_uids.append(vote.uid)
        self.scripted_votes += vote.scripted
        self.reviewers.add(vote.reviewer)
        self.kinds[kind_of(vote.judgement)] += 1

    def split(self, *, share: float) -> tuple[Part, Part]:
        """Return the training part and the validation part, which is what was written first."""
        held = held_out_count([sha256 for sha256, _ in self.prompts], share=share)
        parts = [part for _, part in self.prompts]
        return sum(parts[held:], Part()), sum(parts[:held], Part())


def gather(uow: UnitOfWork, *, project_id: str, scope: Scope, settings: FreezeSettings, into: IO[bytes]) -> Gathered:
    """Read the votes of a scope that count now, and write the rows that they make, a line each.

    Raises: LimitReached for more votes than a set may hold.
    """
    found = uow.feedback_sets.counting(project_id, scope, count_max=FROZEN_VOTES_MAX + 1)
    if len(found) > FROZEN_VOTES_MAX:
        words = f"there are more than {counted(FROZEN_VOTES_MAX, 'vote')}; freeze fewer reviews or applications at once"
        raise LimitReached(words, metadata={"limit": "frozen_votes_max", "value": str(FROZEN_VOTES_MAX)})
    gathered = Gathered()
    for sha256, votes in itertools.groupby(_read(uow, found), key=lambda each: each[0]):
        of_prompt = [vote for _, vote in votes]
        for vote in of_prompt:
            gathered.count_vote(vote)
        made = rows_of_prompt(of_prompt, settings=settings)
        gathered.items_left_out += made.items_left_out
        if made.lines:
            gathered.prompts.append((sha256, _write(made, gathered, into)))
    return gathered


def _read(uow: UnitOfWork, found: Sequence[tuple[str, int]]) -> Iterator[tuple[str, Vote]]:
    for first in range(0, len(found), _VOTES_AT_ONCE):
        batch = found[first : first + _VOTES_AT_ONCE]
        votes = {vote.seq: vote for vote in uow.votes.of_seqs([seq for _, seq in batch])}
        yield from ((sha256, votes[seq]) for sha256, seq in batch)


def _write(made: PromptRows, gathered: Gathered, into: IO[bytes]) -> Part:
    for texts in made.texts:
        gathered.rows.add(texts)
    size_bytes = sum(into.write(f"{line}\n".encode()) for line in made.lines)
    return Part(size_bytes=size_bytes, counts=made.counts)

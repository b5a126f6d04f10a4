"""What verbs may ask of the keeper of feedback sets."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from services.domain.feedback_sets import FeedbackSet, Scope
from services.domain.pages import Page


class FeedbackSets(Protocol):
    """Keeps feedback sets and which votes are in them, and reads the ledger for new ones."""

    def add(self, noun: FeedbackSet, *, vote_uids: Collection[str]) -> None:
        """Keep a new set, whose dataset was added before, and every vote in it. Raises: AlreadyExists."""
        ...

    def find(self, project_id: str, set_id: str) -> FeedbackSet | None: ...

    def find_by_uid(self, uid: str) -> FeedbackSet | None: ...

    def children(self, uid: str) -> Sequence[FeedbackSet]:
        """Return the sets that were made of this one without retracted votes, oldest first."""
        ...

    def page(self, project_id: str, *, page: Page) -> Sequence[FeedbackSet]:
        """Return at most `page.size` + 1 sets, in the order of (create_time, uid)."""
        ...

    def ids(self, project_id: str) -> Sequence[str]: ...

    def with_vote(self, vote_uid: str) -> Sequence[FeedbackSet]:
        """Return the sets that hold a vote, oldest first."""
        ...

    def counting(self, project_id: str, scope: Scope, *, count_max: int) -> Sequence[tuple[str, int]]:
        """Return the votes in a scope that count now, as hashes of prompts and numbers of votes, in that order."""
        ...

    def not_counting(self, project_id: str, scope: Scope) -> Mapping[str, int]:
        """Return how many votes in a scope do not count, by what they are."""
        ...

    def seqs_in(self, uid: str) -> Sequence[int]:
        """Return the numbers of all votes in a set, in their order."""
        ...

    def changed_in(self, uid: str) -> int:
        """Return how many votes in a set do not count any more."""
        ...

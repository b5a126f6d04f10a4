"""What verbs may ask of the keepers of reviews, of seats and of the ledger of votes."""

import datetime
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from services.domain.answers import AnswersDrawn
from services.domain.jobs import Job
from services.domain.judgements import Judgement
from services.domain.pages import Page
from services.domain.reviews import Review, ReviewerProgress, ReviewItem, ReviewProgress, Seat, Vote, VoteState


class Reviews(Protocol):
    """Keeps reviews and their items."""

    def add(self, new: Review) -> None:
        """Keep a new review, whose job was added before. Raises: AlreadyExists."""
        ...

    def find(self, project_id: str, review_id: str) -> Review | None: ...

    def find_by_uid(self, uid: str) -> Review | None: ...

    def find_by_job(self, job_uid: str) -> Review | None:
        """Return the review that a job draws for, if it draws for one."""
        ...

    def lock(self, uid: str) -> Review | None:
        """Return a review, and hold its row: whoever moves an item to the end of the queue must."""
        ...

    def save(self, changed: Review) -> None: ...

    def ids(self, project_id: str) -> Sequence[str]: ...

    def page(self, project_id: str, *, page: Page) -> Sequence[Review]:
        """Return at most `page.size` + 1 reviews of a project, in the order of (create_time, uid)."""
        ...

    def open_for(self, project_id: str, *, reviewer: str) -> Sequence[Review]:
        """Return the newest reviews that take votes and that a key may work on; at most 100."""
        ...

    def progress(self, uids: Collection[str], *, now: datetime.datetime) -> Mapping[str, ReviewProgress]: ...

    def guidelines(self, uid: str, *, version: int) -> str | None:
        """Return the guidelines as they were."""
        ...

    def raise_overlap(self, uid: str, *, by: int) -> None:
        """Let more reviewers vote on each item; the row must be held."""
        ...

    def add_items(self, of: Job, drawn: AnswersDrawn) -> None:
        """Keep the items that answers make, if a review waits for them; those that are there stay as they are."""
        ...

    def add_item(self, item: ReviewItem) -> None:
        """Keep what an application has sent: an item without a review."""
        ...

    def find_item(self, uid: str, *, number: int) -> ReviewItem | None: ...

    def page_items(self, uid: str, *, page: Page) -> Sequence[ReviewItem]:
        """Return at most `page.size` + 1 items of a review, in the order of their numbers.

        Of long ones, no more than a message holds and one that is beyond it.
        """
        ...

    def set_gold(self, item_uid: str, gold: Judgement | None) -> None: ...

    def golds(self, uid: str) -> Mapping[str, Judgement]:
        """Return the right answers of the gold items of a review, by the uids of the items."""
        ...


class Seats(Protocol):
    """Keeps seats. Rows are held in this order: the reviewer's progress, the review, items, seats."""

    def lock_reviewer(self, review_uid: str, *, reviewer: str) -> ReviewerProgress: ...

    def find_reviewer(self, review_uid: str, *, reviewer: str) -> ReviewerProgress: ...

    def save_reviewer(self, review_uid: str, *, reviewer: str, progress: ReviewerProgress) -> None: ...

    def find(self, project_id: str, *, review_id: str, uid: str, reviewer: str) -> Seat | None:
        """Return a reviewer's own seat."""
        ...

    def find_by_uid(self, uid: str) -> Seat | None: ...

    def of_item(self, item_uid: str, *, reviewer: str, repeat: bool) -> Seat | None: ...

    def held(self, review_uid: str, *, reviewer: str) -> Sequence[Seat]:
        """Return the seats that a reviewer holds, in the order in which they were taken."""
        ...

    def renew(self, uids: Collection[str], *, expire_time: datetime.datetime, guidelines_version: int) -> None:
        """Prolong the leases of seats that are held."""
        ...

    def lost(self, review_uid: str, *, reviewer: str, count_max: int) -> Sequence[Seat]:
        """Return seats that a reviewer lost and can have again, and hold their items."""
        ...

    def waiting(self, review_uid: str, *, reviewer: str, due: int | None, count_max: int) -> Sequence[Seat]:
        """Return repetitions that have come due after so many votes, or all of them, the oldest first."""
        ...

    def first_free(self, review_uid: str, *, reviewer: str, after: int) -> int | None:
        """Return the place in the queue of the first item that a reviewer could still judge."""
        ...

    def lock_free(
        self, review_uid: str, *, reviewer: str, after: int, count_max: int, wait: bool = False
    ) -> Sequence[ReviewItem]:
        """Return items with a free seat that a reviewer could judge, and hold them."""
        ...

    def lock_item(self, item_uid: str) -> int:
        """Return how many seats of an item are free, and hold the item."""
        ...

    def places_taken(self, item_uids: Collection[str]) -> Mapping[str, Collection[int]]: ...

    def own_seats(self, item_uids: Collection[str], *, reviewer: str) -> Mapping[str, Seat]:
        """Return the seats that a reviewer had at items before, by the uids of the items."""
        ...

    def take_places(self, item_uids: Collection[str]) -> None: ...

    def free_place(self, item: ReviewItem) -> None:
        """Count one seat of an item as free, and put it at the end of the queue; review and item must be held."""
        ...

    def add(self, new: Seat) -> None: ...

    def save(self, changed: Seat) -> None: ...

    def save_held(self, changed: Seat) -> bool:
        """Write a seat if it is held still, and return whether it was."""
        ...

    def expired_in(self, *, now: datetime.datetime, count_max: int) -> Sequence[str]:
        """Return the uids of reviews with seats whose lease is over."""
        ...

    def lock_expired(self, review_uid: str, *, now: datetime.datetime, count_max: int) -> Sequence[Seat]:
        """Return seats whose lease is over, and hold their items; the review must be held."""
        ...

    def lose(self, lost: Seat, *, now: datetime.datetime) -> bool:
        """Take a seat away if its lease is over still, and return whether that was so."""
        ...

    def count_left(self, review_uid: str, *, reviewer: str, after: int, exact_max: int, count_max: int) -> int:
        """Return how many items a reviewer could take beside those held: exactly if few, and at most `count_max`."""
        ...

    def count_waiting(self, review_uid: str, *, reviewer: str) -> int:
        """Return how many repetitions are still to come."""
        ...


class Votes(Protocol):
    """Keeps the ledger: votes are added and never changed."""

    def add(self, new: Vote) -> Vote:
        """Keep a new vote, whose item was kept before, and return it with its number in the ledger."""
        ...

    def find(self, project_id: str, uid: str) -> Vote | None: ...

    def change(self, uid: str, *, state: VoteState, actor: str, reason: str, time: datetime.datetime) -> bool:
        """Say of a vote that it was withdrawn or retracted; return whether nobody had said so before."""
        ...

    def page(self, project_id: str, *, page: Page, review_uid: str | None = None, source: str = "") -> Sequence[Vote]:
        """Return at most `page.size` + 1 votes of a project, of a review or from a source, in the order of `seq`.

        Of long ones, here and below, no more than a message holds and one that is beyond it.
        """
        ...

    def page_of_reviewer(self, review_uid: str, *, reviewer: str, page: Page) -> Sequence[Vote]: ...

    def read(
        self,
        project_id: str,
        *,
        after: int,
        count_max: int,
        review_uids: Collection[str] = (),
        sources: Collection[str] = (),
        counting: bool = True,
    ) -> Sequence[Vote]:
        """Return votes of these reviews and of applications with these sources, after a `seq`, in order."""
        ...

    def of_seqs(self, seqs: Collection[int]) -> Sequence[Vote]:
        """Return the votes with these numbers in the ledger, in their order."""
        ...

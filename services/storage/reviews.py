"""Keeper of reviews and of their items."""

import contextlib
import dataclasses
import datetime
import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from services.domain.answers import AnswersDrawn
from services.domain.errors import AlreadyExists
from services.domain.feedback_sets import prompt_sha256
from services.domain.job_states import JobState
from services.domain.jobs import Job
from services.domain.judgements import Judgement, ReviewKind
from services.domain.pages import Page
from services.domain.plain import from_plain, to_plain
from services.domain.review_items import items_of
from services.domain.reviews import WORKED_ON, Review, ReviewItem, ReviewProgress, RubricQuestion
from services.domain.work import DrawSpec, work_from_json
from services.storage.judged import candidates_from_json, prompt_from_json
from services.storage.paging import page_of, read_long
from services.storage.tables.jobs import job
from services.storage.tables.reviews import (
    HELD_SQL,
    review,
    review_guidelines,
    review_item,
    review_reviewer,
    seat,
    vote,
    vote_change,
)

OPEN_REVIEWS_MAX = 100
_HELD = sa.text(HELD_SQL)
_CHANGING = ("overlap", "guidelines", "guidelines_version", "closed", "update_time")


class Reviews:
    """A row a review, and a row an item. See `services.ports.Reviews`."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert

    def add(self, new: Review) -> None:
        """Keep a new review, whose job was added before. Raises: AlreadyExists."""
        values = {column.name: getattr(new, column.name, None) for column in review.columns}
        values |= {"kind": new.kind.value, "draw": new.draw.to_json(), "reviewers": list(new.reviewers)}
        values |= {"rubric": [to_plain(question) for question in new.rubric], "next_position": 1}
        try:
            self._connection.execute(sa.insert(review).values(values))
        except sa.exc.IntegrityError as error:
            raise AlreadyExists.of(new.name) from error
        self._keep_guidelines(new)

    def find(self, project_id: str, review_id: str) -> Review | None:
        """Return a review by its id."""
        return self._one(_NAMED, {"at_project": project_id, "at_id": review_id})

    def find_by_uid(self, uid: str) -> Review | None:
        """Return a review by its uid."""
        return self._one(_OF_UID, {"at_uid": uid})

    def find_by_job(self, job_uid: str) -> Review | None:
        """Return the review that a job draws for, if it draws for one."""
        return self._one(_OF_JOB, {"at_uid": job_uid})

    def lock(self, uid: str) -> Review | None:
        """Return a review, and hold its row: whoever moves an item to the end of the queue must."""
        locked = sa.select(review.c.uid).where(review.c.uid == uid).with_for_update(key_share=True)
        self._connection.execute(locked)
        return self.find_by_uid(uid)

    def save(self, changed: Review) -> None:
        """Write what may change of a review."""
        values = {name: getattr(changed, name) for name in _CHANGING}
        self._connection.execute(sa.update(review).where(review.c.uid == changed.uid).values(values))
        self._keep_guidelines(changed)

    def ids(self, project_id: str) -> Sequence[str]:
        """Return the ids in use; at most 1000, newest first."""
        query = sa.select(review.c.id).where(review.c.project_id == project_id)
        return self._connection.execute(query.order_by(review.c.create_time.desc()).limit(1000)).scalars().all()

    def page(self, project_id: str, *, page: Page) -> Sequence[Review]:
        """Return at most `page.size` + 1 reviews of a project, in the order of (create_time, uid)."""
        query = _reviews().where(review.c.project_id == project_id)
        return self._all(page_of(query, page, review.c.create_time, review.c.uid))

    def open_for(self, project_id: str, *, reviewer: str) -> Sequence[Review]:
        """Return the newest reviews that take votes and that a key may work on; at most 100."""
        query = _reviews().where(review.c.project_id == project_id, review.c.closed.is_(False))
        query = query.order_by(review.c.create_time.desc(), review.c.uid.desc())
        rows = self._connection.execute(query.execution_options(yield_per=OPEN_REVIEWS_MAX)).mappings()
        with contextlib.closing(rows):
            theirs = (found for found in map(_noun, rows) if found.is_for(reviewer) and found.state in WORKED_ON)
            return list(itertools.islice(theirs, OPEN_REVIEWS_MAX))

    def progress(self, uids: Collection[str], *, now: datetime.datetime) -> Mapping[str, ReviewProgress]:
        """Return how far reviews have come."""
        # PostgreSQL adds up whole numbers to decimal ones.
        return {
            row.uid: ReviewProgress(
                items=row.items,
                items_done=row.full - row.full_held,
                votes=int(row.votes - row.retracted),
                votes_wanted=max(int(row.items * row.overlap - row.votes - row.discards), 0),
                reviewers=int(row.reviewers),
                seats_held=row.held,
            )
            for row in self._connection.execute(_progress(uids, now=now))
        }

    def guidelines(self, uid: str, *, version: int) -> str | None:
        """Return the guidelines as they were."""
        kept = sa.and_(review_guidelines.c.review_uid == uid, review_guidelines.c.version == version)
        return self._connection.execute(sa.select(review_guidelines.c.text).where(kept)).scalar_one_or_none()

    def raise_overlap(self, uid: str, *, by: int) -> None:
        """Let more reviewers vote on each item. Items that were full go to the end; the row must be held."""
        full = review_item.c.free_seats == 0
        last = sa.select(review.c.next_position).where(review.c.uid == uid).scalar_subquery()
        moved = sa.case((full, review_item.c.position + last), else_=review_item.c.position)
        update = sa.update(review_item).where(review_item.c.review_uid == uid)
        self._connection.execute(update.values(free_seats=review_item.c.free_seats + by, position=moved))
        self._connection.execute(
            sa.update(review).where(review.c.uid == uid).values(next_position=2 * review.c.next_position)
        )

    def add_items(self, of: Job, drawn: AnswersDrawn) -> None:
        """Keep the items that answers make, if a review waits for them; those that are there stay as they are."""
        found = self.find_by_job(of.uid)
        held = found and self.lock(found.uid)
        items = list(items_of(held, drawn)) if held else []
        if held is None or not items:
            return
        query = sa.select(review.c.next_position).where(review.c.uid == held.uid)
        position = self._connection.execute(query).scalar_one()
        rows = [_item_row(item, position + place, free=held.overlap) for place, item in enumerate(items)]
        insert = self._insert(review_item).values(rows).on_conflict_do_nothing().returning(review_item.c.uid)
        added = len(self._connection.execute(insert).all())
        counted = {"items": review.c["items"] + added, "next_position": position + len(items)}
        self._connection.execute(sa.update(review).where(review.c.uid == held.uid).values(counted))

    def add_item(self, item: ReviewItem) -> None:
        """Keep what an application has sent: an item without a review."""
        assert item.review_uid is None
        self._connection.execute(sa.insert(review_item).values(_item_row(item, 0, free=0)))

    def find_item(self, uid: str, *, number: int) -> ReviewItem | None:
        """Return an item of a review by its number."""
        query = _items(uid).where(review_item.c.number == number)
        row = self._connection.execute(query).one_or_none()
        return None if row is None else _item(row)

    def page_items(self, uid: str, *, page: Page) -> Sequence[ReviewItem]:
        """Return at most `page.size` + 1 items of a review, in the order of their numbers.

        Of long ones, no more than a message holds and one that is beyond it.
        """
        return read_long(self._connection, page_of(_items(uid), page, review_item.c.number), _item)

    def set_gold(self, item_uid: str, gold: Judgement | None) -> None:
        """Write the right answer of an item, candidates counted in the order of the item."""
        value = None if gold is None else to_plain(gold)
        self._connection.execute(sa.update(review_item).where(review_item.c.uid == item_uid).values(gold=value))

    def golds(self, uid: str) -> Mapping[str, Judgement]:
        """Return the right answers of the gold items of a review, by the uids of the items."""
        query = sa.select(review_item.c.uid, review_item.c.gold)
        known = sa.and_(review_item.c.review_uid == uid, review_item.c.gold.is_not(None))
        return {row.uid: from_plain(Judgement, row.gold) for row in self._connection.execute(query.where(known))}

    def _keep_guidelines(self, of: Review) -> None:
        values = {"review_uid": of.uid, "version": of.guidelines_version, "text": of.guidelines}
        kept = self._insert(review_guidelines).values({**values, "create_time": of.update_time})
        self._connection.execute(kept.on_conflict_do_nothing())

    def _one(self, query: sa.Select[Any], where: Mapping[str, Any]) -> Review | None:
        row = self._connection.execute(query, where).mappings().one_or_none()
        return None if row is None else _noun(row)

    def _all(self, query: sa.Select[Any]) -> list[Review]:
        return [_noun(row) for row in self._connection.execute(query).mappings()]


def _reviews() -> sa.Select[Any]:
    joined = review.join(job, job.c.uid == review.c.job_uid)
    return sa.select(review, job.c.id.label("job_id"), job.c.state.label("job_state")).select_from(joined)


# Asked by every call of a reviewer, and so put together once.
_UID: Any = sa.bindparam("at_uid")
_NAMED = _reviews().where(review.c.project_id == sa.bindparam("at_project"), review.c.id == sa.bindparam("at_id"))
_OF_UID = _reviews().where(review.c.uid == _UID)
_OF_JOB = _reviews().where(review.c.job_uid == _UID)


def _noun(row: Mapping[Any, Any]) -> Review:
    values = {str(name): value for name, value in row.items() if name != "next_position"}
    spec = work_from_json("draw", row["draw"])
    assert isinstance(spec, DrawSpec)
    values |= {"kind": ReviewKind(row["kind"]), "job_state": JobState(row["job_state"]), "draw": spec}
    values["rubric"] = tuple(from_plain(RubricQuestion, question) for question in row["rubric"])
    values["reviewers"] = tuple(row["reviewers"])
    return Review(**values)


def _items(uid: str) -> sa.Select[Any]:
    """Return the query for the items of a review, with how many votes of each count."""
    counted = (
        sa.select(sa.func.count())
        .select_from(vote)
        .where(vote.c.item_uid == review_item.c.uid, vote.c.state == "SUBMITTED", vote.c.repeat.is_(False))
        .where(~sa.exists().where(vote_change.c.vote_uid == vote.c.uid))
    )
    columns: list[Any] = [review_item, review.c.id.label("review_id"), counted.scalar_subquery().label("votes")]
    joined = review_item.join(review, review.c.uid == review_item.c.review_uid)
    return sa.select(*columns).select_from(joined).where(review_item.c.review_uid == uid)


def _item(row: Any) -> ReviewItem:
    return ReviewItem(
        uid=row.uid,
        project_id=row.project_id,
        prompt=prompt_from_json(row.prompt),
        candidates=candidates_from_json(row.candidates),
        review_uid=row.review_uid,
        review_id=row.review_id,
        number=row.number,
        gold=None if row.gold is None else from_plain(Judgement, row.gold),
        votes=row.votes,
    )


def _item_row(item: ReviewItem, position: int, *, free: int) -> dict[str, Any]:
    return {
        "uid": item.uid,
        "project_id": item.project_id,
        "review_uid": item.review_uid,
        "number": item.number,
        "position": position,
        "free_seats": free,
        "prompt": to_plain(item.prompt),
        "prompt_sha256": prompt_sha256(item.prompt),
        "candidates": [dataclasses.asdict(candidate) for candidate in item.candidates],
        "gold": None,
    }


def _progress(uids: Iterable[str], *, now: datetime.datetime) -> sa.Select[Any]:
    """Return the query for the counts of reviews; those of reviewers are counters, so that no vote is looked at."""
    ours = review_reviewer.c.review_uid == review.c.uid
    totals = {
        "votes": sa.func.coalesce(sa.func.sum(review_reviewer.c.votes), 0),
        "discards": sa.func.coalesce(sa.func.sum(review_reviewer.c.discards), 0),
        "reviewers": sa.func.coalesce(sa.func.sum(sa.case((review_reviewer.c.votes > 0, 1), else_=0)), 0),
    }
    items = sa.and_(review_item.c.review_uid == review.c.uid, review_item.c.free_seats == 0)
    held = sa.and_(seat.c.review_uid == review.c.uid, _HELD, seat.c.expire_time > now)
    full_held = sa.and_(seat.c.review_uid == review.c.uid, sa.text("seat." + HELD_SQL), seat.c.repeat.is_(False))
    retracted = sa.and_(
        vote_change.c.state == "RETRACTED",
        vote.c.review_uid == review.c.uid,
        vote.c.state == "SUBMITTED",
        vote.c.repeat.is_(False),
    )
    count = sa.func.count()
    parts = {
        **{name: sa.select(total).where(ours) for name, total in totals.items()},
        "full": sa.select(count).select_from(review_item).where(items),
        "held": sa.select(count).select_from(seat).where(held),
        "full_held": sa.select(sa.func.count(sa.distinct(seat.c.item_uid)))
        .select_from(seat.join(review_item, review_item.c.uid == seat.c.item_uid))
        .where(full_held, review_item.c.free_seats == 0),
        "retracted": sa.select(count)
        .select_from(
            vote_change.join(vote, vote.c.uid == vote_change.c.vote_uid).join(seat, seat.c.vote_uid == vote.c.uid)
        )
        .where(retracted),
    }
    columns = [part.scalar_subquery().label(name) for name, part in parts.items()]
    return sa.select(review.c.uid, review.c["items"], review.c.overlap, *columns).where(review.c.uid.in_(list(uids)))

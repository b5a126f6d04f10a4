"""Keeps duels, the pairs that they compare, and counts what was said of them."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from services.domain.answers import AnswersDrawn
from services.domain.drawing import Checker, DrawOptions
from services.domain.duels import Duel, DuelJudge, PairVotes, Tally, pairs_of
from services.domain.errors import AlreadyExists
from services.domain.jobs import Job
from services.domain.judgements import Verdict
from services.domain.pages import Page
from services.domain.plain import from_plain, to_plain
from services.domain.reviews import VoteState
from services.storage.paging import page_of
from services.storage.tables.duels import duel, duel_pair
from services.storage.tables.reviews import review, vote, vote_change

_SUBMITTED = vote.c.state == VoteState.SUBMITTED.value
_verdict = sa.func.coalesce(vote.c.judgement["verdict"].as_string(), "")
_PREFERS = sa.and_(_SUBMITTED, _verdict == Verdict.PREFERS.value)
_SAID = {
    "wins": sa.and_(_PREFERS, vote.c.judgement["preferred"].as_integer() == 1),
    "losses": sa.and_(_PREFERS, vote.c.judgement["preferred"].as_integer() == 0),
    "ties": sa.and_(_SUBMITTED, _verdict != Verdict.PREFERS.value),
    "discards": vote.c.state == VoteState.DISCARDED.value,
}
_PLAIN = frozenset(column.name for column in duel.columns) - {"judge", "checker", "options", "reviewers"}


class Duels:
    """See `services.ports.Duels`."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def add(self, new: Duel) -> None:
        """Keep a new duel. Raises: AlreadyExists."""
        try:
            self._connection.execute(sa.insert(duel).values(_values(new)))
        except sa.exc.IntegrityError as error:
            raise AlreadyExists.of(new.name) from error

    def find(self, project_id: str, duel_id: str) -> Duel | None:
        """Return a duel without its result."""
        query = sa.select(duel).where(duel.c.project_id == project_id, duel.c.id == duel_id)
        return next(self._read(query), None)

    def ids(self, project_id: str, *, count_max: int = 1000) -> Sequence[str]:
        """Return the ids in use, newest first."""
        query = sa.select(duel.c.id).where(duel.c.project_id == project_id).order_by(duel.c.create_time.desc())
        return self._connection.execute(query.limit(count_max)).scalars().all()

    def page(self, project_id: str, *, page: Page) -> Sequence[Duel]:
        """Return at most `page.size` + 1 duels without their results, in the order of (create_time, uid)."""
        query = sa.select(duel).where(duel.c.project_id == project_id)
        return list(self._read(page_of(query, page, duel.c.create_time, duel.c.uid)))

    def between(self, project_id: str, *, version: str, other: str, count_max: int) -> Sequence[Duel]:
        """Return the duels of two versions, whoever challenged, newest first and without their results."""
        pairs = [(version, other), (other, version)]
        sides = sa.or_(*(sa.and_(duel.c.challenger == one, duel.c.champion == two) for one, two in pairs))
        query = sa.select(duel).where(duel.c.project_id == project_id, sides)
        return list(self._read(query.order_by(duel.c.create_time.desc(), duel.c.uid.desc()).limit(count_max)))

    def add_pairs(self, job: Job, drawn: AnswersDrawn) -> None:
        """Keep what a job drew for its duel, if it draws for one; what is there already stays as it is."""
        found = next(self._read(sa.select(duel).where(duel.c.job_uid == job.uid)), None)
        if found is None:
            return
        rows = [{"duel_uid": found.uid, **dataclasses.asdict(pair)} for pair in pairs_of(drawn, judge=found.judge)]
        dialect = postgresql if self._connection.dialect.name == "postgresql" else sqlite
        if rows:
            self._connection.execute(dialect.insert(duel_pair).values(rows).on_conflict_do_nothing())

    def drawn(self, duel_uid: str) -> tuple[int, int]:
        """Return how many pairs are there, and in how many of them both answers are the same."""
        same = sa.func.count().filter(duel_pair.c.same)
        query = sa.select(sa.func.count(), same).where(duel_pair.c.duel_uid == duel_uid)
        pairs, alike = self._connection.execute(query).one()
        return pairs, alike

    def tally_scores(self, duel_uid: str) -> Tally:
        """Count pairs by their scores."""
        one, other = duel_pair.c.champion_score, duel_pair.c.challenger_score
        count = sa.func.count
        query = sa.select(
            count().filter(other > one).label("wins"),
            count().filter(other < one).label("losses"),
            count().filter(other == one).label("ties"),
            count(other).label("judged"),
            sa.func.avg(one).label("champion_score"),
            sa.func.avg(other).label("challenger_score"),
        )
        return Tally(**self._connection.execute(query.where(duel_pair.c.duel_uid == duel_uid)).mappings().one())

    def review_terms(self, review_uid: str) -> tuple[int, bool]:
        """Return how many votes are wanted of each pair, and whether no more are taken."""
        query = sa.select(review.c.overlap, review.c.closed).where(review.c.uid == review_uid)
        overlap, closed = self._connection.execute(query).one()
        return overlap, closed

    def pair_votes(self, review_uid: str) -> Mapping[PairVotes, int]:
        """Count the pairs on which was voted in the same way; the challenger's answer is the second candidate.

        Votes that were taken back or retracted do not count, and neither do those on pairs that came again unsaid.
        """
        gone = sa.exists().where(vote_change.c.vote_uid == vote.c.uid)
        counting = (vote.c.review_uid == review_uid, ~vote.c["repeat"], ~gone)
        pairs = sa.select(*(_votes_for(what) for what in _SAID)).where(*counting).group_by(vote.c.item_uid).subquery()
        query = sa.select(*pairs.c, sa.func.count().label("pairs")).group_by(*pairs.c)
        return {PairVotes(*row[:-1]): row.pairs for row in self._connection.execute(query)}

    def _read(self, query: sa.Select[Any]) -> Iterator[Duel]:
        return (_duel(row) for row in self._connection.execute(query).mappings())


def _votes_for(what: str) -> sa.Label[int]:
    """Return the count of the votes on a pair that say this."""
    return sa.func.count().filter(_SAID[what]).label(what)


def _values(new: Duel) -> dict[str, Any]:
    values = {name: getattr(new, name) for name in _PLAIN}
    checker = to_plain(new.checker) if new.checker else None
    return values | {
        "judge": new.judge.value,
        "checker": checker,
        "options": to_plain(new.options),
        "reviewers": list(new.reviewers),
    }


def _duel(row: Mapping[Any, Any]) -> Duel:
    plain = {name: row[name] for name in _PLAIN}
    return Duel(
        **plain,
        judge=DuelJudge(row["judge"]),
        checker=from_plain(Checker, row["checker"]) if row["checker"] else None,
        options=from_plain(DrawOptions, row["options"]),
        reviewers=tuple(row["reviewers"]),
    )

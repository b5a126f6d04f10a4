"""Reads the votes of a review that count, as far as numbers need them."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from services.domain.judgements import Judgement, Thumb, Verdict
from services.domain.review_stats import CountedVote, JudgedItem
from services.domain.reviews import VoteState
from services.storage.tables.reviews import review_item, vote, vote_change

_AT_ONCE = 1000  # rows in memory: a candidate, or a correction of one, may have 100,000 characters


class CountedVotes:
    """See `services.ports.CountedVotes`."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def of_review(self, review_uid: str) -> Sequence[CountedVote]:
        """Return the votes of a review that count, silent repetitions too, in the order of the ledger."""
        items = self._items(review_uid)
        columns = (
            vote.c.item_uid,
            vote.c.reviewer,
            vote.c.judgement,
            vote.c.shown_order,
            vote.c.active_seconds,
            vote.c["repeat"],
        )
        changed = sa.exists().where(vote_change.c.vote_uid == vote.c.uid)
        query = sa.select(*columns).where(vote.c.review_uid == review_uid, ~changed)
        query = query.where(vote.c.state == VoteState.SUBMITTED.value).order_by(vote.c.seq)
        return [
            CountedVote(
                item=items[row.item_uid],
                reviewer=row.reviewer,
                judgement=choice_of(row.judgement),
                shown_order=tuple(row.shown_order),
                active_seconds=row.active_seconds,
                repeat=row.repeat,
            )
            for row in self._read(query)
        ]

    def _items(self, review_uid: str) -> Mapping[str, JudgedItem]:
        """Return the items of a review that have votes, by uid; their texts are measured and let go."""
        voted = sa.exists().where(vote.c.item_uid == review_item.c.uid)
        columns = (review_item.c.uid, review_item.c.number, review_item.c.candidates, review_item.c.gold)
        query = sa.select(*columns).where(review_item.c.review_uid == review_uid, voted)
        return {
            row.uid: JudgedItem(
                number=row.number,
                versions=tuple(candidate["model_version"] for candidate in row.candidates),
                lengths=tuple(len(candidate["text"]) for candidate in row.candidates),
                gold=choice_of(row.gold) if row.gold else None,
            )
            for row in self._read(query)
        }

    def _read(self, query: sa.Select[Any]) -> Iterator[sa.Row[Any]]:
        yield from self._connection.execute(query.execution_options(yield_per=_AT_ONCE))


def choice_of(plain: Mapping[str, Any]) -> Judgement:
    """Return what a judgement chooses, without its words: there are few such, and each is made once."""
    ranking = tuple(plain.get("ranking") or ())
    return _choice(plain.get("verdict"), plain.get("preferred"), plain.get("thumb"), plain.get("rating"), ranking)


@functools.lru_cache(maxsize=10_000)
def _choice(
    verdict: str | None, preferred: int | None, thumb: str | None, rating: int | None, ranking: tuple[int, ...]
) -> Judgement:
    return Judgement(
        verdict=Verdict(verdict) if verdict else None,
        preferred=preferred,
        thumb=Thumb(thumb) if thumb else None,
        rating=rating,
        ranking=ranking,
    )

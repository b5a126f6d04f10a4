"""Finds how things belong together: what was made of what, one step in either direction."""

import collections
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from services.domain.lineage import (
    DRAWN,
    FROZEN,
    FROZEN_AGAIN,
    PROMOTED,
    PUBLISHED,
    VOTES,
    Key,
    Link,
    Place,
    Relation,
    is_told,
)
from services.domain.names import ALIAS, JOB, MODEL_VERSION, REVIEW
from services.storage.tables.aliases import alias
from services.storage.tables.duels import duel
from services.storage.tables.feedback import feedback_set, feedback_set_vote
from services.storage.tables.jobs import job
from services.storage.tables.lineage import job_source
from services.storage.tables.models import model, model_version
from services.storage.tables.reviews import review

AT_ONCE = 500  # values of one IN list; SQLite takes 32,766 in a statement
_TOLD = [relation.value for relation in Relation if is_told(relation)]


class LineageLinks:
    """Finds what a thing was made of, and what was made of it."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def links_up(self, project_id: str, keys: Collection[Key]) -> Sequence[Link]:
        """Return what these things of a project were made of directly."""
        ids = ids_by_place(keys)
        return [
            *self._sources_of(project_id, ids[Place.JOB]),
            *self._publishers(project_id, ids[Place.MODEL_VERSION]),
            *self._versions_of_aliases(project_id, ids[Place.ALIAS]),
            *self._reviews_of_sets(project_id, ids[Place.DATASET]),
            *self._linked(_PARENT_SETS, feedback_set.c.uid, ids[Place.DATASET]),
            *self._linked(_DRAWN_REVIEWS, review.c.uid, ids[Place.REVIEW]),
            *self._linked(_DRAWN_DUELS, duel.c.uid, ids[Place.DUEL]),
            *self._linked(_VOTED_DUELS, duel.c.uid, ids[Place.DUEL]),
        ]

    def links_down(self, project_id: str, keys: Collection[Key]) -> Sequence[Link]:
        """Return what was made of these things of a project directly."""
        ids = ids_by_place(keys)
        return [
            *self._jobs_from(project_id, ids),
            *self._published(ids[Place.JOB]),
            *self._aliases_of_versions(project_id, ids[Place.MODEL_VERSION]),
            *self._sets_of_reviews(project_id, ids[Place.REVIEW]),
            *self._linked(_PARENT_SETS, feedback_set.c.parent_set_uid, ids[Place.DATASET]),
            *self._linked(_DRAWN_REVIEWS, review.c.job_uid, ids[Place.JOB]),
            *self._linked(_DRAWN_DUELS, duel.c.job_uid, ids[Place.JOB]),
            *self._linked(_VOTED_DUELS, duel.c.review_uid, ids[Place.REVIEW]),
            *self._linked(_SETS_OF_VOTES, feedback_set_vote.c.vote_uid, ids[Place.VOTE]),
        ]

    def _linked(self, query: "_Query", column: sa.ColumnElement[Any], ids: Collection[str]) -> Iterator[Link]:
        for some in chunks(ids):
            for source, result in self._connection.execute(query.select.where(column.in_(some))):
                yield Link(Key(query.source, source), Key(query.result, result), query.relation)

    def _sources_of(self, project_id: str, job_uids: Collection[str]) -> Iterator[Link]:
        found = list(self._job_sources(job_source.c.job_uid, job_uids))
        uids = self._job_uids(project_id, [row.source for row in found if _place(row.source) is Place.JOB])
        for row in found:
            place = _place(row.source)
            source = uids.get(row.source) if place is Place.JOB else row.source
            if source is not None:
                yield Link(Key(place, source), Key(Place.JOB, row.job_uid), Relation(row.relation).words)

    def _jobs_from(self, project_id: str, ids: Mapping[Place, Collection[str]]) -> Iterator[Link]:
        names = self._job_names(ids[Place.JOB])
        sources = {uid: Key(Place.DATASET, uid) for uid in ids[Place.DATASET]}
        sources |= {name: Key(Place.MODEL_VERSION, name) for name in ids[Place.MODEL_VERSION]}
        sources |= {name: Key(Place.JOB, uid) for uid, name in names.items()}
        for row in self._job_sources(job_source.c.source, sources):
            yield Link(sources[row.source], Key(Place.JOB, row.job_uid), Relation(row.relation).words)

    def _job_sources(self, column: sa.ColumnElement[Any], values: Collection[str]) -> Iterator[sa.Row[Any]]:
        for some in chunks(values):
            query = sa.select(job_source).where(column.in_(some), job_source.c.relation.in_(_TOLD))
            yield from self._connection.execute(query)

    def _job_uids(self, project_id: str, names: Iterable[str]) -> Mapping[str, str]:
        ids = {JOB.parse(name, field="job")[1]: name for name in names}
        found = {}
        for some in chunks(ids):
            query = sa.select(job.c.id, job.c.uid).where(job.c.project_id == project_id, job.c.id.in_(some))
            found.update({ids[row.id]: row.uid for row in self._connection.execute(query)})
        return found

    def _job_names(self, uids: Collection[str]) -> Mapping[str, str]:
        found = {}
        for some in chunks(uids):
            query = sa.select(job.c.uid, job.c.project_id, job.c.id).where(job.c.uid.in_(some))
            found.update({row.uid: JOB.format(row.project_id, row.id) for row in self._connection.execute(query)})
        return found

    def _publishers(self, project_id: str, names: Collection[str]) -> Iterator[Link]:
        for model_id, numbers in versions_by_model(names).items():
            yield from self._publishings(_VERSIONS.where(is_version(project_id, model_id, numbers)))

    def _published(self, job_uids: Collection[str]) -> Iterator[Link]:
        for some in chunks(job_uids):
            yield from self._publishings(_VERSIONS.where(model_version.c.job_uid.in_(some)))

    def _publishings(self, query: sa.Select[Any]) -> Iterator[Link]:
        for row in self._connection.execute(query):
            name = MODEL_VERSION.format(row.project_id, row.model_id, str(row.version))
            yield Link(Key(Place.JOB, row.job_uid), Key(Place.MODEL_VERSION, name), PUBLISHED)

    def _versions_of_aliases(self, project_id: str, names: Collection[str]) -> Iterator[Link]:
        for name in names:
            _, model_id, alias_id = ALIAS.parse(name, field="alias")
            yield from self._promoted(project_id, alias.c.model_id == model_id, alias.c.id == alias_id)

    def _aliases_of_versions(self, project_id: str, names: Collection[str]) -> Iterator[Link]:
        for model_id, numbers in versions_by_model(names).items():
            yield from self._promoted(project_id, alias.c.model_id == model_id, alias.c.version.in_(numbers))

    def _promoted(self, project_id: str, *which: sa.ColumnElement[bool]) -> Iterator[Link]:
        for row in self._connection.execute(sa.select(alias).where(alias.c.project_id == project_id, *which)):
            version = MODEL_VERSION.format(project_id, row.model_id, str(row.version))
            name = ALIAS.format(project_id, row.model_id, row.id)
            yield Link(Key(Place.MODEL_VERSION, version), Key(Place.ALIAS, name), PROMOTED)

    def _reviews_of_sets(self, project_id: str, uids: Collection[str]) -> Iterator[Link]:
        sets = {}
        for some in chunks(uids):
            query = sa.select(feedback_set.c.uid, feedback_set.c.reviews).where(feedback_set.c.uid.in_(some))
            sets.update({row.uid: row.reviews for row in self._connection.execute(query)})
        ids = {REVIEW.parse(name, field="review")[1] for names in sets.values() for name in names}
        reviews = self._review_uids(project_id, ids)
        for uid, names in sets.items():
            for name in names:
                yield Link(Key(Place.REVIEW, reviews[name]), Key(Place.DATASET, uid), VOTES)

    def _sets_of_reviews(self, project_id: str, uids: Collection[str]) -> Iterator[Link]:
        if not uids:
            return
        wanted = {uid: name for name, uid in self._review_uids(project_id, None).items() if uid in uids}
        query = sa.select(feedback_set.c.uid, feedback_set.c.reviews).where(feedback_set.c.project_id == project_id)
        for row in self._connection.execute(query):
            for uid, name in wanted.items():
                if name in row.reviews:
                    yield Link(Key(Place.REVIEW, uid), Key(Place.DATASET, row.uid), VOTES)

    def _review_uids(self, project_id: str, ids: Collection[str] | None) -> Mapping[str, str]:
        query = sa.select(review.c.id, review.c.uid).where(review.c.project_id == project_id)
        found = self._connection.execute(query if ids is None else query.where(review.c.id.in_(ids)))
        return {REVIEW.format(project_id, row.id): row.uid for row in found}


class _Query:
    """A query for links, whose columns are the ids of source and result."""

    def __init__(self, source: Place, result: Place, relation: str, *columns: sa.ColumnElement[Any]) -> None:
        self.source, self.result, self.relation = source, result, relation
        self.select = sa.select(*columns).where(columns[0].is_not(None))


_PARENT_SETS = _Query(Place.DATASET, Place.DATASET, FROZEN_AGAIN, feedback_set.c.parent_set_uid, feedback_set.c.uid)
_DRAWN_REVIEWS = _Query(Place.JOB, Place.REVIEW, DRAWN, review.c.job_uid, review.c.uid)
_DRAWN_DUELS = _Query(Place.JOB, Place.DUEL, DRAWN, duel.c.job_uid, duel.c.uid)
_VOTED_DUELS = _Query(Place.REVIEW, Place.DUEL, VOTES, duel.c.review_uid, duel.c.uid)
_SETS_OF_VOTES = _Query(Place.VOTE, Place.DATASET, FROZEN, feedback_set_vote.c.vote_uid, feedback_set_vote.c.set_uid)
_VERSIONS = sa.select(
    model_version.c.project_id, model_version.c.model_id, model_version.c.version, model_version.c.job_uid
)


def ids_by_place(keys: Iterable[Key]) -> Mapping[Place, set[str]]:
    """Return the ids of the things in each place."""
    found: collections.defaultdict[Place, set[str]] = collections.defaultdict(set)
    for key in keys:
        found[key.place].add(key.id)
    return found


def versions_by_model(names: Iterable[str]) -> Mapping[str, set[int]]:
    """Return the numbers of versions of each model, from the names of versions."""
    found: collections.defaultdict[str, set[int]] = collections.defaultdict(set)
    for name in names:
        _, model_id, number = MODEL_VERSION.parse(name, field="version")
        found[model_id].add(int(number))
    return found


def is_version(project_id: str, model_id: str, numbers: Collection[int]) -> sa.ColumnElement[bool]:
    """Return the condition that a row is one of these versions of a model."""
    of_model = sa.select(model.c.uid).where(model.c.project_id == project_id, model.c.id == model_id)
    return sa.and_(model_version.c.model_uid == of_model.scalar_subquery(), model_version.c.version.in_(numbers))


def chunks(values: Iterable[str]) -> Iterator[list[str]]:
    """Yield the values in order, as many at once as a statement takes."""
    ordered = sorted(values)
    for start in range(0, len(ordered), AT_ONCE):
        yield ordered[start : start + AT_ONCE]


def _place(source: str) -> Place:
    """Return where a source of a job is kept: datasets are known by uid, the others by name."""
    if "/" not in source:
        return Place.DATASET
    return Place.MODEL_VERSION if "/versions/" in source else Place.JOB

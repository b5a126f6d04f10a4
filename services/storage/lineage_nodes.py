"""Tells what the things of a lineage are: their names, hashes, and what there is to say of them."""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import sqlalchemy as sa

from services.domain.lineage import Key, LineageKind, LineageNode, Place
from services.domain.names import ALIAS, DATASET, DUEL, FEEDBACK_SET, JOB, MODEL_VERSION, REVIEW, VOTE
from services.storage.lineage_links import chunks, ids_by_place, is_version, versions_by_model
from services.storage.tables.aliases import alias
from services.storage.tables.datasets import dataset
from services.storage.tables.duels import duel
from services.storage.tables.feedback import feedback_set
from services.storage.tables.jobs import job
from services.storage.tables.models import model_version
from services.storage.tables.reviews import review, vote

Row = sa.Row[Any]


class LineageNodes:
    """Reads what things are, a query a place."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def of(self, project_id: str, keys: Collection[Key]) -> Mapping[Key, LineageNode]:
        """Return what these things of a project are; what is not there is left out."""
        found = dict(self._versions(project_id, keys)) | dict(self._aliases(project_id, keys))
        ids = ids_by_place(keys)
        for place, (query, column, told) in _BY_UID.items():
            for some in chunks(ids[place]):
                for row in self._connection.execute(query.where(column.in_(some))):
                    found[Key(place, row.uid)] = told(row)
        return found

    def _versions(self, project_id: str, keys: Collection[Key]) -> Iterator[tuple[Key, LineageNode]]:
        for model_id, numbers in versions_by_model(ids_by_place(keys)[Place.MODEL_VERSION]).items():
            query = sa.select(model_version).where(is_version(project_id, model_id, numbers))
            for row in self._connection.execute(query):
                node = _version(row)
                yield Key(Place.MODEL_VERSION, node.name), node

    def _aliases(self, project_id: str, keys: Collection[Key]) -> Iterator[tuple[Key, LineageNode]]:
        for name in ids_by_place(keys)[Place.ALIAS]:
            _, model_id, alias_id = ALIAS.parse(name, field="alias")
            named = (alias.c.project_id == project_id, alias.c.model_id == model_id, alias.c.id == alias_id)
            for row in self._connection.execute(sa.select(alias).where(*named)):
                node = LineageNode(name=name, kind=LineageKind.ALIAS, details=_told(version=row.version))
                yield Key(Place.ALIAS, name), node


def _dataset(row: Row) -> LineageNode:
    deleted = row.state == "DELETED"
    if row.votes is None:
        name, kind = DATASET.format(row.project_id, row.id), LineageKind.DATASET
        details = _told(rows=row.rows, format=row.format.lower(), bytes=row.size_bytes, filename=row.filename)
    else:
        name, kind = FEEDBACK_SET.format(row.project_id, row.id), LineageKind.FEEDBACK_SET
        counts = {"votes": row.votes, "scripted_votes": row.scripted_votes, "reviewers": row.reviewers}
        details = _told(rows=row.rows, policy=row.policy.lower(), sources=", ".join(row.sources), **counts)
    return LineageNode(name=name, kind=kind, sha256=row.sha256, details=details, deleted=deleted)


def _review(row: Row) -> LineageNode:
    details = _told(kind=row.kind.lower(), items=row.items, overlap=row.overlap)
    return LineageNode(name=REVIEW.format(row.project_id, row.id), kind=LineageKind.REVIEW, details=details)


def _job(row: Row) -> LineageNode:
    spec = row.spec
    lora = spec.get("lora")
    details = _told(
        kind=row.kind,
        state=row.state.lower(),
        method=str(spec.get("method") or "").lower(),
        steps=spec.get("steps"),
        lora_rank=lora.get("rank") if lora else None,
    )
    return LineageNode(name=JOB.format(row.project_id, row.id), kind=LineageKind.JOB, details=details)


def _version(row: Row) -> LineageNode:
    return LineageNode(
        name=MODEL_VERSION.format(row.project_id, row.model_id, str(row.version)),
        kind=LineageKind.MODEL_VERSION,
        sha256=row.manifest_sha256,
        details=_told(
            parameters=row.parameters,
            steps=row.steps,
            dataset_sha256=row.dataset_sha256,
            software_version=row.software_version,
        ),
    )


def _duel(row: Row) -> LineageNode:
    details = _told(champion=row.champion, challenger=row.challenger, judge=row.judge.lower())
    return LineageNode(name=DUEL.format(row.project_id, row.id), kind=LineageKind.DUEL, details=details)


def _vote(row: Row) -> LineageNode:
    details = _told(source=row.source, scripted="yes" if row.scripted else "")
    return LineageNode(name=VOTE.format(row.project_id, row.uid), kind=LineageKind.VOTE, details=details)


def _told(**details: object) -> Mapping[str, str]:
    """Return what there is to say, without what there is not."""
    return {name: str(value) for name, value in details.items() if value not in (None, "")}


_SETS = ("votes", "scripted_votes", "reviewers", "policy", "sources")
_DATASETS = sa.select(dataset, *(feedback_set.c[name] for name in _SETS)).join(
    feedback_set, feedback_set.c.uid == dataset.c.uid, isouter=True
)
_BY_UID: Mapping[Place, tuple[sa.Select[Any], sa.ColumnElement[Any], Callable[[Row], LineageNode]]] = {
    Place.DATASET: (_DATASETS, dataset.c.uid, _dataset),
    Place.REVIEW: (sa.select(review), review.c.uid, _review),
    Place.JOB: (sa.select(job), job.c.uid, _job),
    Place.DUEL: (sa.select(duel), duel.c.uid, _duel),
    Place.VOTE: (sa.select(vote), vote.c.uid, _vote),
}

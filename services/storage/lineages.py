"""Keeps nothing of its own: finds how the things of a project belong together, and what speaks against a version."""

from collections.abc import Collection, Mapping, Sequence

import sqlalchemy as sa

from services.domain.job_states import JobState
from services.domain.lineage import Key, LineageNode, Link
from services.domain.names import MODEL_VERSION
from services.domain.reviews import VoteState
from services.domain.work import EvaluateSpec
from services.storage.lineage_links import LineageLinks, chunks
from services.storage.lineage_nodes import LineageNodes
from services.storage.tables.datasets import dataset
from services.storage.tables.feedback import feedback_set, feedback_set_vote
from services.storage.tables.jobs import job, metric
from services.storage.tables.reviews import vote_change

_EVALUATIONS_READ_MAX = 500  # the newest of a version
_CHECKS_PASSED = "eval/checks_passed"
_IS_RETRACTED = vote_change.c.state == VoteState.RETRACTED.value


class Lineages:
    """See `services.ports.Lineages`."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._links = LineageLinks(connection)
        self._nodes = LineageNodes(connection)

    def links_up(self, project_id: str, keys: Collection[Key]) -> Sequence[Link]:
        """Return what these things were made of directly."""
        return self._links.links_up(project_id, keys)

    def links_down(self, project_id: str, keys: Collection[Key]) -> Sequence[Link]:
        """Return what was made of these things directly."""
        return self._links.links_down(project_id, keys)

    def nodes(self, project_id: str, keys: Collection[Key]) -> Mapping[Key, LineageNode]:
        """Return what these things are; what is not there is left out."""
        return self._nodes.of(project_id, keys)

    def retracted(self, project_id: str) -> Mapping[str, int]:
        """Return the feedback sets that hold retracted votes, with how many, by uid."""
        query = sa.select(feedback_set_vote.c.set_uid, sa.func.count()).join(
            vote_change, vote_change.c.vote_uid == feedback_set_vote.c.vote_uid
        )
        query = query.join(feedback_set, feedback_set.c.uid == feedback_set_vote.c.set_uid)
        query = query.where(feedback_set.c.project_id == project_id, _IS_RETRACTED)
        found = self._connection.execute(query.group_by(feedback_set_vote.c.set_uid))
        return {row[0]: row[1] for row in found}

    def retracted_votes(self, set_uids: Collection[str]) -> Collection[str]:
        """Return the uids of the retracted votes in these sets, each once."""
        query = sa.select(feedback_set_vote.c.vote_uid).join(
            vote_change, vote_change.c.vote_uid == feedback_set_vote.c.vote_uid
        )
        found: set[str] = set()
        for some in chunks(set_uids):
            held = query.where(feedback_set_vote.c.set_uid.in_(some), _IS_RETRACTED)
            found.update(self._connection.execute(held).scalars())
        return found

    def checks_passed(self, project_id: str, *, version: str) -> Mapping[str, float]:
        """Return the share of checks that a version passed, by what it was measured on; the newest measure each.

        Only its newest 500 measures are looked at.
        """
        _, model_id, _ = MODEL_VERSION.parse(version, field="version")
        query = sa.select(job.c.spec, job.c.dataset_uid, dataset.c.id, metric.c.body)
        query = query.join(metric, metric.c.job_uid == job.c.uid).join(dataset, dataset.c.uid == job.c.dataset_uid)
        query = query.where(
            job.c.project_id == project_id,
            job.c.model_id == model_id,
            job.c.spec["model"].as_string() == version,
            job.c.kind == EvaluateSpec.kind,
            job.c.state == JobState.SUCCEEDED.value,
        )
        query = query.order_by(job.c.create_time.desc(), job.c.uid.desc(), metric.c.seq.desc())
        found: dict[tuple[str, bool], tuple[str, float]] = {}
        for spec, dataset_uid, dataset_id, body in self._connection.execute(query.limit(_EVALUATIONS_READ_MAX)):
            if _CHECKS_PASSED in body:
                found.setdefault((dataset_uid, spec["all_rows"]), (dataset_id, float(body[_CHECKS_PASSED])))
        return {_measured_on(*which, dataset_id): share for which, (dataset_id, share) in found.items()}


def _measured_on(dataset_uid: str, all_rows: bool, dataset_id: str) -> str:
    """Return what a version was measured on, so that measures of other rows are not compared with it."""
    rows = "all rows" if all_rows else "the rows for validation"
    return f"{rows} of the dataset {dataset_id} ({dataset_uid[:8]})"

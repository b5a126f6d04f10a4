"""Lineage: what a thing was made of, and what was made of it.

A job remembers its sources: datasets by uid, for a name may be another dataset's one day; versions and jobs by name.
"""

import collections
import dataclasses
import enum
import heapq
from collections.abc import Collection, Iterator, Mapping

from services.domain.fine_tuning import FineTuneSpec
from services.domain.jobs import Job
from services.domain.names import CHECKPOINT, JOB
from services.domain.training import TrainSpec
from services.domain.work import (
    DrawSpec,
    EvaluateSpec,
    ExportModelSpec,
    ImportModelSpec,
    VerifySpec,
    models_of,
    reward_model_of,
)


class Relation(enum.Enum):
    """What a source was to a job."""

    TRAINED_ON = "TRAINED_ON"
    TOKENIZED_BY = "TOKENIZED_BY"
    TUNED_FROM = "TUNED_FROM"
    REWARDED_BY = "REWARDED_BY"
    IMPORTED_FROM = "IMPORTED_FROM"
    MERGED_INTO = "MERGED_INTO"
    EXPORTED_FROM = "EXPORTED_FROM"
    PROMPTED_BY = "PROMPTED_BY"
    DRAWN_FROM = "DRAWN_FROM"
    SCORED_BY = "SCORED_BY"
    MEASURED = "MEASURED"
    MEASURED_ON = "MEASURED_ON"
    VERIFIED = "VERIFIED"

    @property
    def words(self) -> str:
        """How it is told."""
        return self.value.lower().replace("_", " ")


LEARNING = frozenset(
    {
        Relation.TRAINED_ON,
        Relation.TUNED_FROM,
        Relation.REWARDED_BY,
        Relation.IMPORTED_FROM,
        Relation.MERGED_INTO,
        Relation.EXPORTED_FROM,
    }
)
"""Relations by which what is in the source is in the result; a version is not in the votes on what it wrote."""
PUBLISHED, PROMOTED = "published by", "names"
DRAWN, VOTES, FROZEN, FROZEN_AGAIN = "drawn by", "votes", "frozen from", "frozen again from"
LINKS = frozenset({PUBLISHED, PROMOTED, DRAWN, VOTES, FROZEN, FROZEN_AGAIN})
"""What links things beside relations to jobs; like these, each says of the result how it came from its source."""
_HANDING_ON = frozenset({PUBLISHED, PROMOTED, *(relation.words for relation in LEARNING)})
_LOOKING = frozenset({Relation.MEASURED, Relation.MEASURED_ON, Relation.VERIFIED})


@dataclasses.dataclass(frozen=True)
class Source:
    """Something that a job began with: the uid of a dataset, or the name of a version or of another job."""

    source: str
    relation: Relation


def sources_of(job: Job) -> frozenset[Source]:
    """Return everything that a job begins with."""
    return frozenset(Source(source, relation) for source, relation in _sources(job) if source)


def _sources(job: Job) -> Iterator[tuple[str, Relation]]:
    spec = job.spec
    if isinstance(spec, VerifySpec):
        yield spec.job, Relation.VERIFIED
        return
    for uid in (job.dataset_uid, *job.mixture_uids):
        yield uid, _OF_DATASETS.get(type(spec), Relation.TRAINED_ON)
    yield job.tokenizer_uid or "", Relation.TOKENIZED_BY
    if isinstance(spec, FineTuneSpec):
        yield job_or_version(spec.base), Relation.TUNED_FROM
    elif isinstance(spec, ImportModelSpec):
        yield spec.base, Relation.MERGED_INTO
    elif isinstance(spec, ExportModelSpec | EvaluateSpec):
        yield spec.model, Relation.EXPORTED_FROM if isinstance(spec, ExportModelSpec) else Relation.MEASURED
    for name in models_of(spec):
        yield name, Relation.DRAWN_FROM
    yield reward_model_of(spec), Relation.SCORED_BY if isinstance(spec, DrawSpec) else Relation.REWARDED_BY


_OF_DATASETS: Mapping[type, Relation] = {
    TrainSpec: Relation.TRAINED_ON,
    FineTuneSpec: Relation.TRAINED_ON,
    ImportModelSpec: Relation.IMPORTED_FROM,
    DrawSpec: Relation.PROMPTED_BY,
    EvaluateSpec: Relation.MEASURED_ON,
}


def job_or_version(base: str) -> str:
    """Return the name of the job whose checkpoint a base is, or the name of the version that it is."""
    if "/checkpoints/" not in base:
        return base
    project_id, job_id, _ = CHECKPOINT.parse(base, field="base")
    return JOB.format(project_id, job_id)


class LineageKind(enum.Enum):
    """What a node is."""

    DATASET = "DATASET"
    FEEDBACK_SET = "FEEDBACK_SET"
    REVIEW = "REVIEW"
    JOB = "JOB"
    MODEL_VERSION = "MODEL_VERSION"
    ALIAS = "ALIAS"
    DUEL = "DUEL"
    VOTE = "VOTE"


class Place(enum.Enum):
    """Where a thing is kept. A feedback set is kept with the dataset of its rows, under one uid."""

    DATASET = "DATASET"
    REVIEW = "REVIEW"
    JOB = "JOB"
    MODEL_VERSION = "MODEL_VERSION"
    ALIAS = "ALIAS"
    DUEL = "DUEL"
    VOTE = "VOTE"


@dataclasses.dataclass(frozen=True)
class Key:
    """What a thing is found by: its uid, or its name if it is a version or an alias."""

    place: Place
    id: str


@dataclasses.dataclass(frozen=True)
class Link:
    """One thing was made of another, with the word for how."""

    source: Key
    result: Key
    relation: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class LineageNode:
    """One thing; `sha256` is empty where it has no content of its own."""

    name: str
    kind: LineageKind
    sha256: str = ""
    details: Mapping[str, str] = dataclasses.field(default_factory=dict)
    tainted: bool = False
    deleted: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class LineageEdge:
    """One thing was made of another; both are resource names."""

    source: str
    result: str
    relation: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lineage:
    """A graph without circles: what came first stands before what was made of it."""

    name: str
    nodes: tuple[LineageNode, ...]
    edges: tuple[LineageEdge, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Descent:
    """What learnt from some votes: versions, and jobs that are not over and have no version yet; resource names."""

    versions: tuple[str, ...] = ()
    open_jobs: tuple[str, ...] = ()


def hands_on(link: Link) -> bool:
    """Whether what is in the source is in the result, so that a taint goes on."""
    return link.relation in _HANDING_ON


def is_told(relation: Relation) -> bool:
    """Whether a lineage tells this relation; to measure or verify something makes nothing."""
    return relation not in _LOOKING


def in_order(keys: Collection[Key], links: Collection[Link]) -> list[Key]:
    """Return the keys so that each source stands before its results, and otherwise in the order of places and ids.

    Links to keys that are not there do not count. Raises: ValueError for a circle, which time does not allow.
    """
    known = [link for link in links if link.source in keys and link.result in keys]
    waiting = collections.Counter(link.result for link in known)
    results = collections.defaultdict(list)
    for link in known:
        results[link.source].append(link.result)
    ready = [_order(key) for key in keys if not waiting[key]]
    heapq.heapify(ready)
    found = []
    while ready:
        key = heapq.heappop(ready)[-1]
        found.append(key)
        for result in results[key]:
            waiting[result] -= 1
            if not waiting[result]:
                heapq.heappush(ready, _order(result))
    if len(found) < len(keys):
        raise ValueError("the lineage has a circle")
    return found


def _order(key: Key) -> tuple[str, str, Key]:
    return key.place.value, key.id, key

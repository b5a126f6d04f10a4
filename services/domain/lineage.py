"""Lineage: what a thing was made of, and what was made of it.

A job remembers its sources: datasets by uid, for a name may be another dataset's one day; versions and jobs by name.
"""

import dataclasses
import enum
from collections.abc import Iterator, Mapping

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

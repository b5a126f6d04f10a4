"""Putting together what a trainer needs to know: the inputs of a job, and where it goes on from."""

import dataclasses
import math

from services.domain.datasets import Dataset, DatasetState
from services.domain.fine_tuning import FineTuneSpec
from services.domain.job_events import MetricLogged
from services.domain.jobs import Assignment, Checkpoint, Job, RecordedStep, Verification
from services.domain.models import ModelFiles
from services.domain.names import JOB, MODEL_VERSION
from services.domain.training import TrainSpec
from services.domain.work import TRAINED, VerifySpec, models_of, reward_model_of
from services.ports import House, UnitOfWork


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inputs:
    """The datasets of a job, all of them usable."""

    dataset: Dataset | None
    mixture: tuple[Dataset, ...]
    tokenizer: Dataset | None


def find_inputs(uow: UnitOfWork, job: Job) -> Inputs | None:
    """Return the datasets of a job, or None if one of them is gone."""
    found = {uid: uow.datasets.find_by_uid(uid) for uid in job.input_uids}
    ready = {uid: each for uid, each in found.items() if each is not None and each.state is DatasetState.READY}
    if len(ready) < len(found):
        return None
    return Inputs(
        dataset=ready[job.dataset_uid] if job.dataset_uid else None,
        mixture=tuple(ready[uid] for uid in job.mixture_uids),
        tokenizer=ready[job.tokenizer_uid] if job.tokenizer_uid else None,
    )


def assignment_of(house: House, uow: UnitOfWork, job: Job, *, inputs: Inputs) -> Assignment:
    """Return all that the trainer of the attempt that holds the job needs to know."""
    is_verification = isinstance(job.spec, VerifySpec)
    verification = _verification(uow, job)
    scorer = reward_model_of(verification.spec if verification else job.spec)
    return Assignment(
        job=job,
        token=house.keys.attempt_token(job.uid, epoch=job.epoch),
        dataset=inputs.dataset,
        mixture=inputs.mixture,
        tokenizer=inputs.tokenizer,
        resume=_resume(uow, job),
        base=job.base.base if is_verification and job.base else job.base,
        verification=verification,
        models=tuple(_files_of(uow, name) for name in models_of(job.spec)),
        reward_model=_files_of(uow, scorer) if scorer else None,
    )


def _files_of(uow: UnitOfWork, name: str) -> ModelFiles:
    project_id, model_id, number = MODEL_VERSION.parse(name, field="spec")
    version = uow.models.find_version(project_id, model_id, int(number))
    assert version is not None, "versions are never removed, nor are their files"
    return version.files


def _resume(uow: UnitOfWork, job: Job) -> Checkpoint | None:
    if job.kind in TRAINED:
        return uow.checkpoints.newest_usable(job.uid)
    # Verification begins with a checkpoint of the other job; imports and exports have nothing to go on from.
    return uow.checkpoints.find_at(job.base.artifact_prefix) if isinstance(job.spec, VerifySpec) and job.base else None


def _verification(uow: UnitOfWork, job: Job) -> Verification | None:
    if not isinstance(job.spec, VerifySpec) or job.base is None:
        return None
    (job_id,) = JOB.parse(job.spec.job, field="spec.job")[1:]
    verified, begin = uow.jobs.find(job.project_id, job_id), uow.checkpoints.find_at(job.base.artifact_prefix)
    assert verified is not None and begin is not None, "jobs and the rows of their checkpoints are never removed"
    assert isinstance(verified.spec, TrainSpec | FineTuneSpec), "only steps of training are verified"
    lineage = uow.metrics.lineage_at(verified.uid, step=job.spec.last_step) or verified.lineage
    recorded = uow.metrics.recorded(verified.uid, lineage=lineage, after=begin.step, last=job.spec.last_step)
    return Verification(
        spec=verified.spec,
        lineage=lineage,
        first_step=job.spec.first_step,
        recorded=tuple(_recorded(each) for each in recorded),
    )


def _recorded(metric: MetricLogged) -> RecordedStep:
    loss = metric.values.get("train/loss", math.nan)
    return RecordedStep(
        step=metric.step,
        data_chain=metric.data_chain,
        loss_chain=metric.loss_chain,
        loss=loss if math.isfinite(loss) else None,
    )

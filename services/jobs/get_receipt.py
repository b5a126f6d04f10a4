"""Telling what a run can be held to."""

import dataclasses
from collections.abc import Mapping

from services.domain.errors import WrongState
from services.domain.fine_tuning import FineTuneSpec
from services.domain.job_states import JobState
from services.domain.jobs import Job
from services.domain.projects import Caller
from services.domain.training import TrainSpec
from services.jobs.own_job import find_own_job
from services.ports import House, UnitOfWork


@dataclasses.dataclass(frozen=True, kw_only=True)
class Receipt:
    """Seeds, hashes and versions: two runs that agree in the first ones have the same chains."""

    job: str
    seed: int
    dataset_sha256s: tuple[str, ...]
    environment: Mapping[str, str]
    step: int
    lineage: int
    data_chain: str
    loss_chain: str
    manifest_sha256: str


def get_receipt(house: House, *, caller: Caller, name: str) -> Receipt:
    """Return the receipt of a run up to its last recorded step. Raises: NotFound, WrongState before the first one."""
    with house.storage.read() as uow:
        job = find_own_job(uow, caller=caller, name=name)
        spec = job.spec
        if not isinstance(spec, TrainSpec | FineTuneSpec):
            raise WrongState.of(f"{job.name} trains nothing: there is no receipt of it", state=job.state.value)
        last = uow.metrics.at(job.uid, step=job.recorded_step)
        if last is None:
            raise WrongState.of(f"{job.name} has not recorded a step yet", state=job.state.value)
        environment = uow.events.latest_note(job.uid, kind="environment")
        return Receipt(
            job=job.name,
            seed=spec.seed,
            dataset_sha256s=_sha256s(uow, job),
            environment=environment.details if environment else {},
            step=last.step,
            lineage=job.lineage,
            data_chain=last.data_chain,
            loss_chain=last.loss_chain,
            manifest_sha256=_published(uow, job),
        )


def _sha256s(uow: UnitOfWork, job: Job) -> tuple[str, ...]:
    """Return the hashes of the datasets, which outlive the datasets themselves."""
    datasets = [uow.datasets.find_by_uid(uid) for uid in (job.dataset_uid, *job.mixture_uids)]
    return tuple(dataset.sha256 if dataset else "" for dataset in datasets)


def _published(uow: UnitOfWork, job: Job) -> str:
    newest = uow.checkpoints.newest_usable(job.uid) if job.state is JobState.SUCCEEDED else None
    return newest.manifest_sha256 if newest and newest.complete else ""

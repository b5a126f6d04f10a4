"""Completing a job: its complete file set counts, and becomes a model version if the work is of such a kind."""

from services.domain.errors import WrongState
from services.domain.job_states import JobState, Trigger
from services.domain.jobs import Checkpoint, Job
from services.domain.models import ModelVersion
from services.domain.work import UnpublishedWork
from services.jobs.moving import move
from services.ports import House, UnitOfWork


def completed(house: House, uow: UnitOfWork, job: Job) -> Job:
    """Return the job after its last attempt, SUCCEEDED; the verb saves it.

    Raises: WrongState without a complete checkpoint.
    """
    checkpoint = uow.checkpoints.newest_usable(job.uid)
    if job.state is not JobState.FINALIZING or checkpoint is None or not checkpoint.complete:
        raise WrongState.of(f"{job.name} has no complete checkpoint yet", state=job.state.value)
    if isinstance(job.spec, UnpublishedWork):
        return move(uow, job, Trigger.PUBLISH, now=uow.now(), message="its files are complete")
    version = uow.models.publish(_version(house, uow, job, checkpoint))
    return move(uow, job, Trigger.PUBLISH, now=uow.now(), model_version=version.name)


def _version(house: House, uow: UnitOfWork, job: Job, checkpoint: Checkpoint) -> ModelVersion:
    assert not isinstance(job.spec, UnpublishedWork), "only models have versions"
    dataset = uow.datasets.find_by_uid(job.dataset_uid)
    return ModelVersion(
        project_id=job.project_id,
        model_id=job.spec.model,
        version=0,
        uid=house.chance.uid(),
        create_time=uow.now(),
        job_uid=job.uid,
        job_id=job.id,
        spec=job.spec,
        parameters=checkpoint.parameters or job.spec.parameters,
        steps=checkpoint.step,
        size_bytes=checkpoint.size_bytes,
        artifact_prefix=checkpoint.artifact_prefix,
        manifest_sha256=checkpoint.manifest_sha256,
        dataset_sha256=dataset.sha256 if dataset else "",
        software_version=house.version,
        validation_loss=checkpoint.validation_loss,
        validation_bits_per_byte=checkpoint.validation_bits_per_byte,
        parent_version=_parent(job),
    )


def _parent(job: Job) -> str:
    """Return the version that a job began with; a checkpoint is none."""
    return job.base.name if job.base and "/versions/" in job.base.name else ""

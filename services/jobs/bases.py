"""Finding the model that a job begins with: a version, or a checkpoint that serves as one."""

import dataclasses

from services.domain import names
from services.domain.errors import InvalidField, NotFound, WrongState
from services.domain.fine_tuning import FineTuneSpec
from services.domain.jobs import Checkpoint, CheckpointState, Job
from services.domain.models import ModelFiles, ModelVersion, makes_reward_model
from services.domain.projects import Caller
from services.domain.work import PublishedWork, UnpublishedWork
from services.jobs.own_job import find_own_job
from services.models.find_version import find_version
from services.ports import UnitOfWork

_NUMBER_MAX = 2**31 - 1
_LINES_MAX = 20  # of one step; a run goes back less often


@dataclasses.dataclass(frozen=True, kw_only=True)
class Base:
    """What a job begins with: its files, what made them, and the id of the model that they are of.

    `version` is None for a checkpoint, `checkpoint` for a version.
    """

    files: ModelFiles
    spec: PublishedWork
    model_id: str
    size_bytes: int
    parameters: int
    version: ModelVersion | None = None
    checkpoint: Checkpoint | None = None


def find_base(uow: UnitOfWork, *, caller: Caller, name: str, field: str) -> Base:
    """Return what a model, a version of it, an alias or a checkpoint names.

    Raises: NotFound, also for a checkpoint whose files are gone; InvalidField for a name of another shape, WrongState
    for a checkpoint of work without weights.
    """
    if "/checkpoints/" in name:
        return _of_checkpoint(uow, caller=caller, name=name, field=field)
    version = find_version(uow, caller=caller, name=name, field=field)
    return Base(
        files=version.files,
        spec=version.spec,
        model_id=version.model_id,
        size_bytes=version.size_bytes,
        parameters=version.parameters,
        version=version,
    )


def find_writer(uow: UnitOfWork, *, caller: Caller, name: str, field: str) -> ModelVersion:
    """Return a version that answers can be drawn from. Raises: NotFound, InvalidField, WrongState for a scorer."""
    version = find_version(uow, caller=caller, name=name, field=field)
    refuse_reward_model(version.spec, name=version.name)
    return version


def find_reward_model(uow: UnitOfWork, *, caller: Caller, name: str, field: str) -> ModelVersion | None:
    """Return the version that scores answers; None for no name.

    Raises: NotFound, InvalidField, WrongState for a model that writes.
    """
    if not name:
        return None
    version = find_version(uow, caller=caller, name=name, field=field)
    if not version.reward_model:
        words = f"{version.name} writes text, and a reward model is wanted here: tune one with the method REWARD"
        raise WrongState.of(words, state="WRITES")
    return version


def refuse_reward_model(spec: PublishedWork, *, name: str) -> None:
    """Refuse what scores texts where a model that writes is wanted. Raises: WrongState."""
    if makes_reward_model(spec):
        words = f"{name} is a reward model: it scores texts and cannot write any; name a model that writes"
        raise WrongState.of(words, state="REWARD_MODEL")


def _of_checkpoint(uow: UnitOfWork, *, caller: Caller, name: str, field: str) -> Base:
    pattern = names.CHECKPOINT
    job_id, step = names.ids_in_own_project(name, pattern=pattern, own_project=caller.project_id, field=field)
    job = find_own_job(uow, caller=caller, name=names.JOB.format(caller.project_id, job_id), field=field)
    if not step.isascii() or not step.isdecimal() or int(step) > _NUMBER_MAX:
        raise InvalidField.of(field, f"ends with a step, which is a number from 0, got {step!r}")
    checkpoint = uow.checkpoints.find(job.uid, step=int(step))
    if checkpoint is None:
        raise _not_there(uow, job, step=int(step), name=name, field=field)
    if isinstance(job.spec, UnpublishedWork):
        raise WrongState.of(f"{job.name} has made no model that one could go on from", state=job.state.value)
    return Base(
        files=checkpoint_files(job, checkpoint),
        spec=job.spec,
        model_id=job.spec.model,
        size_bytes=checkpoint.size_bytes,
        parameters=checkpoint.parameters or job.spec.parameters,
        checkpoint=checkpoint,
    )


def _not_there(uow: UnitOfWork, job: Job, *, step: int, name: str, field: str) -> NotFound:
    """Return why there is no checkpoint of a step to begin with, and which there is."""
    newest = uow.checkpoints.newest_usable(job.uid)
    hint = f"; the newest checkpoint is that of step {newest.step}" if newest else "; the job has no checkpoint left"
    page = uow.checkpoints.page(job.uid, before=(step + 1, 0, 0), count_max=_LINES_MAX)
    was = next((each.state for each in page if each.step == step), None)
    if was is None:
        return NotFound.of(name, hint=hint, field=field)
    reasons = {
        CheckpointState.COLLECTED: "is gone: its files were removed to save space",
        CheckpointState.CORRUPT: "is gone: its files are damaged",
    }
    reason = reasons.get(was, "was left behind when the run went back to an earlier step")
    return NotFound(f"{name} {reason}{hint}", metadata={"resource": name})


def checkpoint_files(job: Job, checkpoint: Checkpoint) -> ModelFiles:
    """Return the files of a checkpoint; one of a run with adapters holds nothing else, and needs what that began with.

    The complete checkpoint of such a run is a model like any other: the adapters are merged into it.
    """
    adapters = isinstance(job.spec, FineTuneSpec) and job.spec.lora is not None and not checkpoint.complete
    return ModelFiles(
        name=names.CHECKPOINT.format(job.project_id, job.id, str(checkpoint.step)),
        artifact_prefix=checkpoint.artifact_prefix,
        manifest_sha256=checkpoint.manifest_sha256,
        base=job.base if adapters else None,
    )

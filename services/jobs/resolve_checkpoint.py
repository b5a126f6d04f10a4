"""Finding the state of a run after a step, for a caller who may look into it."""

import dataclasses
from collections.abc import Sequence

from artifacts import CorruptFileSet
from services.domain.errors import InvalidField, WrongState
from services.domain.fine_tuning import FineTuneSpec
from services.domain.jobs import Checkpoint, Job
from services.domain.models import makes_reward_model
from services.domain.projects import Caller
from services.domain.training import TrainSpec
from services.jobs.own_job import find_own_job
from services.ports import House, store_errors


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResolvedCheckpoint:
    """A checkpoint of a job, and the first one that is left, to compare with."""

    job: Job
    checkpoint: Checkpoint
    first: Checkpoint


def resolve_checkpoint(house: House, *, caller: Caller, name: str, step: int | None = None) -> ResolvedCheckpoint:
    """Return the newest checkpoint at or before a step whose files are there; without a step, the newest of all.

    Raises: NotFound, InvalidField, WrongState if there is none, and for a run that makes a reward model.
    """
    if step is not None and step < 0:
        raise InvalidField.of("step", f"must not be below 0, got {step}")
    with house.storage.read() as uow:
        job = find_own_job(uow, caller=caller, name=name, field="job")
        usable = uow.checkpoints.usable(job.uid)
    if not isinstance(job.spec, TrainSpec | FineTuneSpec):
        raise WrongState.of(f"{job.name} trains nothing: there is no step to look into", state=job.state.value)
    if makes_reward_model(job.spec):
        words = f"{job.name} makes a reward model, which predicts no text: there is nothing to look into"
        raise WrongState.of(words, state="REWARD_MODEL")
    wanted = (each for each in usable if step is None or each.step <= step)
    found = next((each for each in wanted if _is_stored(house, each)), None)
    if found is None:
        raise WrongState.of(_missing(job, usable[-1:], step=step), state=job.state.value)
    return ResolvedCheckpoint(job=job, checkpoint=found, first=usable[-1])


def _is_stored(house: House, checkpoint: Checkpoint) -> bool:
    """Whether the store still holds the files: a collector may have been faster."""
    try:
        with store_errors():
            return house.store.find_file_set(checkpoint.artifact_prefix) is not None
    except CorruptFileSet:
        return False


def _missing(job: Job, oldest: Sequence[Checkpoint], *, step: int | None) -> str:
    if not oldest:
        return f"{job.name} has no checkpoint yet, or none is left"
    where = f"at or before step {step:,}" if step is not None else "whose files are there"
    return f"{job.name} has no checkpoint {where}; the oldest that is left is that of step {oldest[0].step:,}"

"""Accepting that steps of a job are computed again."""

import dataclasses

from services.domain import limits
from services.domain.datasets import Dataset, DatasetState
from services.domain.errors import FieldViolation, InvalidField, WrongState
from services.domain.fine_tuning import FineTuneSpec
from services.domain.jobs import Checkpoint, Job
from services.domain.projects import Caller
from services.domain.requests import NO_REQUEST_KEY, RequestKey
from services.domain.training import TrainSpec
from services.domain.work import VerifySpec
from services.jobs.accepting import accept, earlier_job
from services.jobs.bases import checkpoint_files
from services.jobs.own_job import find_own_job
from services.jobs.short_work import short_job
from services.ports import House, UnitOfWork


def verify_job(
    house: House,
    *,
    caller: Caller,
    name: str,
    first_step: int | None = None,
    steps: int | None = None,
    request: RequestKey = NO_REQUEST_KEY,
) -> Job:
    """Return the accepted job that computes steps of another one again; the same one when the request is repeated.

    Raises: InvalidField, NotFound, WrongState if the job has no checkpoint to begin at, has not recorded those steps,
    or what it was trained on is gone; LimitReached, RequestIdReused.
    """
    _check(first_step, steps)
    with house.storage.read() as uow:
        earlier = earlier_job(uow, caller=caller, request=request)
        if earlier is not None:
            return earlier
        verified = find_own_job(uow, caller=caller, name=name)
        _check_work(verified)
        begin = _begin(uow, verified, first_step=first_step)
        spec = _spec(verified, begin, first_step=first_step, steps=steps)
        _check_recorded(uow, verified, begin, spec)
        datasets = [_ready(uow, uid, of=verified) for uid in verified.input_uids]
        # The checkpoint to begin at is what this job begins with; what the other one began with lies below it.
        base = dataclasses.replace(checkpoint_files(verified, begin), base=verified.base)
        job = short_job(house, uow, spec, caller=caller, size_bytes=begin.size_bytes, base=base)
    job = dataclasses.replace(
        job,
        dataset_uid=verified.dataset_uid,
        mixture_uids=verified.mixture_uids,
        tokenizer_uid=verified.tokenizer_uid,
    )
    return accept(house, job, caller=caller, request=request, datasets=datasets, word="verify")


def _check(first_step: int | None, steps: int | None) -> None:
    found = []
    if first_step is not None and not 1 <= first_step <= limits.STEPS_MAX:
        found.append(FieldViolation("first_step", f"must be 1 to {limits.STEPS_MAX:,}, got {first_step:,}"))
    if steps is not None and not 1 <= steps <= limits.VERIFIED_STEPS_MAX:
        found.append(FieldViolation("steps", f"must be 1 to {limits.VERIFIED_STEPS_MAX:,}, got {steps:,}"))
    if found:
        raise InvalidField.of_all(found)


def _check_work(job: Job) -> None:
    if not isinstance(job.spec, TrainSpec | FineTuneSpec):
        raise WrongState.of(f"{job.name} trains nothing: there are no steps to compute again", state=job.state.value)
    if not job.recorded_step:
        raise WrongState.of(f"{job.name} has not recorded a step yet", state=job.state.value)


def _begin(uow: UnitOfWork, job: Job, *, first_step: int | None) -> Checkpoint:
    """Return the checkpoint to begin at; the complete one holds what is published, and is followed by no step."""
    left = [each for each in uow.checkpoints.usable(job.uid) if not each.complete and each.step < job.recorded_step]
    if not left:
        raise WrongState.of(f"{job.name} has no checkpoint left from which a recorded step follows", state="COLLECTED")
    if first_step is None:
        return left[-1]
    begin = next((each for each in left if each.step < first_step), None)
    if begin is None:
        words = f"{job.name} has no checkpoint left before step {first_step:,}"
        raise WrongState.of(f"{words}; the oldest is that of step {left[-1].step:,}", state="COLLECTED")
    return begin


def _spec(job: Job, begin: Checkpoint, *, first_step: int | None, steps: int | None) -> VerifySpec:
    first = begin.step + 1 if first_step is None else first_step
    there_are = job.recorded_step - first + 1
    return VerifySpec(
        job=job.name,
        first_step=first,
        steps=min(limits.VERIFIED_STEPS_DEFAULT, max(there_are, 1)) if steps is None else steps,
    )


def _check_recorded(uow: UnitOfWork, job: Job, begin: Checkpoint, spec: VerifySpec) -> None:
    if spec.last_step > job.recorded_step:
        words = f"{job.name} has recorded steps up to {job.recorded_step:,}, and not step {spec.last_step:,}"
        raise WrongState.of(words, state=job.state.value)
    span = spec.last_step - begin.step
    if span > limits.VERIFIED_STEPS_MAX:
        words = f"from the checkpoint of step {begin.step:,} to step {spec.last_step:,} are {span:,} steps, and at most"
        raise InvalidField.of("steps", f"{words} {limits.VERIFIED_STEPS_MAX:,} are computed again: ask for fewer")
    lineage = uow.metrics.lineage_at(job.uid, step=spec.last_step) or job.lineage
    if uow.metrics.count_recorded(job.uid, lineage=lineage, after=begin.step, last=spec.last_step) < span:
        words = f"steps {begin.step + 1:,} to {spec.last_step:,} of {job.name} are not of one line: the run went back"
        raise WrongState.of(f"{words} in between; choose steps on one side of that", state=job.state.value)
    last = uow.metrics.at(job.uid, step=spec.last_step)
    if last is None or not last.loss_chain:
        words = f"{job.name} was trained by a version that kept no chains of hashes to compare with"
        raise WrongState.of(words, state=job.state.value)


def _ready(uow: UnitOfWork, uid: str, *, of: Job) -> Dataset:
    dataset = uow.datasets.find_by_uid(uid)
    if dataset is None or dataset.state is not DatasetState.READY:
        gone = dataset.name if dataset else "a dataset"
        raise WrongState.of(f"{gone}, which {of.name} was trained on, is gone", state="DELETED")
    return dataset

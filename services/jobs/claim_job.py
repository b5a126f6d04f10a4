"""Taking a job: one transaction raises the epoch, sets the lease and keeps the quota."""

import dataclasses
import datetime

from services.domain.errors import InvalidField
from services.domain.job_events import Note, NoteLevel
from services.domain.job_states import HELD, Desire, Trigger
from services.domain.jobs import Assignment, Attempt, AttemptEnd, Checkpoint, FailureReason, Job, JobFailure
from services.domain.limits import WORKER_SLOTS_MAX
from services.domain.work import TRAINED, mixture_of
from services.domain.workers import WorkerInfo
from services.jobs.assigning import assignment_of, find_inputs
from services.jobs.completing import completed
from services.jobs.ending import close_attempt
from services.jobs.moving import move
from services.ports import House, UnitOfWork


def claim_job(house: House, *, worker: WorkerInfo, claim_id: str, wished_job_uid: str = "") -> Assignment | None:
    """Return the next job that may run, or None: the one wished for if it may, else the oldest whose project has room.

    The same `claim_id` returns the same assignment while that attempt lasts, and None afterwards. Raises: InvalidField.
    """
    _check(worker, claim_id=claim_id)
    with house.storage.write() as uow:
        now = uow.now()
        uow.workers.hear(worker, now=now)
        earlier = uow.attempts.find_by_claim(claim_id)
        if earlier is not None:
            assignment = _assignment_again(house, uow, earlier)
        else:
            assignment = None if worker.draining else _claim(house, uow, worker, claim_id, wished_job_uid)
        uow.commit()
    return assignment


def _check(worker: WorkerInfo, *, claim_id: str) -> None:
    if not 1 <= len(claim_id) <= 64:
        raise InvalidField.of("claim_id", f"must be 1 to 64 characters, got {len(claim_id)}")
    if not 0 <= worker.slots <= WORKER_SLOTS_MAX:
        raise InvalidField.of("worker.slots", f"must be 0 to {WORKER_SLOTS_MAX}, got {worker.slots}")


def _assignment_again(house: House, uow: UnitOfWork, attempt: Attempt) -> Assignment | None:
    job = uow.jobs.lock_by_uid(attempt.job_uid)
    if job is None or not job.held or job.epoch != attempt.epoch or attempt.end_time is not None:
        return None
    inputs = find_inputs(uow, job)
    return assignment_of(house, uow, job, inputs=inputs) if inputs else None


def _claim(house: House, uow: UnitOfWork, worker: WorkerInfo, claim_id: str, wished_job_uid: str) -> Assignment | None:
    full: set[str] = set()
    while job := uow.jobs.lock_claimable(now=uow.now(), wished_uid=wished_job_uid, without_projects=full):
        if not _has_room(uow, job):
            full.add(job.project_id)
            continue
        if _is_complete(uow, job):
            _complete(house, uow, job, worker=worker, claim_id=house.chance.uid())
            continue
        inputs = find_inputs(uow, job)
        if inputs is None:
            uow.jobs.save(move(uow, job, Trigger.FAIL, now=uow.now(), failure=_input_gone(job)))
            continue
        job = _taken(house, uow, job, worker=worker, claim_id=claim_id)
        return assignment_of(house, uow, job, inputs=inputs)
    return None


def _is_complete(uow: UnitOfWork, job: Job) -> bool:
    """Whether only the last word is missing, for work that has nothing to go on from: there is nothing left to do."""
    if job.kind in TRAINED:
        return False
    newest = uow.checkpoints.newest_usable(job.uid)
    return newest is not None and newest.complete


def _complete(house: House, uow: UnitOfWork, job: Job, *, worker: WorkerInfo, claim_id: str) -> None:
    """End a job whose attempt was lost between its complete file set and its last word."""
    job = _taken(house, uow, job, worker=worker, claim_id=claim_id)
    attempt = uow.attempts.find(job.uid, epoch=job.epoch)
    assert attempt is not None, "it was taken just now"
    close_attempt(uow, attempt, AttemptEnd.COMPLETE, now=uow.now(), message="its files were complete already")
    uow.jobs.save(completed(house, uow, job))


def _has_room(uow: UnitOfWork, job: Job) -> bool:
    """Whether the quota of the project leaves room; its row is held, so that only one claim takes the last place."""
    project = uow.projects.lock(job.project_id)
    return project is not None and uow.jobs.count(job.project_id, states=HELD) < project.running_jobs_max


def _taken(house: House, uow: UnitOfWork, job: Job, *, worker: WorkerInfo, claim_id: str) -> Job:
    now = uow.now()
    job = dataclasses.replace(
        job,
        epoch=job.epoch + 1,
        worker_id=worker.id,
        lease_until=now + datetime.timedelta(seconds=house.leases.lease_s),
        start_time=job.start_time or now,
    )
    resume = uow.checkpoints.newest_usable(job.uid)
    job = move(uow, job, Trigger.CLAIM, now=now, message=f"claimed by workers/{worker.id}")
    uow.attempts.add(_attempt(job, claim_id=claim_id, now=now))
    if resume is not None:
        job = _seam(uow, job, resume, now=now)
    uow.jobs.save(job)
    return job


def _seam(uow: UnitOfWork, job: Job, resume: Checkpoint, *, now: datetime.datetime) -> Job:
    """Tell where training goes on; when it was complete before, nothing is trained again."""
    note = Note(
        level=NoteLevel.INFO,
        kind="resumed",
        message=f"attempt {job.epoch} goes on from the checkpoint of step {resume.step}",
        details={"step": str(resume.step), "epoch": str(job.epoch)},
    )
    job = uow.events.append(job, [note], time=now)
    if not resume.complete:
        return job
    return move(uow, dataclasses.replace(job, desire=Desire.RUN), Trigger.COMPLETE, now=now)


def _attempt(job: Job, *, claim_id: str, now: datetime.datetime) -> Attempt:
    return Attempt(
        job_uid=job.uid,
        epoch=job.epoch,
        worker_id=job.worker_id,
        claim_id=claim_id,
        start_time=now,
        first_recorded_step=job.recorded_step,
    )


def _input_gone(job: Job) -> JobFailure:
    return JobFailure(
        reason=FailureReason.INPUT_GONE,
        message=f"{_inputs(job)} was deleted before the job could use it.",
        help="Upload it again and submit the job again.",
    )


def _inputs(job: Job) -> str:
    return " or ".join([job.spec.dataset or "a dataset", *mixture_of(job.spec)])

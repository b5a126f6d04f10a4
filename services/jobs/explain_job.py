"""Saying in words why a job waits, is slow or failed."""

import statistics
from collections.abc import Sequence

from services.domain.explanation import Explanation, Surroundings, explain
from services.domain.forecasting import expected_wait_s, similar_speeds
from services.domain.job_states import HELD, WAITING
from services.domain.jobs import Job
from services.domain.limits import RUNNING_JOBS_MAX_DEFAULT
from services.domain.projects import Caller
from services.jobs.own_job import find_own_job
from services.ports import House, UnitOfWork


def explain_job(house: House, *, caller: Caller, name: str) -> Explanation:
    """Return what a job is doing and why. Raises: NotFound."""
    with house.storage.read() as uow:
        job = find_own_job(uow, caller=caller, name=name)
        return explain(job, _surroundings(house, uow, job))


def _surroundings(house: House, uow: UnitOfWork, job: Job) -> Surroundings:
    now = uow.now()
    workers = [each for each in uow.workers.alive(now=now, lease_s=house.leases.lease_s) if not each.draining]
    slots, held = sum(worker.slots for worker in workers), uow.jobs.held()
    project = uow.projects.find(job.project_id)
    waits = job.state in WAITING
    return Surroundings(
        now=now,
        ready_workers=len(workers),
        slots=slots,
        held_jobs=len(held),
        ahead=uow.jobs.count_ahead(job) if waits else 0,
        project_held=uow.jobs.count(job.project_id, states=HELD),
        project_held_max=project.running_jobs_max if project else RUNNING_JOBS_MAX_DEFAULT,
        last_end=uow.attempts.latest(job.uid, ended=True),
        start_s=_start_s(uow, job, slots=slots, held=held) if waits else None,
        expected_tokens_per_second=_expected_speed(uow, job),
    )


def _start_s(uow: UnitOfWork, job: Job, *, slots: int, held: Sequence[Job]) -> float | None:
    held_s = [each.remaining_s for each in held]
    return expected_wait_s(slots=slots, held_s=held_s, ahead_s=uow.jobs.waiting_s(before=job))


def _expected_speed(uow: UnitOfWork, job: Job) -> float | None:
    if not job.spec.flops_per_step:
        return None  # nothing is trained
    speeds = similar_speeds(
        uow.attempts.speeds(),
        parameters=job.spec.parameters,
        kind=job.kind,
        tokens_per_step=job.spec.tokens_per_step,
    )
    if not speeds:
        return None
    return statistics.median(speeds) * job.spec.tokens_per_step / job.spec.flops_per_step

"""Appending what a trainer did, in order and once."""

import dataclasses
import datetime
from collections.abc import Sequence

from services.domain.errors import FactGap, InvalidField
from services.domain.job_events import CheckpointWritten, Fact, Happening, MetricLogged, Note, SampleDrawn
from services.domain.job_states import JobState, Trigger
from services.domain.jobs import Attempt, Job
from services.domain.limits import FACT_TEXT_CHARACTERS_MAX, FACTS_MAX, METRIC_VALUES_MAX
from services.jobs.attempt import lock_attempt
from services.jobs.moving import move
from services.ports import House, UnitOfWork

_SMOOTHING = 0.9  # of the speed that is shown: about the last ten steps


def report_facts(house: House, *, job_uid: str, epoch: int, facts: Sequence[Fact]) -> int:
    """Append facts, and return the last fact that has arrived. Facts that had arrived before change nothing.

    A step that is recorded, and a sample that was shown, are not told again when a later attempt computes them again.
    Raises: StaleAttempt, FactGap, InvalidField.
    """
    if len(facts) > FACTS_MAX:
        raise InvalidField.of("facts", f"must be at most {FACTS_MAX}, got {len(facts)}")
    with house.storage.write() as uow:
        job, attempt = lock_attempt(uow, job_uid, epoch=epoch)
        new = _new_facts(facts, after=attempt.last_fact_seq)
        if not new:
            return attempt.last_fact_seq
        job, attempt = _appended(uow, job, attempt, new, now=uow.now())
        uow.jobs.save(job)
        uow.attempts.save(attempt)
        uow.commit()
    return attempt.last_fact_seq


def _new_facts(facts: Sequence[Fact], *, after: int) -> list[Fact]:
    new = [fact for fact in facts if fact.seq > after]
    for expected, fact in enumerate(new, start=after + 1):
        if fact.seq != expected:
            raise FactGap.of(expected_seq=expected, got_seq=fact.seq)
    return new


def _appended(
    uow: UnitOfWork, job: Job, attempt: Attempt, facts: Sequence[Fact], *, now: datetime.datetime
) -> tuple[Job, Attempt]:
    happenings: list[Happening] = []
    for fact in facts:
        told = fact.told
        if isinstance(told, CheckpointWritten) or _is_known(job, told):
            continue
        if isinstance(told, MetricLogged):
            job, attempt = _measured(job, told), _timed(attempt, told)
        elif isinstance(told, SampleDrawn):
            job = dataclasses.replace(job, sampled_step=told.step)
        happenings.append(_clean(told))
    started = job.state is JobState.STARTING and any(isinstance(each, MetricLogged) for each in happenings)
    if started:
        job = move(uow, job, Trigger.PROGRESS, now=now)
    job = uow.events.append(dataclasses.replace(job, update_time=now), happenings, time=now)
    return job, dataclasses.replace(attempt, last_fact_seq=facts[-1].seq)


def _is_known(job: Job, told: MetricLogged | SampleDrawn | Note) -> bool:
    """Whether it was recorded before; steps come in order, so a number says it."""
    if isinstance(told, MetricLogged):
        return told.step <= job.recorded_step
    return isinstance(told, SampleDrawn) and told.step <= job.sampled_step


def _measured(job: Job, told: MetricLogged) -> Job:
    if told.step > job.spec.steps:
        raise InvalidField.of("facts", f"step {told.step} is beyond the {job.spec.steps} steps of the job")
    if len(told.values) > METRIC_VALUES_MAX:
        raise InvalidField.of("facts", f"step {told.step} must have at most {METRIC_VALUES_MAX} values")
    speed, before = told.values.get("perf/tokens_per_second"), job.tokens_per_second
    if speed is not None and before is not None:
        speed = _SMOOTHING * before + (1 - _SMOOTHING) * speed
    return dataclasses.replace(
        job,
        recorded_step=told.step,
        loss=told.values.get("train/loss", job.loss),
        validation_loss=told.values.get("eval/loss", job.validation_loss),
        tokens_per_second=before if speed is None else speed,
    )


def _timed(attempt: Attempt, told: MetricLogged) -> Attempt:
    seconds = told.values.get("perf/step_seconds")
    if not seconds or not 0 < seconds < float("inf"):
        return attempt
    return dataclasses.replace(attempt, steps=attempt.steps + 1, seconds=attempt.seconds + seconds)


def _clean(told: MetricLogged | SampleDrawn | Note) -> Happening:
    """Return what is kept of it: text of a bounded length, without NUL, which PostgreSQL cannot store."""
    if isinstance(told, SampleDrawn):
        return dataclasses.replace(told, prompt=_text(told.prompt), text=_text(told.text))
    if isinstance(told, Note):
        details = {_text(key): _text(value) for key, value in told.details.items()}
        return dataclasses.replace(told, message=_text(told.message), details=details)
    return told


def _text(text: str) -> str:
    return text[:FACT_TEXT_CHARACTERS_MAX].replace("\x00", "�")

"""Appending what a trainer did, in order and once."""

import dataclasses
import datetime
import re
from collections.abc import Sequence

from services.domain.answers import AnswersDrawn
from services.domain.errors import FactGap, InvalidField
from services.domain.job_events import (
    BlamedRow,
    CheckpointWritten,
    Fact,
    Happening,
    MetricLogged,
    RolledBack,
    RowsBlamed,
    SampleDrawn,
    Told,
)
from services.domain.job_states import JobState, Trigger
from services.domain.jobs import Attempt, Job, Usage
from services.domain.limits import (
    BLAMED_EXCERPT_CHARACTERS_MAX,
    BLAMED_ROWS_MAX,
    FACT_TEXT_CHARACTERS_MAX,
    FACTS_MAX,
    METRIC_VALUES_MAX,
    NAME_CHARACTERS_MAX,
)
from services.domain.work import VerifySpec
from services.jobs.attempt import lock_attempt
from services.jobs.keeping_answers import keep_answers
from services.jobs.moving import move
from services.ports import House, UnitOfWork

_CHAIN = re.compile(r"[0-9a-f]{0,64}")
_BYTES_MAX = 2**60  # far above any machine, far below what a column holds
_SMOOTHING = 0.9  # of the speed that is shown: about the last ten steps


def report_facts(house: House, *, job_uid: str, epoch: int, facts: Sequence[Fact]) -> int:
    """Append facts, and return the last fact that has arrived. Facts that had arrived before change nothing.

    A step that is recorded, and a sample that was shown, are not told again when a later attempt computes them again. A
    rollback begins a new line of steps: those after it are recorded once more, and the curves show the later ones.
    Answers become items of the review and pairs of the duel that the job draws for.
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
        if isinstance(told, Usage):
            job = _used(job, told)
        elif isinstance(told, AnswersDrawn):
            keep_answers(uow, job, told)
            job = _begun(uow, job, now=now)  # a later attempt tells the answers again, and no step
        elif isinstance(told, RolledBack) and _goes_on(job, told):
            job = _append(uow, job, [*happenings, _clean(told)], now=now)
            job, attempt = _rolled_back(uow, job, attempt, told)
            happenings = []
        elif not isinstance(told, CheckpointWritten | RolledBack) and not _is_known(job, attempt, told):
            job, attempt = _counted(job, attempt, told)
            happenings.append(_clean(told))
    job = _append(uow, job, happenings, now=now)
    return job, dataclasses.replace(attempt, last_fact_seq=facts[-1].seq)


def _append(uow: UnitOfWork, job: Job, happenings: Sequence[Happening], *, now: datetime.datetime) -> Job:
    if any(isinstance(each, MetricLogged) for each in happenings):
        job = _begun(uow, job, now=now)
    return uow.events.append(dataclasses.replace(job, update_time=now), happenings, time=now)


def _begun(uow: UnitOfWork, job: Job, *, now: datetime.datetime) -> Job:
    """Return the job RUNNING if it was STARTING."""
    return move(uow, job, Trigger.PROGRESS, now=now) if job.state is JobState.STARTING else job


def _goes_on(job: Job, told: RolledBack) -> bool:
    """Whether this rollback is the next one; one that was told before, by whatever attempt, changes nothing."""
    return told.lineage == job.lineage + 1 and job.state is not JobState.FINALIZING and told.to_step >= 0


def _rolled_back(uow: UnitOfWork, job: Job, attempt: Attempt, told: RolledBack) -> tuple[Job, Attempt]:
    """Begin the next line of steps: what comes after its first step is not recorded yet, and not resumed from."""
    uow.checkpoints.abandon(job.uid, after=told.to_step)
    newest = uow.checkpoints.newest_usable(job.uid)
    first_recorded_step = min(attempt.first_recorded_step, told.to_step)
    job = dataclasses.replace(
        job,
        lineage=told.lineage,
        line_start=told.to_step,
        recorded_step=min(job.recorded_step, told.to_step),
        sampled_step=min(job.sampled_step, told.to_step),
        checkpoint_step=newest.step if newest else None,
    )
    return job, dataclasses.replace(attempt, first_recorded_step=first_recorded_step)


def _is_known(job: Job, attempt: Attempt, told: Told) -> bool:
    """Whether it was recorded before; steps come in order, so a number says it."""
    if isinstance(told, MetricLogged):
        return told.step <= job.recorded_step
    if isinstance(told, RowsBlamed):
        return told.step <= attempt.first_recorded_step
    return isinstance(told, SampleDrawn) and told.step <= job.sampled_step


def _counted(job: Job, attempt: Attempt, told: Told) -> tuple[Job, Attempt]:
    if isinstance(told, MetricLogged):
        attempt, seconds = _timed(attempt, told)
        return dataclasses.replace(_measured(job, told), training_s=job.training_s + seconds), attempt
    if isinstance(told, SampleDrawn):
        return dataclasses.replace(job, sampled_step=told.step), attempt
    return job, attempt


def _used(job: Job, told: Usage) -> Job:
    peak = max(told.peak_memory_bytes or 0, job.peak_memory_bytes or 0)
    return dataclasses.replace(job, peak_memory_bytes=min(peak, _BYTES_MAX) or None)


def _measured(job: Job, told: MetricLogged) -> Job:
    last = job.spec.last_step if isinstance(job.spec, VerifySpec) else job.spec.steps
    if told.step > last:
        raise InvalidField.of("facts", f"step {told.step} is beyond the {last} steps of the job")
    if len(told.values) > METRIC_VALUES_MAX:
        raise InvalidField.of("facts", f"step {told.step} must have at most {METRIC_VALUES_MAX} values")
    speed = told.values.get("perf/tokens_per_second", told.values.get("draw/tokens_per_second"))
    before = job.tokens_per_second
    if speed is not None and before is not None:
        speed = _SMOOTHING * before + (1 - _SMOOTHING) * speed
    return dataclasses.replace(
        job,
        recorded_step=told.step,
        loss=told.values.get("train/loss", job.loss),
        validation_loss=told.values.get("eval/loss", job.validation_loss),
        tokens_per_second=before if speed is None else speed,
    )


def _timed(attempt: Attempt, told: MetricLogged) -> tuple[Attempt, float]:
    seconds = told.values.get("perf/step_seconds")
    if not seconds or not 0 < seconds < float("inf"):
        return attempt, 0.0
    return dataclasses.replace(attempt, steps=attempt.steps + 1, seconds=attempt.seconds + seconds), seconds


def _clean(told: Told) -> Happening:
    """Return what is kept of it: text of a bounded length, without NUL, which PostgreSQL cannot store."""
    if isinstance(told, MetricLogged):
        return dataclasses.replace(told, data_chain=_chain(told.data_chain), loss_chain=_chain(told.loss_chain))
    if isinstance(told, SampleDrawn):
        return dataclasses.replace(told, prompt=_text(told.prompt), text=_text(told.text))
    if isinstance(told, RolledBack):
        return dataclasses.replace(told, message=_text(told.message))
    if isinstance(told, RowsBlamed):
        rows = [_row(row) for row in told.rows[:BLAMED_ROWS_MAX]]
        return dataclasses.replace(told, rows=tuple(rows))
    details = {_text(key): _text(value) for key, value in told.details.items()}
    return dataclasses.replace(told, message=_text(told.message), details=details)


def _row(row: BlamedRow) -> BlamedRow:
    excerpt = _text(row.excerpt)[:BLAMED_EXCERPT_CHARACTERS_MAX]
    return dataclasses.replace(row, dataset=_text(row.dataset)[:NAME_CHARACTERS_MAX], excerpt=excerpt)


def _chain(chain: str) -> str:
    return chain if _CHAIN.fullmatch(chain) else ""


def _text(text: str) -> str:
    return text[:FACT_TEXT_CHARACTERS_MAX].replace("\x00", "\ufffd")

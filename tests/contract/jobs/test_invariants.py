"""Whatever owners, workers and caretakers do, in any order: the invariants hold after every deed.

A Hypothesis state machine against the real SQL. Two jobs, two workers that may fall silent and wake up; every deed is
tried at any time, and a refusal in the words of the house is a fine answer.
"""

import contextlib
import dataclasses
import itertools
import pathlib
import shutil
import tempfile
from collections.abc import Callable

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from services.domain import limits
from services.domain.errors import DomainError
from services.domain.job_events import CheckpointWritten, MetricLogged, RolledBack, StateChanged
from services.domain.job_states import FINAL, HELD, TRANSITIONS, JobState
from services.domain.jobs import Assignment, AttemptEnd, Job
from services.jobs.cancel_job import cancel_job
from services.jobs.pause_job import pause_job
from services.jobs.reclaim_lease import reclaim_lease
from services.jobs.resume_job import resume_job
from services.ports import Leases
from services.storage.tables.jobs import attempt
from services.storage.tables.models import model_version
from services.storage.unit_of_work import SqlStorage
from tests.support.houses import Bench, make_bench, sample_fact, step_fact
from tests.support.works import rolled_back

JOBS = ("a", "b")
OWNER_DEEDS: dict[str, Callable[..., object]] = {"cancel": cancel_job, "pause": pause_job, "resume": resume_job}
refused = contextlib.suppress(DomainError)


class House(RuleBasedStateMachine):
    """Deeds at random; `held` is what workers believe to hold, right or wrong."""

    template: pathlib.Path

    def __init__(self) -> None:
        super().__init__()
        self.folder = pathlib.Path(tempfile.mkdtemp(dir=self.template.parent))
        shutil.copy(self.template, self.folder / "tutelage.db")
        self.storage = SqlStorage.at(f"sqlite:///{self.folder / 'tutelage.db'}")
        bench = make_bench(self.storage, artifacts_dir=self.folder / "artifacts")
        patient = dataclasses.replace(bench.house, leases=Leases(lease_s=3600))
        self.bench: Bench = dataclasses.replace(bench, house=patient)
        self.jobs = {job_id: self.bench.submit(job_id=job_id) for job_id in JOBS}
        self.held: list[Assignment] = []
        self.ended: dict[str, JobState] = {}

    def teardown(self) -> None:
        self.storage.close()
        shutil.rmtree(self.folder)

    @rule(worker=st.sampled_from(["w1", "w2"]))
    def claim(self, worker: str) -> None:
        assignment = self.bench.claim(worker=worker)
        if assignment is not None:
            self.held.append(assignment)

    @rule(data=st.data(), step=st.integers(1, 10), again=st.booleans())
    def report(self, data: st.DataObject, step: int, again: bool) -> None:
        at = self._any(data)
        if at is not None:
            with refused:
                seq = self._acknowledged(at) + (0 if again else 1)
                self.bench.report(at, step_fact(seq, step=step), sample_fact(seq + 1, step=step))

    @rule(data=st.data(), to_step=st.integers(0, 10), lineage=st.integers(1, 4))
    def roll_back(self, data: st.DataObject, to_step: int, lineage: int) -> None:
        at = self._any(data)
        if at is not None:
            with refused:
                seq = self._acknowledged(at) + 1
                self.bench.report(at, rolled_back(seq, from_step=10, to_step=to_step, lineage=lineage))

    @rule(data=st.data(), step=st.integers(0, 10))
    def commit(self, data: st.DataObject, step: int) -> None:
        at = self._any(data)
        if at is not None:
            with refused:
                self.bench.commit(at, self._written(at, step))

    @rule(data=st.data(), end=st.sampled_from([end for end in AttemptEnd if end is not AttemptEnd.LEASE_LOST]))
    def finish(self, data: st.DataObject, end: AttemptEnd) -> None:
        at = self._any(data)
        if at is not None:
            with refused:
                self.bench.finish(at, end)

    @rule(job_id=st.sampled_from(JOBS), deed=st.sampled_from(sorted(OWNER_DEEDS)))
    def steer(self, job_id: str, deed: str) -> None:
        with refused:
            OWNER_DEEDS[deed](self.bench.house, caller=self.bench.caller, name=self.jobs[job_id].name)

    @rule(job_id=st.sampled_from(JOBS))
    def fall_silent(self, job_id: str) -> None:
        job = self.bench.job(self.jobs[job_id].uid)
        if job.held:
            self.bench.expire_lease(job.uid)
            reclaim_lease(self.bench.house)

    @rule(job_id=st.sampled_from(JOBS))
    def let_time_pass(self, job_id: str) -> None:
        job = self.bench.job(self.jobs[job_id].uid)
        if job.state is JobState.BACKOFF:
            self.bench.make_due(job.uid)

    @invariant()
    def history_is_gapless_and_legal(self) -> None:
        for job in self._jobs():
            events = self.bench.history(job.uid)
            assert [event.seq for event in events] == list(range(1, job.last_seq + 1))
            changes = [event.happening for event in events if isinstance(event.happening, StateChanged)]
            for earlier, later in itertools.pairwise(changes):
                assert later.before is earlier.after
                assert later.after in {to for (state, _), to in TRANSITIONS.items() if state is later.before}
            assert changes[-1].after is job.state

    @invariant()
    def steps_are_recorded_once_and_in_order_on_each_line(self) -> None:
        for job in self._jobs():
            line: list[int] = []
            lineage = 1
            for event in self.bench.history(job.uid):
                if isinstance(event.happening, MetricLogged):
                    assert event.happening.step > max(line, default=0)
                    line.append(event.happening.step)
                elif isinstance(event.happening, RolledBack):
                    assert event.happening.lineage == lineage + 1
                    lineage += 1
                    line = [step for step in line if step <= event.happening.to_step]
            assert job.lineage == lineage
            # A run that went back to a checkpoint beyond its last recorded step goes on from what was recorded.
            assert job.recorded_step == max(line, default=0)

    @invariant()
    def no_run_goes_on_from_a_line_that_it_has_left(self) -> None:
        for job in self._jobs():
            with self.bench.house.storage.read() as uow:
                usable = uow.checkpoints.usable(job.uid)
            assert all(each.lineage >= job.lineage or each.step <= job.line_start for each in usable)
            assert job.checkpoint_step is None or usable

    @invariant()
    def the_end_is_the_end(self) -> None:
        for job in self._jobs():
            assert self.ended.get(job.uid, job.state) is job.state
            if job.state in FINAL:
                self.ended[job.uid] = job.state

    @invariant()
    def a_held_job_has_one_open_attempt_and_no_other_job_has_one(self) -> None:
        with self.storage.engine.connect() as connection:
            query = sa.select(attempt.c.job_uid, attempt.c.epoch).where(attempt.c.end_time.is_(None))
            open_attempts = {(row.job_uid, row.epoch) for row in connection.execute(query)}
        assert open_attempts == {(job.uid, job.epoch) for job in self._jobs() if job.state in HELD}

    @invariant()
    def a_model_version_is_there_for_each_success_and_for_nothing_else(self) -> None:
        with self.storage.engine.connect() as connection:
            published = list(connection.execute(sa.select(model_version.c.job_uid)).scalars())
        assert sorted(published) == sorted(job.uid for job in self._jobs() if job.state is JobState.SUCCEEDED)

    def _jobs(self) -> list[Job]:
        return [self.bench.job(job.uid) for job in self.jobs.values()]

    def _any(self, data: st.DataObject) -> Assignment | None:
        return data.draw(st.sampled_from(self.held)) if self.held else None

    def _acknowledged(self, at: Assignment) -> int:
        with self.bench.house.storage.read() as uow:
            found = uow.attempts.find(at.job.uid, epoch=at.job.epoch)
        return found.last_fact_seq if found else 0

    def _written(self, at: Assignment, step: int) -> CheckpointWritten:
        prefix = f"{at.checkpoint_prefix}/step-{step}"
        self.bench.house.store.delete_all(prefix)
        return self.bench.written(at, step=step, complete=step == at.job.spec.steps)


@pytest.mark.timeout(300)
@pytest.mark.hypothesis
def test_the_invariants_hold_whatever_happens(sqlite_template: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    House.template = sqlite_template
    for name in ("BACKOFF_FIRST_S", "LOST_LEASE_BACKOFF_S", "DRAINED_BACKOFF_S"):
        monkeypatch.setattr(limits, name, limits.BACKOFF_MAX_S)  # no wait is over unless a deed says so
    run_state_machine_as_test(
        House,
        settings=settings(
            max_examples=25,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )

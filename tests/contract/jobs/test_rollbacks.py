"""Going back to an earlier step: a new line of steps, which is all that counts from there on."""

import dataclasses

import pytest

from services.domain.errors import StaleAttempt, WrongState
from services.domain.job_events import MetricLogged, RolledBack, SampleDrawn
from services.domain.jobs import Assignment, AttemptEnd, CheckpointState
from services.domain.pages import PageRequest
from services.jobs.collect_checkpoints import collect_checkpoints
from services.jobs.list_checkpoints import list_checkpoints
from services.jobs.query_metrics import query_metrics
from services.jobs.watch_job import read_job_events
from tests.support.houses import A_TIME, Bench, sample_fact, step_fact, steps
from tests.support.works import rolled_back


def went_back(bench: Bench) -> Assignment:
    """Return an attempt that went back from step 7 to the checkpoint of step 4; that of step 6 is on the old line."""
    at = bench.started()
    bench.report(at, *steps(1, 7), sample_fact(8, step=7))
    for step in (4, 6):
        bench.commit(at, bench.written(at, step=step, content=b"%d" % step))
    bench.report(at, rolled_back(9, from_step=7, to_step=4, lineage=2))
    return at


def again(bench: Bench, at: Assignment) -> Assignment:
    """End an attempt without blame, and begin the next one."""
    bench.finish(at, AttemptEnd.DRAINED)
    bench.make_due(at.job.uid)
    assignment = bench.claim()
    assert assignment is not None
    return assignment


def test_a_rollback_begins_the_next_line_of_steps(bench: Bench) -> None:
    job = bench.job(went_back(bench).job.uid)
    assert (job.lineage, job.line_start) == (2, 4)
    assert (job.recorded_step, job.sampled_step, job.checkpoint_step) == (4, 4, 4)
    told = bench.history(job.uid)[-1].happening
    assert told == RolledBack(from_step=7, to_step=4, message="The loss was not finite.", lineage=2)


def test_steps_after_a_rollback_are_recorded_once_more_and_told_to_watchers(bench: Bench) -> None:
    at = went_back(bench)
    bench.report(at, step_fact(10, step=5, **{"train/loss": 1.0}), sample_fact(11, step=6, text="better"))
    history = bench.history(at.job.uid)
    assert [event.seq for event in history] == list(range(1, len(history) + 1))
    recorded = [each.happening.step for each in history if isinstance(each.happening, MetricLogged)]
    assert recorded == [1, 2, 3, 4, 5, 6, 7, 5]
    samples = [each.happening.text for each in history if isinstance(each.happening, SampleDrawn)]
    assert samples == ["or not", "better"]
    after = read_job_events(bench.house, job_uid=at.job.uid, after=history[-3].seq)
    assert [type(each.happening) for each in after] == [MetricLogged, SampleDrawn]


def test_curves_show_the_later_metrics_of_a_step(bench: Bench) -> None:
    at = went_back(bench)
    bench.report(at, step_fact(10, step=5, **{"train/loss": 1.0}), step_fact(11, step=6, **{"train/loss": 0.5}))
    (series,) = query_metrics(bench.house, caller=bench.caller, name=at.job.name, keys=["train/loss"])
    by_step = dict(zip(series.steps, series.means, strict=True))
    assert (by_step[4], by_step[5], by_step[6]) == (4.6, 1.0, 0.5)


def test_steps_that_the_new_line_has_not_reached_are_in_no_curve(bench: Bench) -> None:
    at = went_back(bench)
    (series,) = query_metrics(bench.house, caller=bench.caller, name=at.job.name, keys=["train/loss"])
    assert series.steps == (1, 2, 3, 4)
    bench.report(at, step_fact(10, step=5))
    (series,) = query_metrics(bench.house, caller=bench.caller, name=at.job.name, keys=["train/loss"])
    assert series.steps == (1, 2, 3, 4, 5)


def test_metrics_before_a_rollback_in_the_same_report_belong_to_the_old_line(bench: Bench) -> None:
    at = bench.started()
    bench.commit(at, bench.written(at, step=0))
    bench.report(at, *steps(1, 3), rolled_back(4, from_step=3, to_step=0, lineage=2), *steps(1, 2, first_seq=5))
    with bench.house.storage.read() as uow:
        lineages = [uow.metrics.lineage_at(at.job.uid, step=step) for step in (1, 2, 3)]
    assert lineages == [2, 2, 1]
    assert bench.job(at.job.uid).recorded_step == 2


@pytest.mark.parametrize("lineage", [1, 2, 4])
def test_a_rollback_that_is_not_the_next_one_changes_nothing(bench: Bench, lineage: int) -> None:
    at = went_back(bench)
    before = bench.job(at.job.uid)
    bench.report(at, rolled_back(10, from_step=7, to_step=0, lineage=lineage))
    assert bench.job(at.job.uid) == dataclasses.replace(before, update_time=bench.job(at.job.uid).update_time)
    assert sum(isinstance(each.happening, RolledBack) for each in bench.history(at.job.uid)) == 1


def test_a_rollback_told_twice_happens_once(bench: Bench) -> None:
    at = went_back(bench)
    before = bench.history(at.job.uid)
    bench.report(at, rolled_back(9, from_step=7, to_step=4, lineage=2))
    bench.report(again(bench, at), rolled_back(1, from_step=7, to_step=4, lineage=2))
    told = [each for each in bench.history(at.job.uid) if isinstance(each.happening, RolledBack)]
    assert len(told) == 1 and told[0] in before


def test_an_attempt_that_is_over_cannot_go_back(bench: Bench) -> None:
    at = bench.started()
    bench.report(at, *steps(1, 3))
    again(bench, at)
    with pytest.raises(StaleAttempt):
        bench.report(at, rolled_back(4, from_step=3, to_step=0, lineage=2))
    assert bench.job(at.job.uid).lineage == 1


def test_the_next_attempt_goes_on_from_the_new_line(bench: Bench) -> None:
    assignment = again(bench, went_back(bench))
    assert assignment.resume is not None
    assert (assignment.resume.step, assignment.job.lineage, assignment.job.recorded_step) == (4, 2, 4)


def test_checkpoints_of_the_new_line_take_the_place_of_the_old_ones(bench: Bench) -> None:
    at = went_back(bench)
    bench.report(at, *steps(5, 6, first_seq=10))
    written = bench.written(at, step=6, content=b"new", lineage=2)
    bench.commit(at, written, through_seq=11)
    assignment = again(bench, at)
    assert assignment.resume is not None
    assert (assignment.resume.step, assignment.resume.lineage) == (6, 2)
    assert assignment.resume.manifest_sha256 == written.manifest_sha256


def test_a_checkpoint_of_the_old_line_that_comes_late_is_refused_and_harms_nothing(bench: Bench) -> None:
    at = went_back(bench)
    late = dataclasses.replace(bench.written(at, step=7, content=b"7"), lineage=1)
    before = bench.job(at.job.uid)
    with pytest.raises(WrongState, match="line of steps that was left"):
        bench.commit(at, late, through_seq=9)
    with pytest.raises(WrongState, match="line of steps that was left"):
        bench.commit(at, dataclasses.replace(late, lineage=0), through_seq=9)
    assert bench.job(at.job.uid) == before


def test_the_checkpoint_to_which_a_run_went_back_may_come_late(bench: Bench) -> None:
    at = bench.started()
    bench.report(at, *steps(1, 7), rolled_back(8, from_step=7, to_step=4, lineage=2))
    assert bench.job(at.job.uid).checkpoint_step is None
    bench.commit(at, dataclasses.replace(bench.written(at, step=4), lineage=1), through_seq=8)
    assert bench.job(at.job.uid).checkpoint_step == 4
    resume = again(bench, at).resume
    assert resume is not None and (resume.step, resume.lineage) == (4, 1)


def test_a_checkpoint_may_come_after_the_metrics_of_later_steps(bench: Bench) -> None:
    at = bench.started()
    bench.report(at, *steps(1, 8))
    bench.commit(at, bench.written(at, step=5), through_seq=5)
    second = again(bench, at)
    assert second.resume is not None
    assert (second.resume.step, second.job.recorded_step) == (5, 8)
    bench.report(second, *steps(6, 9))
    recorded = [each.happening.step for each in bench.history(at.job.uid) if isinstance(each.happening, MetricLogged)]
    assert recorded == list(range(1, 10))


def test_an_older_checkpoint_that_comes_after_a_newer_one_is_not_gone_on_from(bench: Bench) -> None:
    at = bench.started()
    bench.report(at, *steps(1, 8))
    for step in (6, 4):
        bench.commit(at, bench.written(at, step=step))
    assert bench.job(at.job.uid).checkpoint_step == 6
    resume = again(bench, at).resume
    assert resume is not None and resume.step == 6


def test_checkpoints_of_the_line_that_was_left_are_collected(bench: Bench) -> None:
    at = went_back(bench)
    assert collect_checkpoints(bench.house, since=A_TIME) == 1
    _job, found, _token = list_checkpoints(bench.house, caller=bench.caller, parent=at.job.name, page=PageRequest())
    assert [(each.step, each.state) for each in found] == [
        (6, CheckpointState.COLLECTED),
        (4, CheckpointState.COMMITTED),
    ]


def test_checkpoints_of_one_step_on_two_lines_are_both_listed_page_by_page(bench: Bench) -> None:
    at = went_back(bench)
    bench.report(at, *steps(5, 6, first_seq=10))
    bench.commit(at, bench.written(at, step=6, content=b"new", lineage=2), through_seq=11)
    found, token = [], ""
    for _ in range(3):
        page = PageRequest(size=1, token=token)
        _job, shown, token = list_checkpoints(bench.house, caller=bench.caller, parent=at.job.name, page=page)
        found += [(each.step, each.lineage) for each in shown]
    assert found == [(6, 2), (6, 1), (4, 1)] and token == ""

"""Facts: in order, once, without a gap."""

import math

import pytest

from services.domain.errors import FactGap, InvalidField
from services.domain.job_events import Fact, MetricLogged, SampleDrawn
from services.domain.job_states import JobState
from services.domain.jobs import AttemptEnd
from services.jobs.query_metrics import query_metrics
from tests.support.houses import Bench, note_fact, sample_fact, step_fact, steps


def recorded_steps(bench: Bench, uid: str) -> list[int]:
    return [event.happening.step for event in bench.history(uid) if isinstance(event.happening, MetricLogged)]


def test_the_first_step_means_running(bench: Bench) -> None:
    assignment = bench.started()
    bench.report(assignment, note_fact(1))
    assert bench.job(assignment.job.uid).state is JobState.STARTING
    bench.report(assignment, step_fact(2, step=1))
    assert bench.job(assignment.job.uid).state is JobState.RUNNING


def test_facts_become_progress(bench: Bench) -> None:
    assignment = bench.started()
    assert bench.report(assignment, *steps(1, 3), step_fact(4, step=4, **{"eval/loss": 2.5})) == 4
    job = bench.job(assignment.job.uid)
    assert (job.recorded_step, job.loss, job.validation_loss) == (4, 4.6, 2.5)
    assert job.tokens_per_second == pytest.approx(128.0)
    assert job.remaining_s == pytest.approx((10 - 4) * 64 / 128.0)


def test_history_is_gapless_and_ordered_across_metrics_and_events(bench: Bench) -> None:
    assignment = bench.started()
    bench.report(assignment, step_fact(1, step=1), sample_fact(2, step=1), note_fact(3), step_fact(4, step=2))
    seqs = [event.seq for event in bench.history(assignment.job.uid)]
    assert seqs == list(range(1, len(seqs) + 1))
    assert bench.job(assignment.job.uid).last_seq == len(seqs)


def test_facts_told_twice_are_acknowledged_twice_and_written_once(bench: Bench) -> None:
    assignment = bench.started()
    bench.report(assignment, *steps(1, 3))
    before = bench.history(assignment.job.uid)
    assert bench.report(assignment, *steps(1, 3)) == 3
    assert bench.history(assignment.job.uid) == before
    assert bench.report(assignment, *steps(2, 5, first_seq=2)) == 5
    assert recorded_steps(bench, assignment.job.uid) == [1, 2, 3, 4, 5]


def test_a_gap_is_refused_with_the_fact_that_is_next(bench: Bench) -> None:
    assignment = bench.started()
    bench.report(assignment, step_fact(1, step=1))
    with pytest.raises(FactGap) as caught:
        bench.report(assignment, step_fact(3, step=3))
    assert caught.value.metadata == {"expected_seq": "2"}
    with pytest.raises(FactGap):
        bench.report(assignment, step_fact(2, step=2), step_fact(4, step=4))
    assert recorded_steps(bench, assignment.job.uid) == [1]


def test_steps_that_are_computed_again_are_not_written_again(bench: Bench) -> None:
    first = bench.started()
    bench.report(first, *steps(1, 4), sample_fact(5, step=4))
    bench.finish(first, AttemptEnd.DRAINED)
    bench.make_due(first.job.uid)
    second = bench.claim()
    bench.report(second, step_fact(1, step=3), step_fact(2, step=4), sample_fact(3, step=4), step_fact(4, step=5))
    assert recorded_steps(bench, first.job.uid) == [1, 2, 3, 4, 5]
    samples = [event for event in bench.history(first.job.uid) if isinstance(event.happening, SampleDrawn)]
    assert len(samples) == 1


def test_a_resumed_attempt_counts_its_facts_anew(bench: Bench) -> None:
    first = bench.started()
    bench.report(first, *steps(1, 4))
    bench.finish(first, AttemptEnd.DRAINED)
    bench.make_due(first.job.uid)
    assert bench.report(bench.claim(), step_fact(1, step=5)) == 1


def test_a_step_beyond_the_last_is_refused(bench: Bench) -> None:
    with pytest.raises(InvalidField, match="beyond the 10 steps"):
        bench.report(bench.started(), step_fact(1, step=11))


def test_values_that_are_no_numbers_are_kept_as_such(bench: Bench) -> None:
    assignment = bench.started()
    bench.report(assignment, step_fact(1, step=1, **{"train/loss": math.nan, "x": math.inf}), step_fact(2, step=2))
    first = bench.history(assignment.job.uid)[3].happening
    assert isinstance(first, MetricLogged)
    assert math.isnan(first.values["train/loss"])
    series = query_metrics(bench.house, caller=bench.caller, name=assignment.job.name, keys=["train/loss"])
    assert [each.steps for each in series] == [(2,)]


def test_text_that_a_database_cannot_hold_is_made_fit(bench: Bench) -> None:
    assignment = bench.started()
    bench.report(assignment, sample_fact(1, step=1, text="a\x00b" + "x" * 30_000))
    sample = bench.history(assignment.job.uid)[-1].happening
    assert isinstance(sample, SampleDrawn)
    assert sample.text.startswith("a\ufffdb")
    assert len(sample.text) == 20_000


def test_too_many_facts_at_once_are_refused(bench: Bench) -> None:
    with pytest.raises(InvalidField, match="at most 1000"):
        bench.report(bench.started(), *(Fact(seq=seq, told=note_fact(seq).told) for seq in range(1, 1002)))


def test_curves_are_thinned_to_mean_lowest_and_highest(bench: Bench) -> None:
    assignment = bench.started(steps=1000)
    for first in range(1, 1001, 250):
        facts = [step_fact(step, step=step, **{"train/loss": float(step)}) for step in range(first, first + 250)]
        bench.report(assignment, *facts)
    (series,) = query_metrics(
        bench.house, caller=bench.caller, name=assignment.job.name, keys=["train/loss"], points_max=100
    )
    assert len(series.steps) == 100
    assert (series.steps[0], series.means[0], series.minima[0], series.maxima[0]) == (10, 5.5, 1.0, 10.0)
    (part,) = query_metrics(
        bench.house, caller=bench.caller, name=assignment.job.name, keys=["train/loss"], step_min=998, step_max=2000
    )
    assert part.steps == (998, 999, 1000)


def test_all_curves_come_when_none_is_named(bench: Bench) -> None:
    assignment = bench.started()
    bench.report(assignment, step_fact(1, step=1), step_fact(2, step=2, **{"eval/loss": 2.0}))
    series = query_metrics(bench.house, caller=bench.caller, name=assignment.job.name)
    assert [(each.key, each.steps) for each in series] == [
        ("eval/loss", (2,)),
        ("perf/step_seconds", (1, 2)),
        ("perf/tokens_per_second", (1, 2)),
        ("train/loss", (1, 2)),
    ]
    assert query_metrics(bench.house, caller=bench.caller, name=bench.submit().name) == ()

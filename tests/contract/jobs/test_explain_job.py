"""Explanations, in words."""

from services.domain.explanation import Explanation
from services.domain.jobs import AttemptEnd, FailureReason, JobFailure
from services.jobs.cancel_job import cancel_job
from services.jobs.explain_job import explain_job
from services.jobs.export_model import ExportModelDraft, export_model
from services.jobs.pause_job import pause_job
from tests.support.houses import Bench, add_dataset, add_project, step_fact, steps


def explained(bench: Bench, name: str) -> Explanation:
    return explain_job(bench.house, caller=bench.caller, name=name)


def facts(said: Explanation) -> str:
    return " ".join(finding.fact for finding in said.findings)


def test_no_worker_is_alive(bench: Bench) -> None:
    said = explained(bench, bench.submit().name)
    assert said.findings[0].fact == "No worker that takes jobs was heard from lately."
    assert said.findings[0].help == "Start a worker."


def test_all_slots_are_taken_and_others_come_first(bench: Bench) -> None:
    bench.started()
    bench.submit()
    said = explained(bench, bench.submit().name)
    assert "Every slot is taken: 1 slot of 1 worker." in facts(said)
    assert "1 job of the project will be claimed before it." in facts(said)
    assert said.queue_position == 1


def test_the_quota_is_used_up(bench: Bench) -> None:
    small = add_project(bench.house, "small", running_jobs_max=1)
    add_dataset(bench.house, "small")
    for _ in range(2):
        job = bench.submit(caller=small)
    bench.claim()
    said = explain_job(bench.house, caller=small, name=job.name)
    assert "The project runs 1 job, which is its limit." in facts(said)


def test_a_backoff_says_until_when_and_why(bench: Bench) -> None:
    assignment = bench.started()
    lost = JobFailure(reason=FailureReason.TRAINER_ERROR, message="The trainer was killed by signal 9.")
    bench.finish(assignment, AttemptEnd.INTERRUPTED, failure=lost)
    said = explained(bench, assignment.job.name)
    assert "The next attempt may begin in" in facts(said)
    assert "Attempt 1 on workers/w1 ended early: The trainer was killed by signal 9." in facts(said)
    assert "interrupted 1 time of at most 100, 1 in a row of at most 2" in facts(said)


def test_a_failed_job_says_why_and_what_would_help(bench: Bench) -> None:
    assignment = bench.started()
    told = JobFailure(reason=FailureReason.DIVERGED, message="The loss was infinite.", help="Lower the learning rate.")
    bench.finish(assignment, AttemptEnd.FAILED, failure=told)
    said = explained(bench, assignment.job.name)
    assert said.summary == "The job failed: The loss was infinite."
    assert said.findings[0].help == "Lower the learning rate."


def test_each_state_has_words(bench: Bench) -> None:
    assignment = bench.started()
    name = assignment.job.name
    summaries = [explained(bench, name).summary]
    bench.report(assignment, step_fact(1, step=1))
    summaries.append(explained(bench, name).summary)
    pause_job(bench.house, caller=bench.caller, name=name)
    assert "A pause was asked for" in facts(explained(bench, name))
    bench.finish(assignment, AttemptEnd.PAUSED)
    summaries.append(explained(bench, name).summary)
    cancel_job(bench.house, caller=bench.caller, name=name)
    summaries.append(explained(bench, name).summary)
    assert summaries == [
        "workers/w1 is starting attempt 1.",
        "workers/w1 has done 1 of 10 steps.",
        "The job is paused and holds no worker.",
        "The job was cancelled.",
    ]


def test_a_forecast_rests_on_what_the_cluster_has_measured(bench: Bench) -> None:
    assert bench.submit().forecast.duration_s is None
    measured = bench.started(steps=20)
    bench.report(measured, *steps(1, 20))
    said = bench.submit(steps=40).forecast
    assert said.duration_s is not None
    assert abs(said.duration_s - 20.0) < 0.01
    assert said.basis.startswith("Measured: one attempt of this cluster")


def test_the_wait_in_the_queue_is_told_when_it_can_be(bench: Bench) -> None:
    bench.submit()
    assert bench.submit().forecast.queue_s is None
    measured = bench.claim()
    bench.complete(measured)
    bench.complete(bench.claim())
    assert bench.submit().forecast.queue_s == 0.0


def test_work_that_trains_nothing_is_explained_where_others_were_measured(bench: Bench) -> None:
    measured = bench.started(steps=20, model="novel")
    bench.report(measured, *steps(1, 20))
    bench.complete(measured)
    draft = ExportModelDraft(model="projects/own/models/novel")
    export = export_model(bench.house, caller=bench.calling("ExportModel"), parent="projects/-", draft=draft)
    assert "for a worker" in explained(bench, export.name).summary

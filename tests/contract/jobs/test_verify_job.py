"""Computing steps again: what is asked for, what the trainer is told, and when it cannot be done."""

import dataclasses

import pytest

from services.datasets.delete_dataset import delete_dataset
from services.domain.errors import InvalidField, NotFound, WrongState
from services.domain.job_events import Fact, MetricLogged
from services.domain.job_states import JobState
from services.domain.jobs import Assignment, AttemptEnd, FailureReason, Job
from services.domain.requests import NO_REQUEST_KEY
from services.domain.work import VerifySpec
from services.jobs.collect_checkpoints import collect_checkpoints
from services.jobs.reject_checkpoint import reject_checkpoint
from services.jobs.verify_job import verify_job
from tests.support.houses import A_TIME, Bench, add_project, steps
from tests.support.works import chained, claimed, exporting, published, rolled_back


def recorded(bench: Bench, *, last: int = 9, checkpoints: tuple[int, ...] = (0, 4, 8)) -> Assignment:
    """Return an attempt with recorded steps and checkpoints."""
    at = bench.started()
    bench.report(at, *chained(1, last))
    for step in checkpoints:
        bench.commit(at, bench.written(at, step=step, content=b"%d" % step))
    return at


def verifying(bench: Bench, job: Job, *, first_step: int | None = None, steps: int | None = None) -> Job:
    """Submit that steps are computed again."""
    caller = bench.calling("VerifyJob")
    return verify_job(bench.house, caller=caller, name=job.name, first_step=first_step, steps=steps)


def test_without_a_wish_the_steps_after_the_oldest_checkpoint_are_computed_again(bench: Bench) -> None:
    job = verifying(bench, recorded(bench).job)
    assert isinstance(job.spec, VerifySpec)
    assert (job.spec.first_step, job.spec.steps, job.spec.last_step) == (1, 9, 9)


def test_the_trainer_is_told_what_was_recorded_from_the_nearest_checkpoint_on(bench: Bench) -> None:
    at = recorded(bench)
    told = claimed(bench, verifying(bench, at.job, first_step=6, steps=2))
    assert told.resume is not None and (told.resume.step, told.resume.job_uid) == (4, at.job.uid)
    assert told.dataset == bench.dataset and told.base is None
    verification = told.verification
    assert verification is not None
    assert (verification.spec, verification.lineage, verification.first_step) == (at.job.spec, 1, 6)
    assert [step.step for step in verification.recorded] == [5, 6, 7]
    metric = chained(5, 5)[0].told
    assert isinstance(metric, MetricLogged)
    first = verification.recorded[0]
    assert (first.data_chain, first.loss_chain) == (metric.data_chain, metric.loss_chain)
    assert first.loss == metric.values["train/loss"]


def test_only_the_steps_that_are_compared_count_as_progress(bench: Bench) -> None:
    told = claimed(bench, verifying(bench, recorded(bench).job, first_step=6, steps=2))
    done = []
    for seq, step in enumerate([5, 6, 7], start=1):
        bench.report(told, *chained(step, step, first_seq=seq))
        done.append(bench.job(told.job.uid).done_steps)
    assert (done, told.job.spec.steps) == ([0, 1, 2], 2)


def test_a_loss_that_was_not_finite_is_told_as_none(bench: Bench) -> None:
    at = bench.started()
    bench.commit(at, bench.written(at, step=0))
    (fact,) = chained(1, 1)
    assert isinstance(fact.told, MetricLogged)
    bench.report(at, Fact(seq=1, told=dataclasses.replace(fact.told, values={"train/loss": float("nan")})))
    verification = claimed(bench, verifying(bench, at.job)).verification
    assert verification is not None and verification.recorded[0].loss is None


def test_verification_succeeds_with_its_report_and_without_a_version(bench: Bench) -> None:
    told = claimed(bench, verifying(bench, recorded(bench).job))
    assert bench.complete(told) is JobState.SUCCEEDED
    assert bench.job(told.job.uid).model_version == ""


def test_verification_that_was_interrupted_begins_at_the_same_checkpoint(bench: Bench) -> None:
    told = claimed(bench, verifying(bench, recorded(bench).job, first_step=6, steps=2))
    bench.finish(told, AttemptEnd.INTERRUPTED)
    bench.make_due(told.job.uid)
    again = bench.claim(wished=told.job.uid)
    assert again is not None and again.resume == told.resume and again.verification == told.verification


def test_the_same_claim_returns_the_same_verification(bench: Bench) -> None:
    job = verifying(bench, recorded(bench).job)
    first, second = (bench.claim(wished=job.uid, claim_id="the-claim") for _ in range(2))
    assert first is not None and first == second


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"first_step": 0}, "first_step: must be 1 to"),
        ({"steps": 0}, "steps: must be 1 to 40,000"),
        ({"steps": 40_001}, "steps: must be 1 to 40,000"),
    ],
)
def test_a_wish_beyond_the_limits_is_refused(bench: Bench, wish: dict[str, int], words: str) -> None:
    with pytest.raises(InvalidField, match=words):
        verifying(bench, recorded(bench).job, **wish)


def test_steps_that_are_not_recorded_cannot_be_compared(bench: Bench) -> None:
    at = recorded(bench)
    with pytest.raises(WrongState, match="has recorded steps up to 9, and not step 10"):
        verifying(bench, at.job, first_step=8, steps=3)
    with pytest.raises(WrongState, match="not step 10"):
        verifying(bench, at.job, first_step=10)
    with pytest.raises(WrongState, match="has not recorded a step yet"):
        verifying(bench, bench.submit())


def test_without_a_checkpoint_before_them_steps_cannot_be_computed(bench: Bench) -> None:
    with pytest.raises(WrongState, match="no checkpoint left before step 3; the oldest is that of step 4"):
        verifying(bench, recorded(bench, checkpoints=(4, 8)).job, first_step=3)
    with pytest.raises(WrongState, match="no checkpoint left from which a recorded step follows"):
        verifying(bench, recorded(bench, checkpoints=(9,)).job)


def test_steps_on_both_sides_of_a_rollback_are_not_one_run(bench: Bench) -> None:
    at = recorded(bench, last=7, checkpoints=(0, 4))
    bench.report(at, rolled_back(8, from_step=7, to_step=4, lineage=2), *chained(5, 8, first_seq=9))
    with pytest.raises(WrongState, match="are not of one line"):
        verifying(bench, at.job, first_step=3, steps=4)
    assert claimed(bench, verifying(bench, at.job, first_step=2, steps=3)).verification.lineage == 1  # type: ignore
    told = claimed(bench, verifying(bench, at.job, first_step=6, steps=2))
    assert told.verification is not None and told.resume is not None
    assert (told.verification.lineage, told.resume.step) == (2, 4)
    assert [step.step for step in told.verification.recorded] == [5, 6, 7]


def test_steps_without_chains_cannot_be_compared(bench: Bench) -> None:
    at = bench.started()
    bench.report(at, *steps(1, 5))
    bench.commit(at, bench.written(at, step=0))
    with pytest.raises(WrongState, match="kept no chains"):
        verifying(bench, at.job)


def test_what_is_no_training_has_no_steps_to_verify(bench: Bench) -> None:
    published(bench)
    with pytest.raises(WrongState, match="trains nothing"):
        verifying(bench, exporting(bench, "projects/own/models/novel"))
    stranger = add_project(bench.house, "foreign")
    with pytest.raises(NotFound):
        verify_job(bench.house, caller=stranger, name="projects/own/jobs/any")


def test_the_data_of_a_run_must_still_be_there_and_stays_while_it_is_verified(bench: Bench) -> None:
    at = recorded(bench)
    bench.finish(at, AttemptEnd.FAILED)
    told = claimed(bench, verifying(bench, at.job))
    with pytest.raises(WrongState, match="is used by projects/own/jobs/verify-"):
        delete_dataset(bench.house, caller=bench.caller, name=bench.dataset.name, request=NO_REQUEST_KEY)
    bench.complete(told)
    delete_dataset(bench.house, caller=bench.caller, name=bench.dataset.name, request=NO_REQUEST_KEY)
    with pytest.raises(WrongState, match="which projects/own/jobs/.* was trained on, is gone"):
        verifying(bench, at.job)


def test_the_checkpoint_to_begin_at_is_kept_while_steps_are_computed_again(bench: Bench) -> None:
    at = recorded(bench, checkpoints=(0, 2, 4, 6, 8))
    told = claimed(bench, verifying(bench, at.job, first_step=2, steps=1))
    assert told.resume is not None and told.resume.step == 0
    collect_checkpoints(bench.house, since=A_TIME)
    with bench.house.storage.read() as uow:
        assert [each.step for each in uow.checkpoints.usable(at.job.uid)] == [8, 6, 4, 0]
    bench.complete(told)
    collect_checkpoints(bench.house, since=A_TIME)
    with bench.house.storage.read() as uow:
        assert [each.step for each in uow.checkpoints.usable(at.job.uid)] == [8, 6, 4]


def test_a_checkpoint_that_cannot_be_read_is_not_begun_with_again(bench: Bench) -> None:
    at = recorded(bench)
    told = claimed(bench, verifying(bench, at.job, first_step=6, steps=2))
    assert told.resume is not None
    older = reject_checkpoint(
        bench.house,
        job_uid=told.job.uid,
        epoch=told.job.epoch,
        step=told.resume.step,
        manifest_sha256=told.resume.manifest_sha256,
        message="a file is damaged",
    )
    failed = bench.job(told.job.uid)
    assert older is None and failed.failure is not None
    assert (failed.state, failed.failure.reason) == (JobState.FAILED, FailureReason.NO_CHECKPOINT)
    again = claimed(bench, verifying(bench, at.job, first_step=6, steps=2))
    assert again.resume is not None and again.resume.step == 0


def test_a_job_whose_newest_checkpoint_cannot_be_read_shows_the_one_before(bench: Bench) -> None:
    at = recorded(bench)
    assert bench.job(at.job.uid).checkpoint_step == 8
    told = claimed(bench, verifying(bench, at.job, first_step=9, steps=1))
    assert told.resume is not None and told.resume.step == 8
    reject_checkpoint(
        bench.house,
        job_uid=told.job.uid,
        epoch=told.job.epoch,
        step=8,
        manifest_sha256=told.resume.manifest_sha256,
        message="a file is damaged",
    )
    assert bench.job(at.job.uid).checkpoint_step == 4
    assert bench.job(told.job.uid).checkpoint_step is None

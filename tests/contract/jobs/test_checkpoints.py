"""Checkpoints: a row after the files, and never a row that lies."""

import dataclasses

import pytest

from services.domain.errors import FactGap, InvalidField, NotFound, WrongState
from services.domain.job_events import CheckpointCommitted, Note
from services.domain.job_states import JobState
from services.domain.jobs import Assignment, AttemptEnd, Checkpoint, CheckpointState, FailureReason
from services.domain.pages import PageRequest
from services.jobs.cancel_job import cancel_job
from services.jobs.collect_checkpoints import collect_checkpoints
from services.jobs.list_checkpoints import list_checkpoints
from services.jobs.reject_checkpoint import reject_checkpoint
from tests.support.houses import A_TIME, Bench, steps


def states(bench: Bench, name: str) -> list[tuple[int, str]]:
    _job, found, _token = list_checkpoints(bench.house, caller=bench.caller, parent=name, page=PageRequest())
    return [(each.step, each.state.value) for each in found]


def test_a_committed_checkpoint_is_a_row_and_an_event(bench: Bench) -> None:
    assignment = bench.started()
    written = bench.written(assignment, step=0)
    bench.commit(assignment, written)
    assert bench.job(assignment.job.uid).checkpoint_step == 0
    assert states(bench, assignment.job.name) == [(0, "COMMITTED")]
    told = bench.history(assignment.job.uid)[-1].happening
    assert told == CheckpointCommitted(step=0, size_bytes=written.size_bytes, manifest_sha256=written.manifest_sha256)


def test_a_commit_repeated_changes_nothing(bench: Bench) -> None:
    assignment = bench.started()
    written = bench.written(assignment, step=0)
    bench.commit(assignment, written)
    before = bench.history(assignment.job.uid)
    bench.commit(assignment, written)
    assert bench.history(assignment.job.uid) == before
    assert len(states(bench, assignment.job.name)) == 1


def test_facts_come_before_the_checkpoint_that_follows_them(bench: Bench) -> None:
    assignment = bench.started()
    written = bench.written(assignment, step=2)
    with pytest.raises(FactGap) as caught:
        bench.commit(assignment, written, through_seq=2)
    assert caught.value.metadata == {"expected_seq": "1"}
    bench.report(assignment, *steps(1, 2))
    bench.commit(assignment, written, through_seq=2)


def test_a_checkpoint_that_the_store_does_not_hold_is_refused(bench: Bench) -> None:
    assignment = bench.started()
    written = bench.written(assignment, step=0)
    bench.house.store.delete_all(written.artifact_prefix)
    with pytest.raises(WrongState, match="holds no file set"):
        bench.commit(assignment, written)


@pytest.mark.parametrize("change", [{"manifest_sha256": "0" * 64}, {"size_bytes": 1}])
def test_a_checkpoint_that_is_another_one_is_refused(bench: Bench, change: dict[str, object]) -> None:
    assignment = bench.started()
    written = bench.written(assignment, step=0)
    with pytest.raises(WrongState, match="not the one named"):
        bench.commit(assignment, dataclasses.replace(written, **change))


def test_a_checkpoint_lies_where_its_attempt_writes(bench: Bench) -> None:
    first, second = bench.started(), bench.started()
    written = bench.written(first, step=0)
    with pytest.raises(InvalidField, match="artifact_prefix"):
        bench.commit(second, written)
    with pytest.raises(InvalidField, match="artifact_prefix"):
        bench.commit(first, dataclasses.replace(written, step=1))


def test_another_checkpoint_of_a_step_that_has_one_is_refused(bench: Bench) -> None:
    first = bench.started()
    bench.commit(first, bench.written(first, step=3))
    bench.finish(first, AttemptEnd.DRAINED)
    bench.make_due(first.job.uid)
    second = bench.claim()
    with pytest.raises(WrongState, match="another checkpoint of step 3"):
        bench.commit(second, bench.written(second, step=3, content=b"other weights"))


def test_the_complete_checkpoint_means_finalizing(bench: Bench) -> None:
    assignment = bench.started()
    bench.report(assignment, *steps(1, 10))
    bench.commit(assignment, bench.written(assignment, step=10, complete=True), through_seq=10)
    assert bench.job(assignment.job.uid).state is JobState.FINALIZING


def test_a_cancelled_job_does_not_finalize(bench: Bench) -> None:
    assignment = bench.started()
    cancel_job(bench.house, caller=bench.calling("CancelJob"), name=assignment.job.name)
    bench.commit(assignment, bench.written(assignment, step=10, complete=True))
    assert bench.job(assignment.job.uid).state is JobState.CANCELLING


def test_a_checkpoint_that_cannot_be_read_gives_way_to_an_older_one(bench: Bench) -> None:
    first = bench.started()
    for step in (0, 3, 6):
        bench.commit(first, bench.written(first, step=step, content=b"%d" % step))
    bench.finish(first, AttemptEnd.DRAINED)
    bench.make_due(first.job.uid)
    second = bench.claim()
    older = reject(bench, second, second.resume)
    assert older.step == 3
    assert reject(bench, second, second.resume).step == 3
    assert states(bench, first.job.name) == [(6, "CORRUPT"), (3, "COMMITTED"), (0, "COMMITTED")]
    assert bench.job(first.job.uid).checkpoint_step == 3
    notes = [event.happening for event in bench.history(first.job.uid) if isinstance(event.happening, Note)]
    assert [note.kind for note in notes] == ["resumed", "checkpoint_corrupt"]
    bench.commit(second, bench.written(second, step=6))
    assert states(bench, first.job.name)[:2] == [(6, "COMMITTED"), (6, "CORRUPT")]


def test_without_any_checkpoint_a_job_fails_and_never_begins_anew_in_silence(bench: Bench) -> None:
    first = bench.started()
    bench.commit(first, bench.written(first, step=0))
    bench.finish(first, AttemptEnd.DRAINED)
    bench.make_due(first.job.uid)
    second = bench.claim()
    assert reject(bench, second, second.resume) is None
    job = bench.job(first.job.uid)
    assert (job.state, job.failure.reason) == (JobState.FAILED, FailureReason.NO_CHECKPOINT)


def test_old_checkpoints_are_collected_and_the_newest_three_stay(bench: Bench) -> None:
    assignment = bench.started()
    written = [bench.written(assignment, step=step, content=b"%d" % step) for step in range(5)]
    for each in written:
        bench.commit(assignment, each)
    assert collect_checkpoints(bench.house, since=A_TIME) == 2
    assert collect_checkpoints(bench.house, since=A_TIME) == 0
    collected = CheckpointState.COLLECTED.value
    assert states(bench, assignment.job.name)[3:] == [(1, collected), (0, collected)]
    there = [bench.house.store.find_file_set(each.artifact_prefix) is not None for each in written]
    assert there == [False, False, True, True, True]


def test_without_anything_to_collect_nobody_is_kept_from_writing(bench: Bench) -> None:
    assignment = bench.started()
    bench.commit(assignment, bench.written(assignment, step=0))
    with bench.house.storage.write() as frozen:
        frozen.now()
        assert collect_checkpoints(bench.house, since=A_TIME) == 0


def test_many_checkpoints_are_collected_in_batches(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.jobs.collect_checkpoints._BATCH", 2)
    monkeypatch.setattr("services.jobs.collect_checkpoints._JOBS_A_BATCH", 1)
    for _ in range(2):
        assignment = bench.started()
        for step in range(8):
            bench.commit(assignment, bench.written(assignment, step=step, content=b"%d" % step))
    assert collect_checkpoints(bench.house, since=A_TIME) == 10


def test_what_a_model_version_names_is_never_collected(bench: Bench) -> None:
    first = bench.started()
    assert bench.complete(first) is JobState.SUCCEEDED
    with bench.house.storage.read() as uow:
        assert uow.checkpoints.crowded(kept=0, since=A_TIME) == [first.job.uid]
        assert uow.checkpoints.collectable([first.job.uid], kept=0, count_max=10) == []


def test_checkpoints_come_in_pages(bench: Bench) -> None:
    assignment = bench.started()
    for step in range(3):
        bench.commit(assignment, bench.written(assignment, step=step, content=b"%d" % step))
    seen, token = [], ""
    while True:
        page = PageRequest(size=2, token=token)
        _job, found, token = list_checkpoints(bench.house, caller=bench.caller, parent=assignment.job.name, page=page)
        seen += [each.step for each in found]
        if not token:
            break
    assert seen == [2, 1, 0]
    with pytest.raises(NotFound):
        list_checkpoints(bench.house, caller=bench.caller, parent="projects/own/jobs/none", page=PageRequest())


def reject(bench: Bench, at: Assignment, checkpoint: Checkpoint | None) -> Checkpoint | None:
    assert checkpoint is not None
    return reject_checkpoint(
        bench.house,
        job_uid=at.job.uid,
        epoch=at.job.epoch,
        step=checkpoint.step,
        manifest_sha256=checkpoint.manifest_sha256,
        message="a hash is wrong",
    )

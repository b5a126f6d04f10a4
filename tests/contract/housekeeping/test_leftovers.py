"""What is left in the store without a row goes, but never what may still be on its way to a row."""

import dataclasses
import os
import pathlib
from typing import Any

import pytest
import sqlalchemy as sa

import artifacts
from services.domain.errors import Unavailable
from services.domain.job_events import CheckpointWritten
from services.domain.jobs import AttemptEnd
from services.housekeeping.tidy_up import remove_leftovers
from services.jobs.collect_checkpoints import collect_checkpoints
from services.storage.tables.jobs import attempt
from tests.support.houses import A_TIME, Bench


class Stuck:
    """A store whose disk refuses to remove anything."""

    def __init__(self, store: artifacts.Store) -> None:
        self._store = store

    def delete_all(self, prefix: str) -> None:
        raise artifacts.StoreUnavailable(f"{prefix} cannot be removed")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def stored(bench: Bench, written: CheckpointWritten) -> bool:
    return bench.house.store.find_file_set(written.artifact_prefix) is not None


def end_long_ago(bench: Bench) -> None:
    """Let the attempts that have ended have ended more than a day ago."""
    with bench.storage.engine.begin() as connection:
        connection.execute(sa.update(attempt).where(attempt.c.end_time.is_not(None)).values(end_time=A_TIME))


def test_files_that_were_never_committed_go_a_day_after_the_end_of_their_attempt(bench: Bench) -> None:
    assignment = bench.started()
    committed, written = (bench.written(assignment, step=step, content=b"%d" % step) for step in (0, 3))
    bench.commit(assignment, committed)
    assert remove_leftovers(bench.house) == 0
    bench.finish(assignment, AttemptEnd.INTERRUPTED)
    assert remove_leftovers(bench.house) == 0
    end_long_ago(bench)
    assert remove_leftovers(bench.house) == 1
    assert (stored(bench, committed), stored(bench, written)) == (True, False)


def test_a_running_attempt_keeps_its_files_however_old(bench: Bench) -> None:
    first = bench.started()
    bench.finish(first, AttemptEnd.INTERRUPTED)
    bench.make_due(first.job.uid)
    second = bench.claim()
    assert second is not None
    written = bench.written(second, step=3)
    end_long_ago(bench)
    assert remove_leftovers(bench.house) == 0
    bench.commit(second, written)


def test_what_a_removal_has_missed_is_removed_later(bench: Bench) -> None:
    assignment = bench.started()
    written = [bench.written(assignment, step=step, content=b"%d" % step) for step in range(4)]
    for each in written:
        bench.commit(assignment, each)
    stuck = dataclasses.replace(bench.house, store=Stuck(bench.house.store))
    with pytest.raises(artifacts.StoreUnavailable):
        collect_checkpoints(stuck, since=A_TIME)
    with pytest.raises(Unavailable):
        remove_leftovers(stuck)
    assert remove_leftovers(bench.house) == 1
    assert [stored(bench, each) for each in written] == [False, True, True, True]


def test_files_of_jobs_that_nobody_knows_stay(bench: Bench) -> None:
    for prefix in ("checkpoints/00000000-0000-0000-0000-000000000000/e1/step-0", "checkpoints/other/thing/here"):
        bench.house.store.put(f"{prefix}/manifest.json", b"{}")
    assert remove_leftovers(bench.house) == 0


def test_half_written_files_go_after_a_day(bench: Bench, tmp_path: pathlib.Path) -> None:
    bench.written(bench.started(), step=0)
    (staging,) = tmp_path.rglob(".staging")
    new, old = staging / "new", staging / "old"
    new.touch()
    old.touch()
    os.utime(old, times=(A_TIME.timestamp(), A_TIME.timestamp()))
    assert remove_leftovers(bench.house) == 1
    assert (new.exists(), old.exists()) == (True, False)

"""Checkpoints that another process stores while training goes on: whole or not at all, whatever dies."""

import os
import pathlib
import select
import subprocess
import sys

import pytest

from artifacts import StoreUnavailable
from tests.training.runs import Bench, assert_only_whole_checkpoints, bench_with, resume_from, tiny_spec
from trainer_worker.trainer.snapshots import NotKept, Outcome, Stored, outcome_line, outcome_of
from trainer_worker.trainer.writing import StoringProcess
from tutelage.v1 import jobs_pb2, training_pb2
from tutelage_internal.v1 import pipe_pb2

STEPS = 12
LIMIT_S = 60.0


class Patient(StoringProcess):
    """Another process, but training waits for it: what is stored at which step does not hang on the clock."""

    def outcome(self, *, wait_s: float) -> Outcome | None:
        return super().outcome(wait_s=LIMIT_S)


class Slow(StoringProcess):
    """Says nothing about what was stored until it is waited for, which is when training ends."""

    def outcome(self, *, wait_s: float) -> Outcome | None:
        return super().outcome(wait_s=wait_s) if wait_s else None


def test_in_another_process_a_run_tells_the_same_and_ends_the_same(tmp_path: pathlib.Path) -> None:
    here, elsewhere = bench_with(tmp_path / "here"), bench_with(tmp_path / "elsewhere")
    one, other = here.run(tiny_spec()), elsewhere.run(tiny_spec(), storing=Patient(elsewhere.url))
    assert one.curve == other.curve
    assert one.chains == other.chains
    assert list(other.checkpoints) == [0, 4, 8, 12]
    assert here.weights_sha256(one.complete) == elsewhere.weights_sha256(other.complete)


KINDS = {
    "dropout": {"regularization": training_pb2.RegularizationSpec(residual_dropout=0.2, attention_dropout=0.1)},
    "accumulating": {"micro_batch_size": 1},
}


@pytest.mark.parametrize("kind", KINDS)
def test_going_on_from_every_step_that_was_stored_is_exact(bench: Bench, kind: str) -> None:
    spec = tiny_spec(steps=STEPS, checkpoint_interval=1, **KINDS[kind])
    whole = bench.run(spec, storing=Patient(bench.url))
    assert list(whole.checkpoints) == list(range(STEPS + 1))
    for step in range(STEPS):
        again = bench.run(
            spec,
            resume=resume_from(whole.checkpoints[step]),
            epoch=2 + step,
            recorded_step=step,
            storing=Patient(bench.url),
        )
        assert again.curve == {at: values for at, values in whole.curve.items() if at > step}
        assert again.chains == {at: chains for at, chains in whole.chains.items() if at > step}
        assert bench.weights_sha256(again.complete) == bench.weights_sha256(whole.complete)


def test_while_one_is_stored_the_newest_waits_and_gives_way_to_newer_ones(bench: Bench) -> None:
    story = bench.run(tiny_spec(steps=STEPS, checkpoint_interval=1), storing=Slow(bench.url))
    assert list(story.checkpoints) == [0, 11, 12]
    assert [note.details["step"] for note in story.notes("checkpoint_superseded")] == [str(n) for n in range(1, 11)]
    assert list(bench.store.keys("checkpoints"))
    told = [type(thing).__name__ for thing in story.told if not isinstance(thing, pipe_pb2.Progress)]
    assert told[-1] == "CheckpointWritten"


def test_a_stop_waits_until_its_checkpoint_is_stored(bench: Bench) -> None:
    steps = iter(range(1, 100))
    story = bench.run(tiny_spec(), storing=Slow(bench.url), stop=lambda: next(steps) >= 6)
    assert story.ending == pipe_pb2.ENDING_STOPPED
    assert list(story.checkpoints)[-1] == 6
    assert bench.files(story.checkpoints[6])


def test_what_a_checkpoint_cost_is_told(bench: Bench) -> None:
    story = bench.run(tiny_spec(), storing=Patient(bench.url))
    stalls = {
        metric.step: metric.values["perf/checkpoint_stall_seconds"]
        for metric in story.of(jobs_pb2.MetricLogged)
        if "perf/checkpoint_stall_seconds" in metric.values
    }
    assert set(stalls) == {4, 8}
    assert all(0 < seconds < LIMIT_S for seconds in stalls.values())


@pytest.mark.parametrize("point", ["writer_begins", "writer_filled", "writer_stored"])
def test_a_writer_that_is_killed_stops_no_training(bench: Bench, monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    """Each writer dies at its second checkpoint: that one is lost, the next one has a writer of its own."""
    monkeypatch.setenv("TUTELAGE_FAULTPOINT", f"{point}:2")
    story = bench.run(tiny_spec(), storing=Patient(bench.url), retry_delays_s=(0.0,))
    assert story.ending == pipe_pb2.ENDING_COMPLETE
    assert list(story.checkpoints) == [0, 8, 12]
    notes = story.notes("checkpoint_failed")
    assert [note.details["step"] for note in notes] == ["4", "12"]
    assert "was ended by signal 9" in notes[0].message
    assert_only_whole_checkpoints(bench, story)


def test_a_writer_that_dies_between_two_checkpoints_costs_none(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUTELAGE_FAULTPOINT", "writer_told:1")

    class Mourning(Patient):
        def outcome(self, *, wait_s: float) -> Outcome | None:
            found = super().outcome(wait_s=wait_s)
            if self.process is not None:
                self.process.wait(LIMIT_S)
            return found

    story = bench.run(tiny_spec(), storing=Mourning(bench.url))
    assert list(story.checkpoints) == [0, 4, 8, 12]
    assert not story.notes("checkpoint_failed")


class BackAt(Patient):
    """Its store is away until the checkpoint of the given step is handed over."""

    def __init__(self, url: str, step: int) -> None:
        super().__init__("file:///dev/null/store")
        self.url, self.step = url, step

    def begin(self, prefix: str, snapshot: pathlib.Path) -> None:
        if prefix.endswith(f"step-{self.step}"):
            self.close()
            self.process, self.artifacts_url = None, self.url
        super().begin(prefix, snapshot)


def test_a_store_that_is_away_stops_no_training(bench: Bench) -> None:
    story = bench.run(tiny_spec(), storing=BackAt(bench.url, 8))
    assert list(story.checkpoints) == [8, 12]
    assert [note.details["step"] for note in story.notes("checkpoint_failed")] == ["0", "4"]


def test_a_store_that_stays_away_leaves_the_end_to_another_attempt(bench: Bench) -> None:
    with pytest.raises(StoreUnavailable, match="step-12"):
        bench.run(tiny_spec(), storing=BackAt(bench.url, 99), retry_delays_s=(0.0,))


def test_snapshots_leave_nothing_behind(bench: Bench, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    bench.run(tiny_spec(checkpoint_interval=1), storing=Slow(bench.url))
    assert list(folder.iterdir()) == []


def test_the_writer_dies_with_its_trainer(bench: Bench) -> None:
    """The trainer of this test is a process that starts a writer, says its number, and waits to be killed."""
    code = (
        "import sys, time; from trainer_worker.trainer.writing import StoringProcess;"
        "process = StoringProcess(sys.argv[1]).living(); print(process.pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code, bench.url], stdout=subprocess.PIPE) as trainer:
        assert trainer.stdout is not None
        pid = int(trainer.stdout.readline())
        descriptor = os.pidfd_open(pid)
        trainer.kill()
    with os.fdopen(descriptor):
        assert wait_until_gone(descriptor)


def wait_until_gone(descriptor: int) -> bool:
    return bool(select.select([descriptor], [], [], LIMIT_S)[0])


def test_the_writer_loads_no_torch() -> None:
    code = "import sys, trainer_worker.trainer.writer; print({'torch', 'numpy', 'google.protobuf'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=LIMIT_S, check=True)
    assert found.stdout.strip() == "set()"


def test_an_outcome_survives_the_pipe(bench: Bench) -> None:
    files = bench.store.write_file_set("checkpoints/one", lambda folder: (folder / "a").write_text("b"))
    for outcome in (Stored(files), NotKept(why="no room", full=True)):
        assert outcome_of(outcome_line(outcome)) == outcome

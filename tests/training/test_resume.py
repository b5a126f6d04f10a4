"""Going on from a checkpoint is the same as never having stopped, to the last bit."""

import itertools
import json
import pathlib
import shutil
from typing import Any

import pytest
import torch

from artifacts import CorruptFileSet
from tests.training.runs import Bench, Story, bench_with, resume_from, tiny_spec
from tests.training.test_pretrain import poisoned
from trainer_worker.trainer import preparation
from trainer_worker.trainer.engine.errors import BadCheckpoint
from trainer_worker.trainer.recipes import next_token as recipe
from tutelage.v1 import jobs_pb2, training_pb2
from tutelage_internal.v1 import facts_pb2

STEPS = 12
COMPILED = training_pb2.ComputeSpec(compilation=training_pb2.COMPILATION_ON)
KINDS: dict[str, dict[str, Any]] = {
    "fp32": {},
    "bf16": {"precision": training_pb2.PRECISION_BF16},
    "bpe_untied": {"bpe_vocabulary": 270, "tied_head": False},
    "dropout": {
        "regularization": training_pb2.RegularizationSpec(
            residual_dropout=0.2, attention_dropout=0.1, embedding_dropout=0.1, label_smoothing=0.1
        )
    },
    "recomputed": {
        "compute": training_pb2.ComputeSpec(activation_checkpointing=True),
        "regularization": training_pb2.RegularizationSpec(residual_dropout=0.2),
    },
    "sgd": {"optimizer": training_pb2.OPTIMIZER_SGD, "nesterov": True},
    "adam": {"optimizer": training_pb2.OPTIMIZER_ADAM},
    "rmsprop": {"optimizer": training_pb2.OPTIMIZER_RMSPROP, "momentum": 0.5},
    "adafactor": {"optimizer": training_pb2.OPTIMIZER_ADAFACTOR},
    "muon": {"optimizer": training_pb2.OPTIMIZER_MUON, "micro_batch_size": 1},
}


def later(story: Story, step: int) -> dict[int, dict[str, float]]:
    return {at: values for at, values in story.curve.items() if at > step}


@pytest.mark.parametrize("kind", KINDS)
def test_resuming_from_every_step_gives_the_same_metrics_samples_and_weights(tmp_path: pathlib.Path, kind: str) -> None:
    bench = bench_with(tmp_path)
    spec = tiny_spec(steps=STEPS, checkpoint_interval=1, **KINDS[kind])
    whole = bench.run(spec)
    weights = bench.weights_sha256(whole.complete)
    for step in range(0, STEPS, 1 if kind == "fp32" else 4):
        # The facts of the step itself come out again where they were not recorded: evaluated and drawn at 3, 6 and 9.
        unrecorded = [(102 + step, step - 1)] if step in (1, 3, 6, 8) and kind in ("fp32", "dropout") else []
        for epoch, recorded in ((2 + step, step), *unrecorded):
            again = bench.run(spec, resume=resume_from(whole.checkpoints[step]), epoch=epoch, recorded_step=recorded)
            assert again.curve == later(whole, recorded), (step, recorded)
            assert again.chains == {at: chains for at, chains in whole.chains.items() if at > recorded}
            assert again.samples == {at: text for at, text in whole.samples.items() if at > recorded}
            assert bench.weights_sha256(again.complete) == weights
            assert again.complete.validation_loss == whole.complete.validation_loss
            assert [note.details["step"] for note in again.notes("resumed")] == [str(step)]


def test_steps_that_are_recorded_are_computed_again_but_not_told_again(bench: Bench) -> None:
    whole = bench.run(tiny_spec(steps=STEPS))
    again = bench.run(tiny_spec(steps=STEPS), resume=resume_from(whole.checkpoints[4]), epoch=2, recorded_step=7)
    assert again.curve == later(whole, 7)
    assert min(again.samples) == 9
    assert list(again.checkpoints) == [8, 12]


def test_a_run_stopped_twice_ends_like_one_that_was_not(tmp_path: pathlib.Path) -> None:
    spec = tiny_spec(steps=STEPS, checkpoint_interval=100)
    undisturbed, bench = bench_with(tmp_path / "whole"), bench_with(tmp_path / "parts")
    whole = undisturbed.run(spec)
    told: dict[int, dict[str, float]] = {}
    last: facts_pb2.CheckpointWritten | None = None
    for epoch, stop_after in ((1, 5), (2, 3), (3, 100)):
        calls = itertools.count(1)
        fields: dict[str, Any] = {"resume": resume_from(last), "recorded_step": last.step} if last else {}
        part = bench.run(spec, epoch=epoch, stop=lambda calls=calls, end=stop_after: next(calls) >= end, **fields)
        told |= part.curve
        last = list(part.checkpoints.values())[-1]
    assert told == whole.curve
    assert last is not None
    assert bench.weights_sha256(last) == undisturbed.weights_sha256(whole.complete)


def test_a_skipped_step_before_the_checkpoint_changes_nothing_about_resuming(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = tiny_spec(steps=STEPS, micro_batch_size=4)
    with monkeypatch.context() as patched:
        patched.setattr(recipe, "token_losses", poisoned(2))
        whole = bench.run(spec)
    again = bench.run(spec, resume=resume_from(whole.checkpoints[4]), epoch=2, recorded_step=4)
    assert again.curve == later(whole, 4)


def test_the_precision_of_the_checkpoint_is_kept(bench: Bench) -> None:
    spec = tiny_spec(precision=training_pb2.PRECISION_FP32)
    whole = bench.run(spec)
    spec.precision = training_pb2.PRECISION_UNSPECIFIED  # as if the worker that goes on would choose another
    again = bench.run(spec, resume=resume_from(whole.checkpoints[8]), epoch=2, recorded_step=8)
    assert again.notes("environment")[0].details["precision"] == "fp32"
    assert again.curve == later(whole, 8)


@pytest.mark.parametrize(("first", "then", "kernel"), [("AVX2", "AVX512", "fused"), ("AVX512", "AVX2", "plain")])
def test_another_processor_goes_on_with_the_same_kernels(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, first: str, then: str, kernel: str
) -> None:
    spec = tiny_spec(steps=6, checkpoint_interval=3)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: first)
    whole = bench.run(spec)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: then)
    again = bench.run(spec, epoch=2, resume=resume_from(whole.checkpoints[3]), recorded_step=3)
    assert [run.notes("environment")[0].details["attention"] for run in (whole, again)] == [kernel] * 2
    assert again.curve == later(whole, 3)


def test_going_on_without_the_compiler_of_before_is_said(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = tiny_spec(steps=6, checkpoint_interval=3, compute=COMPILED)
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
        elsewhere.setattr(preparation, "compiled", lambda model, on: model.hidden)
        story = bench.run(spec)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    again = bench.run(spec, epoch=2, resume=resume_from(story.checkpoints[3]), recorded_step=3)
    [note] = again.notes("not_compiled")
    assert note.level == jobs_pb2.NOTE_LEVEL_WARNING
    assert again.complete.step == 6
    assert not story.notes("not_compiled")


def test_going_on_with_another_number_of_threads_is_said(bench: Bench) -> None:
    whole = bench.run(tiny_spec())
    torch.set_num_threads(2)
    again = bench.run(tiny_spec(), resume=resume_from(whole.checkpoints[8]), epoch=2, recorded_step=8)
    assert "2 threads instead of 1" in again.notes("resumed")[0].message


def test_a_damaged_checkpoint_is_refused(bench: Bench) -> None:
    whole = bench.run(tiny_spec())
    path = bench.files(whole.checkpoints[4]) / "optimizer.safetensors"
    path.chmod(0o644)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(CorruptFileSet):
        bench.files(whole.checkpoints[4])
    with pytest.raises(BadCheckpoint):
        bench.run(tiny_spec(), resume=resume_from(whole.checkpoints[4]), epoch=2)


def test_a_checkpoint_that_is_gone_is_refused(bench: Bench) -> None:
    whole = bench.run(tiny_spec())
    bench.store.delete_all(whole.checkpoints[4].artifact_prefix)
    with pytest.raises(BadCheckpoint, match="step-4"):
        bench.run(tiny_spec(), resume=resume_from(whole.checkpoints[4]), epoch=2)


@pytest.mark.parametrize("change", [{"seed": 8}, {"width": 32}, {"batch_size": 8}])
def test_a_checkpoint_of_another_job_is_refused(bench: Bench, change: dict[str, int]) -> None:
    whole = bench.run(tiny_spec())
    with pytest.raises(BadCheckpoint, match="not of step 4 of this job"):
        bench.run(tiny_spec(**change), resume=resume_from(whole.checkpoints[4]), epoch=2)


def test_the_state_says_where_the_run_was(bench: Bench) -> None:
    whole = bench.run(tiny_spec())
    state = json.loads((bench.files(whole.checkpoints[8]) / "state.json").read_text())["training"]
    assert (state["step"], state["samples"], state["tokens"]) == (8, 32, 512)
    assert state["dataset_sha256"] == bench.dataset.sha256
    assert state["versions"]["torch"]
    assert state["metrics"]["train/loss"] == whole.curve[8]["train/loss"]

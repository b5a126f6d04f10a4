"""What held-out loss says: when to stop, which weights to publish, and when to warn."""

import itertools
import math
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.training.runs import TEXT, Bench, Story, bench_with, resume_from, tiny_spec
from trainer_worker.trainer.engine.evaluate import Evaluation, evaluate
from trainer_worker.trainer.failures import TrainingFailed
from trainer_worker.trainer.recipes import next_token
from tutelage.v1 import jobs_pb2, training_pb2
from tutelage.v1.training_pb2 import EarlyStoppingSpec, RegularizationSpec
from tutelage_internal.v1 import pipe_pb2

STEPS = 300


def learning_by_heart(**changes: object) -> training_pb2.TrainSpec:
    """Ten kilobytes less nine: the model knows the text by heart long before the last step."""
    fields = {"steps": STEPS, "evaluation_interval": 10, "samples_interval": 0, "sequences": 20, "width": 32}
    fields |= {"feed_forward_width": 64, "batch_size": 8, "micro_batch_size": 8, "weight_decay": 0.0}
    fields |= {"checkpoint_interval": 20}
    return tiny_spec(**fields | changes)


def patience(evaluations: int, min_delta: float = 0.0) -> RegularizationSpec:
    return RegularizationSpec(early_stopping=EarlyStoppingSpec(patience=evaluations, min_delta=min_delta))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return bench_with(tmp_path_factory.mktemp("small"), TEXT[:1600], train_share=0.6)


@pytest.fixture(scope="module")
def stopped(small: Bench) -> Story:
    return small.run(learning_by_heart(regularization=patience(3)))


def evaluations(story: Story) -> dict[int, float]:
    return {step: values["eval/loss"] for step, values in story.curve.items() if "eval/loss" in values}


def best_step(story: Story) -> int:
    losses = evaluations(story)
    return min(losses, key=lambda step: losses[step])


def test_a_text_that_is_too_small_stops_early(stopped: Story) -> None:
    losses = evaluations(stopped)
    [note] = stopped.notes("stopped_early")
    assert stopped.ending == pipe_pb2.ENDING_COMPLETE
    assert stopped.complete.step == int(note.details["step"]) + 1 < STEPS
    assert int(note.details["step"]) == best_step(stopped) + 30
    assert all(losses[step] > losses[best_step(stopped)] for step in losses if step > best_step(stopped))
    assert stopped.curve[stopped.complete.step]["train/loss"] < stopped.curve[best_step(stopped)]["train/loss"]


def test_the_best_weights_are_published_with_early_stopping(small: Bench, stopped: Story) -> None:
    losses = evaluations(stopped)
    assert stopped.complete.validation_loss == losses[best_step(stopped)]
    assert stopped.notes("best_published")
    on_the_way = small.files(stopped.checkpoints[best_step(stopped) // 20 * 20 + 20]) / "best.safetensors"
    best = load_file(on_the_way)
    published = load_file(small.files(stopped.complete) / "model.safetensors")
    assert all(torch.equal(published[name], best[name]) for name in best)


def test_overfitting_is_said_once_in_words(stopped: Story) -> None:
    [note] = stopped.notes("overfitting")
    assert note.level == jobs_pb2.NOTE_LEVEL_WARNING
    assert "by heart" in note.message
    losses, turned = evaluations(stopped), int(note.details["step"])
    assert losses[turned] > 1.01 * min(loss for step, loss in losses.items() if step < turned)
    assert turned <= best_step(stopped) + 30


def test_going_on_stops_at_the_same_step_with_the_same_weights(small: Bench, stopped: Story) -> None:
    """From a checkpoint before the best step, and from one after it."""
    spec = learning_by_heart(regularization=patience(3))
    for epoch, step in enumerate((best_step(stopped) // 20 * 20 - 20, best_step(stopped) // 20 * 20 + 20), start=2):
        again = small.run(spec, resume=resume_from(stopped.checkpoints[step]), epoch=epoch, recorded_step=step)
        assert again.curve == {at: values for at, values in stopped.curve.items() if at > step}
        assert small.weights_sha256(again.complete) == small.weights_sha256(stopped.complete)
        assert again.complete.validation_loss == stopped.complete.validation_loss


def test_the_last_weights_are_published_if_that_is_wanted(small: Bench) -> None:
    spec = learning_by_heart(steps=200, regularization=patience(3), publish_best=False)
    story = small.run(spec, epoch=7)
    assert story.complete.validation_loss == evaluations(story)[story.complete.step]
    assert not story.notes("best_published")
    assert not (small.files(story.checkpoints[20]) / "best.safetensors").exists()


def test_the_best_weights_can_be_published_without_stopping_early(tmp_path: pathlib.Path) -> None:
    bench = bench_with(tmp_path, TEXT[:1600], train_share=0.6)
    story = bench.run(learning_by_heart(steps=150, publish_best=True))
    assert story.complete.step == 150
    assert story.complete.validation_loss == min(evaluations(story).values())


def spoiled(*, first: int) -> Callable[..., Iterator[Evaluation | None]]:
    """Evaluations, of which the first so many come to no number."""
    evaluations = itertools.count(1)

    def spoiling(*arguments: Any, **options: Any) -> Iterator[Evaluation | None]:
        bad = next(evaluations) <= first
        for found in evaluate(*arguments, **options):
            yield Evaluation(math.nan, math.nan) if found and bad else found

    return spoiling


def test_a_model_whose_last_evaluation_is_no_number_is_not_published(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(next_token, "evaluate_batches", spoiled(first=1))
    with pytest.raises(TrainingFailed, match="no longer predicts"):
        bench.run(tiny_spec(steps=4, evaluation_interval=0, samples_interval=0))


def test_an_evaluation_that_is_no_number_is_told_and_survived(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is neither the best nor in vain, and the checkpoints after it hold no loss."""
    monkeypatch.setattr(next_token, "evaluate_batches", spoiled(first=2))
    spec = tiny_spec(evaluation_interval=3, checkpoint_interval=4, samples_interval=0, regularization=patience(1))
    story = bench.run(spec)
    assert [note.details["step"] for note in story.notes("no_held_out_loss")] == ["3", "6"]
    assert story.complete.step == 12
    assert not story.checkpoints[4].HasField("validation_loss")
    assert story.complete.validation_loss == story.curve[12]["eval/loss"]


def test_a_large_min_delta_stops_a_run_that_still_learns(bench: Bench) -> None:
    """After two evaluations that are not better by 5 nats."""
    story = bench.run(tiny_spec(steps=60, regularization=patience(2, min_delta=5.0), samples_interval=0))
    assert story.notes("stopped_early")[0].details["step"] == "9"
    assert story.complete.step == 10
    assert not story.notes("overfitting")


def test_a_run_that_learns_is_not_stopped(bench: Bench) -> None:
    story = bench.run(tiny_spec(regularization=patience(2)))
    assert story.complete.step == 12
    assert not story.notes("stopped_early")

"""The recipe: what it tells, that it learns, and how it ends."""

import itertools
import math
import pathlib
from collections.abc import Callable

import pytest
import torch

from artifacts import FileSet, NoSpace, Store
from tests.training.runs import DATASET_KEY, TEXT, Bench, Story, bench_with, tiny_spec
from trainer_worker.trainer.engine.errors import UnusableData
from trainer_worker.trainer.failures import TrainingFailed
from trainer_worker.trainer.recipes import next_token as recipe
from tutelage.v1 import jobs_pb2, training_pb2
from tutelage_internal.v1 import pipe_pb2


def test_a_run_tells_its_facts_in_order(bench: Bench) -> None:
    story = bench.run(tiny_spec(steps=4, checkpoint_interval=2, evaluation_interval=2, samples_interval=4))
    facts = [fact for fact in story.told if not isinstance(fact, pipe_pb2.Progress)]
    assert [(type(fact).__name__, getattr(fact, "step", None)) for fact in facts] == [
        ("Note", None),
        ("CheckpointWritten", 0),
        ("MetricLogged", 1),
        ("CheckpointWritten", 2),
        ("RowsBlamed", 2),
        ("Usage", None),
        ("MetricLogged", 2),
        ("MetricLogged", 3),
        ("RowsBlamed", 4),
        ("SampleDrawn", 4),
        ("MetricLogged", 4),
        ("Usage", None),
        ("CheckpointWritten", 4),
    ]
    assert story.ending == pipe_pb2.ENDING_COMPLETE
    assert [written.complete for written in story.checkpoints.values()] == [False, False, True]


def test_metrics_have_the_promised_keys(bench: Bench) -> None:
    story = bench.run(tiny_spec(steps=4, evaluation_interval=3))
    always = {"train/loss", "train/lr", "train/grad_norm", "train/tokens"}
    always |= {"perf/tokens_per_second", "perf/step_seconds"}
    evaluated = always | {"eval/loss", "eval/bits_per_byte"}
    metrics = {metric.step: set(metric.values) for metric in story.of(jobs_pb2.MetricLogged)}
    assert metrics == {1: always, 2: always, 3: evaluated, 4: evaluated}
    assert story.curve[4]["train/tokens"] == 4 * 4 * 16


def test_an_evaluation_interval_of_0_evaluates_at_the_end_only(bench: Bench) -> None:
    story = bench.run(tiny_spec(steps=4, evaluation_interval=0, samples_interval=0))
    assert [step for step, values in story.curve.items() if "eval/loss" in values] == [4]
    assert story.samples == {}


def test_the_complete_checkpoint_carries_the_last_evaluation(bench: Bench) -> None:
    story = bench.run(tiny_spec())
    last = story.curve[12]
    assert story.complete.validation_loss == last["eval/loss"]
    assert story.complete.validation_bits_per_byte == last["eval/bits_per_byte"]
    assert story.complete.parameters > 0 and story.complete.size_bytes > 4 * story.complete.parameters
    assert last["eval/bits_per_byte"] == pytest.approx(last["eval/loss"] / math.log(2))  # a token is a byte


def test_the_environment_is_told_at_the_start(bench: Bench) -> None:
    [note] = bench.run(tiny_spec(steps=1)).notes("environment")
    assert note.details["precision"] == "fp32"
    assert {"torch", "threads", "device", "parameters", "training_tokens"} <= set(note.details)


def test_every_section_gives_a_sign_of_life(bench: Bench) -> None:
    sections = {sign.section for sign in bench.run(tiny_spec()).of(pipe_pb2.Progress)}
    assert sections == set(pipe_pb2.Section.values()) - {pipe_pb2.SECTION_UNSPECIFIED}


def test_it_learns(bench: Bench) -> None:
    """60 steps on a page of Python: from ln 257 = 5.5 nats to below 3.2, which no table of letters reaches."""
    spec = tiny_spec(steps=60, width=32, feed_forward_width=64, context_length=32, batch_size=16, micro_batch_size=16)
    story = bench.run(spec)
    assert story.curve[1]["train/loss"] == pytest.approx(math.log(257), abs=0.2)
    assert story.curve[60]["eval/loss"] < 3.2


def test_it_learns_in_pairs_of_bytes_too(bench: Bench) -> None:
    story = bench.run(tiny_spec(steps=60, bpe_vocabulary=300, width=32, batch_size=8))
    assert story.curve[60]["eval/bits_per_byte"] < story.curve[3]["eval/bits_per_byte"] - 1
    assert story.curve[60]["eval/loss"] / math.log(2) > story.curve[60]["eval/bits_per_byte"]


def test_a_text_that_yields_fewer_pairs_says_so(tmp_path: pathlib.Path) -> None:
    bench = bench_with(tmp_path, b"ab " * 500)
    story = bench.run(tiny_spec(steps=1, bpe_vocabulary=1000, context_length=8))
    [note] = story.notes("small_vocabulary")
    assert int(note.details["vocabulary_size"]) < 1000


def test_accumulated_gradients_are_those_of_the_whole_batch(tmp_path: pathlib.Path) -> None:
    curves = []
    for micro in (1, 2, 4):
        curves.append(bench_with(tmp_path / str(micro)).run(tiny_spec(micro_batch_size=micro)).curve)
    for step, whole in curves[2].items():
        for parts in curves[:2]:
            assert parts[step] == pytest.approx(whole, rel=1e-4)


def test_the_same_seed_gives_the_same_run_and_another_seed_another(tmp_path: pathlib.Path) -> None:
    one, same, other = (bench_with(tmp_path / str(i)).run(tiny_spec(seed=seed)) for i, seed in enumerate((1, 1, 2)))
    assert one.curve == same.curve
    assert one.samples == same.samples
    assert one.checkpoints[8].manifest_sha256 == same.checkpoints[8].manifest_sha256, "also what receipts show"
    assert one.curve != other.curve


def test_drawing_samples_does_not_disturb_the_training(tmp_path: pathlib.Path) -> None:
    with_samples = bench_with(tmp_path / "a").run(tiny_spec(samples_interval=1, evaluation_interval=0)).curve
    without = bench_with(tmp_path / "b").run(tiny_spec(samples_interval=0, evaluation_interval=0)).curve
    assert with_samples == without


@pytest.mark.parametrize("prompt", ["", "def ", "x" * 200])
def test_any_prompt_is_continued(bench: Bench, prompt: str) -> None:
    spec = tiny_spec(steps=1)
    spec.samples.prompt = prompt
    [sample] = bench.run(spec).of(jobs_pb2.SampleDrawn)
    assert sample.prompt == prompt
    assert 0 < len(sample.text) <= 20


def test_without_a_prompt_the_first_held_out_words_are_continued(bench: Bench) -> None:
    [sample] = bench.run(tiny_spec(steps=1)).of(jobs_pb2.SampleDrawn)
    assert sample.prompt in TEXT[bench.dataset.train_bytes :].decode()
    assert 1 <= len(sample.prompt.split()) <= 8


def test_too_few_tokens_for_one_batch_are_refused_before_any_checkpoint(tmp_path: pathlib.Path) -> None:
    bench = bench_with(tmp_path, b"too short to train on", train_share=1.0)
    with pytest.raises(UnusableData, match="has 21 tokens, and one batch of 4 sequences of 16 needs 65"):
        bench.run(tiny_spec())
    assert list(bench.store.keys("")) == [DATASET_KEY]


def test_without_a_validation_part_nothing_is_evaluated(tmp_path: pathlib.Path) -> None:
    story = bench_with(tmp_path, train_share=1.0).run(tiny_spec(steps=2))
    assert story.notes("no_validation")
    assert not story.complete.HasField("validation_loss")
    assert not any(key.startswith("eval/") for values in story.curve.values() for key in values)


def poisoned(*steps: int) -> Callable[..., torch.Tensor]:
    """The loss, but not a number in the given computations of it, counted from 1."""
    computed = itertools.count(1)
    true_losses = recipe.token_losses

    def losses(*arguments: torch.Tensor, **options: float | None) -> torch.Tensor:
        return true_losses(*arguments, **options) * (math.nan if next(computed) in steps else 1.0)

    return losses


def test_three_steps_that_are_no_numbers_are_skipped(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipe, "token_losses", poisoned(3, 4, 5))
    story = bench.run(tiny_spec(steps=8, micro_batch_size=4, checkpoint_interval=4))
    assert [note.details["step"] for note in story.notes("step_skipped")] == ["3", "4", "5"]
    assert all(note.level == jobs_pb2.NOTE_LEVEL_WARNING for note in story.notes("step_skipped"))
    assert "train/loss" not in story.curve[4] and "train/loss" in story.curve[6]
    assert all(math.isfinite(value) for values in story.curve.values() for value in values.values())
    assert story.ending == pipe_pb2.ENDING_COMPLETE


def test_no_checkpoint_is_written_while_the_loss_is_no_number(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipe, "token_losses", poisoned(4, 5))
    story = bench.run(tiny_spec(steps=8, micro_batch_size=4, checkpoint_interval=4))
    assert list(story.checkpoints) == [0, 6, 8]  # the one of step 4 is owed until step 6


def test_weights_that_are_no_numbers_never_become_a_checkpoint(bench: Bench) -> None:
    """An epsilon that float32 cannot hold makes 0 / 0 of the moments of every byte that was not seen."""
    with pytest.raises(TrainingFailed, match="no longer predicts") as failed:
        bench.run(tiny_spec(steps=4, epsilon=1e-60, tied_head=False, checkpoint_interval=1))
    assert failed.value.failure.reason == jobs_pb2.FAILURE_REASON_DIVERGED
    assert {key.split("/")[3] for key in bench.store.keys("checkpoints")} == {"step-0"}


class FullAtTimes:
    """A store whose disk is full at the given attempts to write a checkpoint, counted from 1."""

    def __init__(self, store: Store, attempts: set[int]) -> None:
        self.store = store
        self.attempts = attempts
        self.tried = itertools.count(1)

    def __getattr__(self, name: str) -> object:
        return getattr(self.store, name)

    def write_file_set(self, prefix: str, fill: Callable[[pathlib.Path], None]) -> FileSet:
        if next(self.tried) in self.attempts:
            raise NoSpace("no space left on device")
        return self.store.write_file_set(prefix, fill)


def run_on_full_disk(bench: Bench, attempts: set[int], **fields: object) -> Story:
    store: Store = FullAtTimes(bench.store, attempts)  # type: ignore[assignment]
    return bench.run(tiny_spec(), store=store, retry_delays_s=(0.0, 0.01), **fields)


def test_a_full_disk_stops_no_training_and_the_next_checkpoint_is_tried(bench: Bench) -> None:
    story = run_on_full_disk(bench, {1, 2})
    assert list(story.checkpoints) == [8, 12]
    assert len(story.notes("checkpoint_failed")) == 2
    assert story.ending == pipe_pb2.ENDING_COMPLETE


def test_the_last_checkpoint_is_tried_again(bench: Bench) -> None:
    story = run_on_full_disk(bench, {4, 5})
    assert story.complete.step == 12


def test_no_room_for_the_last_checkpoint_fails_the_job(bench: Bench) -> None:
    with pytest.raises(TrainingFailed) as failed:
        run_on_full_disk(bench, {4, 5, 6})
    assert failed.value.failure.reason == jobs_pb2.FAILURE_REASON_NO_SPACE


def after(step: int) -> Callable[[], bool]:
    calls = itertools.count(1)
    return lambda: next(calls) >= step


def test_a_stop_writes_a_checkpoint_and_ends(bench: Bench) -> None:
    story = bench.run(tiny_spec(), stop=after(5))
    assert story.ending == pipe_pb2.ENDING_STOPPED
    assert list(story.checkpoints) == [0, 4, 5]
    assert max(story.curve) == 5


def test_a_stop_at_the_last_step_comes_too_late(bench: Bench) -> None:
    story = bench.run(tiny_spec(), stop=after(12))
    assert story.ending == pipe_pb2.ENDING_COMPLETE
    assert story.complete.step == 12


def test_a_stop_waits_for_a_step_that_is_a_number(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipe, "token_losses", poisoned(5, 6))
    story = bench.run(tiny_spec(micro_batch_size=4), stop=after(5))
    assert story.ending == pipe_pb2.ENDING_STOPPED
    assert list(story.checkpoints) == [0, 4, 7]


def test_a_stop_on_a_full_disk_ends_all_the_same(bench: Bench) -> None:
    story = run_on_full_disk(bench, {3, 4, 5}, stop=after(6))
    assert story.ending == pipe_pb2.ENDING_STOPPED
    assert list(story.checkpoints) == [0, 4]


def test_bf16_learns_like_fp32(tmp_path: pathlib.Path) -> None:
    curves = [
        bench_with(tmp_path / str(precision)).run(tiny_spec(precision=precision)).curve
        for precision in (training_pb2.PRECISION_FP32, training_pb2.PRECISION_BF16)
    ]
    assert curves[0] != curves[1]
    for step in curves[0]:
        assert curves[1][step]["train/loss"] == pytest.approx(curves[0][step]["train/loss"], rel=0.02)


def test_a_dataset_can_be_pairs_of_bytes_with_several_micro_batches(bench: Bench) -> None:
    story = bench.run(tiny_spec(steps=3, bpe_vocabulary=270, micro_batch_size=1))
    files = bench.files(story.complete)
    assert sorted(path.name for path in files.iterdir() if path.name != "manifest.json") == [
        "config.json",
        "model.safetensors",
        "optimizer.safetensors",
        "state.json",
        "tokenizer.json",
    ]

"""Numbers that go astray and memory that runs out: what a run does about them, each time alike."""

import dataclasses
import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from tests.training.runs import Bench, Story, resume_from, tiny_spec
from tests.training.test_pretrain import FullAtTimes
from trainer_worker.trainer.engine.checkpoint import TrainingState
from trainer_worker.trainer.failures import TrainingFailed
from trainer_worker.trainer.health import enter_lineage
from trainer_worker.trainer.recipes import next_token
from trainer_worker.trainer.run import Found
from tutelage.v1 import jobs_pb2, training_pb2
from tutelage_internal.v1 import pipe_pb2

Losses = Callable[..., torch.Tensor]


def spoiled(*bad: tuple[int, int]) -> Losses:
    """The losses, but no numbers from the first to the last pass of each range, counted from 1: one pass a step."""
    passes = itertools.count(1)
    true_losses = next_token.token_losses

    def losses(*arguments: torch.Tensor, **options: float | None) -> torch.Tensor:
        number = next(passes)
        return true_losses(*arguments, **options) * (math.nan if any(a <= number <= b for a, b in bad) else 1.0)

    return losses


def spec_of(**changes: object) -> training_pb2.TrainSpec:
    return tiny_spec(**{"steps": 12, "micro_batch_size": 4, "samples_interval": 0} | changes)


def run_spoiled(bench: Bench, monkeypatch: pytest.MonkeyPatch, *bad: tuple[int, int], **fields: object) -> Story:
    with monkeypatch.context() as patched:
        patched.setattr(next_token, "token_losses", spoiled(*bad))
        return bench.run(fields.pop("spec", spec_of()), lineage=1, **fields)


def test_the_fourth_bad_step_in_a_row_goes_back_and_on_with_other_samples(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = run_spoiled(bench, monkeypatch, (6, 9))
    [back] = story.of(jobs_pb2.RolledBack)
    assert (back.from_step, back.to_step, back.lineage) == (9, 4, 2)
    assert "4 steps in a row" in back.message
    assert story.ending == pipe_pb2.ENDING_COMPLETE
    steps = [metric.step for metric in story.of(jobs_pb2.MetricLogged)]
    assert steps == [*range(1, 10), *range(5, 13)]
    first, second = [metric for metric in story.of(jobs_pb2.MetricLogged) if metric.step == 5]
    assert first.data_chain != second.data_chain
    assert all(math.isfinite(value) for value in story.curve[12].values())
    assert [(written.step, written.lineage) for written in story.checkpoints.values()] == [
        (0, 1),
        (4, 1),
        (8, 2),
        (12, 2),
    ]
    assert story.checkpoints[8].artifact_prefix.endswith("step-8-l2")


def test_the_metrics_of_the_last_bad_step_come_before_the_word_that_it_went_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = run_spoiled(bench, monkeypatch, (6, 9))
    told = [thing for thing in story.told if isinstance(thing, jobs_pb2.RolledBack | jobs_pb2.MetricLogged)]
    place = next(index for index, thing in enumerate(told) if isinstance(thing, jobs_pb2.RolledBack))
    assert (told[place - 1].step, told[place + 1].step) == (9, 5)


def test_going_on_after_a_rollback_is_exact(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a checkpoint of the new line, and from that of the old one if the new line has none yet."""
    story = run_spoiled(bench, monkeypatch, (6, 9))
    end = {at: chains for at, chains in story.chains.items() if at > 8}
    for at in (8, 4):
        again = bench.run(spec_of(), lineage=2, epoch=at, resume=resume_from(story.checkpoints[at]), recorded_step=8)
        assert again.chains == end
        assert again.curve == {step: values for step, values in story.curve.items() if step > 8}
        assert bench.weights_sha256(again.complete) == bench.weights_sha256(story.complete)


def test_going_back_to_the_beginning_forgets_what_the_optimizer_has_seen(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first checkpoint holds no state of it: an attempt that goes on from there begins without one, too."""
    spec = spec_of(checkpoint_interval=8)
    story = run_spoiled(bench, monkeypatch, (3, 6), spec=spec)
    assert [back.to_step for back in story.of(jobs_pb2.RolledBack)] == [0]
    again = bench.run(spec, lineage=2, epoch=2, resume=resume_from(story.checkpoints[0]), recorded_step=6)
    assert again.chains[12] == story.chains[12]
    assert bench.weights_sha256(again.complete) == bench.weights_sha256(story.complete)


def test_an_attempt_that_was_cut_off_in_the_bad_steps_goes_back_alike(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recorded up to step 8, resumed from step 4: steps 5 to 9 are computed again, 6 to 9 are bad again."""
    story = run_spoiled(bench, monkeypatch, (6, 9))
    again = run_spoiled(bench, monkeypatch, (2, 5), epoch=2, resume=resume_from(story.checkpoints[4]), recorded_step=8)
    assert again.of(jobs_pb2.RolledBack) == story.of(jobs_pb2.RolledBack)
    assert again.chains == {at: chains for at, chains in story.chains.items() if at > 4}
    assert [metric.step for metric in again.of(jobs_pb2.MetricLogged)] == [9, *range(5, 13)]
    assert bench.weights_sha256(again.complete) == bench.weights_sha256(story.complete)


def test_two_rollbacks_at_one_place_and_a_third_is_divergence(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TrainingFailed, match="again after going back 2 times") as failed:
        run_spoiled(bench, monkeypatch, (6, 1000))
    assert failed.value.failure.reason == jobs_pb2.FAILURE_REASON_DIVERGED
    assert failed.value.failure.help
    kept = {key.split("/")[3] for key in bench.store.keys("checkpoints")}
    assert kept == {"step-0", "step-4"}


def test_bad_places_that_were_passed_do_not_count(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three rollbacks, but each beyond the place of the one before."""
    # Passes 6 to 9 are steps 6 to 9, and go back to 4; then 17 to 20 are steps 12 to 15, and so on.
    spec = spec_of(steps=40)
    bad = [(6, 9), (17, 20), (29, 32)]
    story = run_spoiled(bench, monkeypatch, *bad, spec=spec)
    backs = story.of(jobs_pb2.RolledBack)
    assert [back.lineage for back in backs] == [2, 3, 4]
    assert [back.to_step for back in backs] == sorted({back.to_step for back in backs})
    assert story.complete.step == 40


def test_without_a_checkpoint_to_go_back_to_it_has_diverged(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    full = FullAtTimes(bench.store, set(range(100)))
    with pytest.raises(TrainingFailed, match="no checkpoint to go back to"):
        run_spoiled(bench, monkeypatch, (6, 9), store=full)


def test_each_line_of_steps_has_samples_of_its_own() -> None:
    spec = spec_of()
    seen: set[int] = set()
    for line in (1, 2, 3):
        state = TrainingState(
            seed=1, lineage=1, precision="fp32", batch_size=4, micro_batch_size=4, threads=1, dataset_sha256="",
            versions={},
        )  # fmt: skip
        if line > 1:
            enter_lineage(state, spec, lineage=line)
        samples = set(range(state.samples, state.samples + spec.steps * 4))
        assert not samples & seen
        seen |= samples


def test_a_planted_batch_that_is_no_number_is_survived(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every step that meets the planted samples has a loss that is no number; all others learn."""
    planted = set(range(20, 36))  # sample numbers: the batches of steps 6 to 9 of the first line

    def forward(run: Any, batch: Any) -> Found:
        found = true_forward(run, batch)
        if run.state.samples not in planted:
            return found
        return dataclasses.replace(found, loss=found.loss * math.nan)

    true_forward = next_token.forward_and_backward
    monkeypatch.setattr(next_token, "forward_and_backward", forward)
    story = bench.run(spec_of(), lineage=1)
    assert [back.lineage for back in story.of(jobs_pb2.RolledBack)] == [2]
    assert len(story.notes("step_skipped")) == 4
    assert story.curve[12]["eval/loss"] < story.curve[3]["eval/loss"]


def too_large(limit: int, error: Exception) -> Losses:
    """The losses, if no more than so many sequences are computed at once."""
    true_losses = next_token.token_losses

    def losses(hidden_XD: torch.Tensor, *arguments: torch.Tensor, **options: float | None) -> torch.Tensor:
        torch.rand(3)  # as dropout does: the generator has moved when memory runs out
        if len(hidden_XD) > limit * 16:
            raise error
        return true_losses(hidden_XD, *arguments, **options)

    return losses


ERRORS = [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: can't allocate memory")]


@pytest.mark.parametrize("error", ERRORS)
def test_out_of_memory_halves_the_micro_batch_and_keeps_the_samples(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    dropout = training_pb2.RegularizationSpec(residual_dropout=0.1)
    monkeypatch.setattr(next_token, "token_losses", too_large(1, error))
    story = bench.run(spec_of(regularization=dropout))
    notes = story.notes("micro_batch_halved")
    assert [(note.details["step"], note.details["from"]) for note in notes] == [("1", "4"), ("1", "2")]
    small = bench.run(spec_of(regularization=dropout, micro_batch_size=1), epoch=2)
    assert story.curve == small.curve
    assert story.chains == small.chains


def test_out_of_memory_with_one_sequence_fails(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    error = torch.OutOfMemoryError("CUDA out of memory")
    monkeypatch.setattr(next_token, "token_losses", too_large(0, error))
    with pytest.raises(torch.OutOfMemoryError):
        bench.run(spec_of())


def test_other_errors_halve_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(next_token, "token_losses", too_large(1, RuntimeError("shapes cannot be multiplied")))
    with pytest.raises(RuntimeError, match="shapes"):
        bench.run(spec_of())


def spiking(step: int, factor: float) -> Callable[..., tuple[float, float]]:
    """What `adjust` returns, but a loss that is larger in one step."""
    true_adjust = next_token.adjust

    def adjust(run: object, *arguments: object) -> tuple[float, float]:
        loss, norm = true_adjust(run, *arguments)  # type: ignore[arg-type]
        return (loss * factor if run.state.step + 1 == step else loss), norm  # type: ignore[attr-defined]

    return adjust


@pytest.mark.parametrize(("factor", "told"), [(3.0, ["25"]), (1.02, [])])
def test_a_loss_far_above_the_last_ones_is_flagged(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, factor: float, told: list[str]
) -> None:
    monkeypatch.setattr(next_token, "adjust", spiking(25, factor))
    story = bench.run(spec_of(steps=40, learning_rate=1e-3))
    assert [note.details["step"] for note in story.notes("loss_spike")] == told

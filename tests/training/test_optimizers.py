"""Gradients are measured and clipped; what should decay does, and what should not learn stays."""

import pytest
import torch

from tests.training.moving import (
    ADAM,
    CONFIG,
    DECAY,
    MUON,
    RATE,
    each_rule,
    give_gradients,
    model_of,
    moved,
    named,
    rule_for,
)
from trainer_worker.trainer.engine.optimizers import clip, gradient_norm


def test_the_norm_is_that_of_all_gradients_together() -> None:
    model = model_of()
    for weight in model.parameters():
        weight.grad = torch.full_like(weight, 2.0)
    assert gradient_norm(model).item() == pytest.approx(2.0 * CONFIG.parameters**0.5)


@pytest.mark.parametrize(("clip_norm", "expected"), [(1.0, 1.0), (1e9, None), (0.0, None)])
def test_only_gradients_above_the_norm_are_scaled_down(clip_norm: float, expected: float | None) -> None:
    model = model_of()
    give_gradients(model, 0)
    before = gradient_norm(model).item()
    clip(model, norm=before, clip_norm=clip_norm)
    assert gradient_norm(model).item() == pytest.approx(expected or before, rel=1e-5)


@each_rule
def test_matrices_decay_while_norms_and_embeddings_stay(rule: int) -> None:
    before, model = model_of(), model_of()
    optimizers = rule_for(model, rule)
    for weight in model.parameters():
        weight.grad = torch.zeros_like(weight)
    optimizers.step()
    changed = {n for (n, old), (_, new) in zip(named(before), named(model), strict=True) if not torch.equal(old, new)}
    assert changed == {name for name, weight in named(model) if weight.dim() == 2} - {"embedding.weight"}
    if rule != ADAM:  # whose decay is scaled like a gradient
        kept = model.get_parameter("head.weight") / before.get_parameter("head.weight")
        assert torch.allclose(kept, torch.tensor(1 - RATE * DECAY))


@each_rule
def test_weights_that_do_not_learn_stay_as_they_are(rule: int) -> None:
    model = model_of()
    for name, weight in named(model):
        weight.requires_grad_(name.endswith("down.weight"))
    before = {name: weight.detach().clone() for name, weight in named(model)}
    after = moved(model, rule_for(model, rule), steps=range(2))
    assert {name for name in before if not torch.equal(before[name], after[name])} == {
        "blocks.0.feed_forward.down.weight"
    }


def test_a_model_in_which_nothing_learns_is_refused() -> None:
    with pytest.raises(ValueError, match="no weight is to be trained"):
        rule_for(model_of().requires_grad_(False))


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown optimizer 77"):
        rule_for(model_of(), 77)


@each_rule
def test_a_rate_of_zero_moves_nothing_and_a_higher_one_moves_more(rule: int) -> None:
    start = {name: weight.detach() for name, weight in named(model_of())}
    lengths = []
    for rate in (0.0, 0.001, 0.01):
        model = model_of()
        optimizers = rule_for(model, rule)
        optimizers.set_learning_rate(rate)
        after = moved(model, optimizers, steps=range(1))
        lengths.append(float(sum((after[name] - start[name]).norm() for name in start)))
    assert lengths[0] == 0.0 < lengths[1] < lengths[2]


def test_no_gradient_is_left_after_freeing_them() -> None:
    model = model_of()
    optimizers = rule_for(model, MUON)
    moved(model, optimizers, steps=range(1))
    optimizers.zero_grad()
    assert all(weight.grad is None for weight in model.parameters())

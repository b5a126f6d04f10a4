"""Gradients are measured, clipped and applied as promised."""

import pytest
import torch

from tests.training.runs import same_tensors
from trainer_worker.trainer.engine.model import Decoder, ModelConfig
from trainer_worker.trainer.engine.optimizers import (
    adamw,
    clip,
    gradient_norm,
    optimizer_tensors,
    restore_optimizer,
)

CONFIG = ModelConfig(1, 8, 2, 2, 8, 8, False, 10000.0, 7)


def stepped(*, weight_decay: float = 0.0) -> tuple[Decoder, torch.optim.AdamW]:
    model = Decoder(CONFIG)
    model.initialize(0)
    optimizer = adamw(model, learning_rate=0.1, weight_decay=weight_decay, beta1=0.9, beta2=0.95, epsilon=1e-8)
    for weight in model.parameters():
        weight.grad = torch.zeros_like(weight)
    optimizer.step()
    return model, optimizer


def test_matrices_decay_while_norms_and_embeddings_stay() -> None:
    before = Decoder(CONFIG)
    before.initialize(0)
    model, _ = stepped(weight_decay=0.5)
    moved = {
        name
        for (name, old), new in zip(before.named_parameters(), model.parameters(), strict=True)
        if not torch.equal(old, new)
    }
    assert moved == {name for name, weight in model.named_parameters() if weight.dim() == 2} - {"embedding.weight"}


def test_the_norm_is_that_of_all_gradients_together() -> None:
    model, _ = stepped()
    for weight in model.parameters():
        weight.grad = torch.full_like(weight, 2.0)
    assert gradient_norm(model).item() == pytest.approx(2.0 * CONFIG.parameters**0.5)


@pytest.mark.parametrize(("clip_norm", "expected"), [(1.0, 1.0), (1e9, None), (0.0, None)])
def test_only_gradients_above_the_norm_are_scaled_down(clip_norm: float, expected: float | None) -> None:
    model, _ = stepped()
    for weight in model.parameters():
        weight.grad = torch.full_like(weight, 2.0)
    before = gradient_norm(model).item()
    clip(model, norm=before, clip_norm=clip_norm)
    assert gradient_norm(model).item() == pytest.approx(expected or before, rel=1e-5)


def test_the_state_of_the_optimizer_can_be_put_back() -> None:
    model, optimizer = stepped()
    other, fresh = Decoder(CONFIG), None
    fresh = adamw(other, learning_rate=0.1, weight_decay=0.0, beta1=0.9, beta2=0.95, epsilon=1e-8)
    assert optimizer_tensors(other, fresh) == {}
    restore_optimizer(other, fresh, optimizer_tensors(model, optimizer))
    assert same_tensors(optimizer_tensors(other, fresh), optimizer_tensors(model, optimizer))


def test_a_state_for_other_weights_is_refused() -> None:
    model, optimizer = stepped()
    tensors = optimizer_tensors(model, optimizer)
    with pytest.raises(ValueError, match="not for these weights"):
        restore_optimizer(model, optimizer, {**tensors, "exp_avg.surprise": torch.zeros(1)})
    with pytest.raises(ValueError, match="wrong shape"):
        restore_optimizer(model, optimizer, {**tensors, "exp_avg.embedding.weight": torch.zeros(1)})

"""Muon turns each projection by itself, also where several share a matrix."""

import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import nn

from tests.training.moving import DECAY, MUON, RATE, Array, array, give_gradients, model_of, named, rule_for
from trainer_worker.trainer.engine.muon import Float32Muon, orthogonal


def muon_of_the_report(weight: Array, gradients: list[Array], decay: float) -> Iterator[Array]:
    """Jordan 2024, with Nesterov's momentum; length of Liu et al. 2025, eq. 4."""
    momentum = np.zeros_like(weight)
    for gradient in gradients:
        momentum = 0.95 * momentum + 0.05 * gradient
        update = 0.05 * gradient + 0.95 * momentum
        update = update / np.linalg.norm(update)
        for _ in range(5):
            gram = update @ update.T
            update = 3.4445 * update - 4.7750 * gram @ update + 2.0315 * gram @ gram @ update
        weight = weight - RATE * decay * weight - RATE * 0.2 * math.sqrt(max(weight.shape)) * update
        yield weight


class Fused(nn.Module):
    """The names of a block, with 4 rows of queries, 2 of keys and 2 of values."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.embedding = nn.Embedding(5, 6)
        block = nn.Module()
        block.attention, block.feed_forward = nn.Module(), nn.Module()
        for module, name, rows, width in (
            (block.attention, "qkv", 8, 6),
            (block.attention, "out", 6, 4),
            (block.feed_forward, "gate_up", 14, 6),
            (block.feed_forward, "down", 6, 7),
        ):
            module.add_module(name, nn.Linear(width, rows, bias=False))
            nn.init.normal_(module.get_submodule(name).weight, generator=generator)  # type: ignore[arg-type]
        block.norm = nn.Parameter(torch.ones(6))
        self.blocks = nn.ModuleList([block])


PARTS = {"attention.qkv": [4, 2, 2], "attention.out": [6], "feed_forward.gate_up": [7, 7], "feed_forward.down": [6]}


def test_muon_moves_each_projection_of_a_fused_matrix_as_if_it_stood_alone() -> None:
    model = Fused()
    before = {name: array(weight) for name, weight in named(model)}
    optimizers = rule_for(model, MUON)
    gradients: dict[str, list[Array]] = {name: [] for name in before}
    for step in range(3):
        give_gradients(model, step)
        for name, weight in named(model):
            assert weight.grad is not None
            gradients[name].append(array(weight.grad))
        optimizers.step()
    for name, rows in PARTS.items():
        whole, first = model.get_parameter(f"blocks.0.{name}.weight"), 0
        for count in rows:
            part = slice(first, first + count)
            slopes = [gradient[part] for gradient in gradients[f"blocks.0.{name}.weight"]]
            *_, expected = muon_of_the_report(before[f"blocks.0.{name}.weight"][part], slopes, DECAY)
            # bfloat16 products where the processor has them: two digits
            np.testing.assert_allclose(array(whole)[part], expected, atol=0.02, rtol=0.02)
            first += count


def test_fused_and_separate_matrices_are_moved_to_the_same_bits() -> None:
    fused, separate = Fused(), nn.Module()
    blocks = nn.Module()
    for name, rows in PARTS.items():
        whole = fused.get_parameter(f"blocks.0.{name}.weight")
        for index, part in enumerate(whole.detach().split(rows)):
            blocks.register_parameter(f"{name}{index}".replace(".", "_"), nn.Parameter(part.clone()))
    separate.add_module("blocks", blocks)
    one, other = rule_for(fused, MUON), rule_for(separate, MUON)
    for step in range(3):
        give_gradients(fused, step)
        for name, rows in PARTS.items():
            gradient = fused.get_parameter(f"blocks.0.{name}.weight").grad
            assert gradient is not None
            for index, part in enumerate(gradient.split(rows)):
                blocks.get_parameter(f"{name}{index}".replace(".", "_")).grad = part.clone()
        one.step()
        other.step()
    for name, rows in PARTS.items():
        parts = fused.get_parameter(f"blocks.0.{name}.weight").detach().split(rows)
        for index, part in enumerate(parts):
            assert torch.equal(part, blocks.get_parameter(f"{name}{index}".replace(".", "_")))


@pytest.mark.parametrize("shape", [(16, 16), (8, 32), (32, 8)])
def test_orthogonal_matrices_have_singular_values_near_one_and_the_same_directions(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(4))
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    turned = left.T @ orthogonal(matrix) @ right.T
    assert torch.allclose(turned, torch.diag(turned.diag()), atol=1e-4)
    ordinary = values / values.norm() > 0.02
    assert turned.diag()[ordinary].min() > 0.65 and turned.diag().max() < 1.25


def test_float32_products_move_as_those_of_the_library_do() -> None:
    weights = [nn.Parameter(torch.ones(6, 4)) for _ in range(2)]
    kinds = (Float32Muon, torch.optim.Muon)
    rules = [
        kind([weight], lr=0.1, adjust_lr_fn="match_rms_adamw") for kind, weight in zip(kinds, weights, strict=True)
    ]
    for step in range(3):
        gradient = torch.randn(6, 4, generator=torch.Generator().manual_seed(step))
        for rule, weight in zip(rules, weights, strict=True):
            weight.grad = gradient.clone()
            rule.step()
    assert torch.allclose(*weights, atol=0.01)


def test_muon_leaves_all_but_the_matrices_of_blocks_to_adamw() -> None:
    model = model_of()
    kept = rule_for(model, MUON)
    give_gradients(model, 0)
    kept.step()
    with_moments = {name.removeprefix("exp_avg.") for name in kept.tensors() if name.startswith("exp_avg.")}
    in_blocks = {name for name, weight in named(model) if name.startswith("blocks.") and weight.dim() == 2}
    assert with_moments == {name for name, _ in named(model)} - in_blocks


def test_muon_follows_weights_whose_memory_has_moved() -> None:
    model = model_of()
    optimizers = rule_for(model, MUON)
    for weight in model.parameters():
        weight.data = weight.data.clone()
    before = model.get_parameter("blocks.0.attention.qkv.weight").detach().clone()
    give_gradients(model, 0)
    optimizers.step()
    assert not torch.equal(before, model.get_parameter("blocks.0.attention.qkv.weight"))

"""The loss of every token and its gradients, at once or in pieces, against plain formulas and finite differences."""

import math
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import Tensor, profiler
from torch.nn import functional

from trainer_worker.trainer.engine.batch import IGNORED
from trainer_worker.trainer.engine.loss import token_losses
from trainer_worker.trainer.engine.model import Decoder
from trainer_worker.trainer.engine.model_config import ModelConfig

AT_ONCE, PIECES = 1 << 28, 5 * 4 * 19  # five positions of the vocabulary below
sizes = pytest.mark.parametrize("logits_bytes_max", [AT_ONCE, PIECES, 1])
options_alike = pytest.mark.parametrize(
    "options",
    [{"label_smoothing": smoothing, "soft_cap": cap} for smoothing in (0.0, 0.1) for cap in (None, 3.0)],
    ids=["plain", "capped", "smooth", "smooth-capped"],
)


def case(dtype: torch.dtype = torch.float64, *, ignored: slice = slice(0, None, 3)) -> tuple[Tensor, Tensor, Tensor]:
    """37 positions of width 8, a vocabulary of 19, and a third of the targets ignored."""
    generator = torch.Generator().manual_seed(5)
    hidden_XD = torch.randn(37, 8, generator=generator, dtype=dtype).requires_grad_()
    weight_VD = torch.randn(19, 8, generator=generator, dtype=dtype).requires_grad_()
    targets_X = torch.randint(0, 19, (37,), generator=generator)
    targets_X[ignored] = IGNORED
    return hidden_XD, weight_VD, targets_X


def plain(
    hidden_XD: Tensor, weight_VD: Tensor, targets_X: Tensor, *, label_smoothing: float, soft_cap: float | None
) -> Tensor:
    """The definition, position by position."""
    losses = []
    for hidden, target in zip(hidden_XD, targets_X.tolist(), strict=True):
        if target == IGNORED:
            losses.append(hidden.new_zeros(()))
            continue
        scores = weight_VD @ hidden
        scores = scores if soft_cap is None else soft_cap * torch.tanh(scores / soft_cap)
        surprise = -torch.log(torch.exp(scores) / torch.exp(scores).sum())
        losses.append((1 - label_smoothing) * surprise[target] + label_smoothing * surprise.mean())
    return torch.stack(losses)


@sizes
@options_alike
def test_values_and_gradients_are_those_of_the_definition(logits_bytes_max: int, options: dict[str, Any]) -> None:
    hidden_XD, weight_VD, targets_X = case()
    shares_X = torch.rand(37, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    losses_X = token_losses(hidden_XD, weight_VD, targets_X, logits_bytes_max=logits_bytes_max, **options)
    expected_X = plain(hidden_XD, weight_VD, targets_X, **options)
    assert torch.allclose(losses_X, expected_X, atol=1e-12)
    found = torch.autograd.grad((losses_X * shares_X).sum(), (hidden_XD, weight_VD))
    expected = torch.autograd.grad((expected_X * shares_X).sum(), (hidden_XD, weight_VD))
    assert all(torch.allclose(one, other, atol=1e-12) for one, other in zip(found, expected, strict=True))


@sizes
@options_alike
def test_gradients_are_finite_differences(logits_bytes_max: int, options: dict[str, Any]) -> None:
    hidden_XD, weight_VD, targets_X = case()

    def losses(hidden_XD: Tensor, weight_VD: Tensor) -> Tensor:
        return token_losses(hidden_XD, weight_VD, targets_X[:7], logits_bytes_max=logits_bytes_max, **options)

    inputs = (hidden_XD[:7].detach().requires_grad_(), weight_VD)
    assert torch.autograd.gradcheck(losses, inputs, fast_mode=True)


@sizes
def test_ignored_positions_cost_nothing_and_learn_nothing(logits_bytes_max: int) -> None:
    hidden_XD, weight_VD, targets_X = case()
    with torch.no_grad():
        hidden_XD[::3] = math.nan
    losses_X = token_losses(hidden_XD, weight_VD, targets_X, logits_bytes_max=logits_bytes_max)
    losses_X.sum().backward()
    assert hidden_XD.grad is not None and weight_VD.grad is not None
    assert (losses_X[::3] == 0).all() and (hidden_XD.grad[::3] == 0).all()
    assert weight_VD.grad.isfinite().all()


@sizes
def test_where_nothing_counts_the_loss_is_zero_everywhere(logits_bytes_max: int) -> None:
    hidden_XD, weight_VD, targets_X = case(ignored=slice(None))
    losses_X = token_losses(hidden_XD, weight_VD, targets_X, logits_bytes_max=logits_bytes_max)
    losses_X.sum().backward()
    assert (losses_X == 0).all() and weight_VD.grad is not None and (weight_VD.grad == 0).all()


@sizes
@pytest.mark.parametrize("ignored", [slice(0, None, 3), slice(0)])
def test_products_are_in_the_dtype_of_autocast_and_losses_in_float32(logits_bytes_max: int, ignored: slice) -> None:
    hidden_XD, weight_VD, targets_X = case(torch.float32, ignored=ignored)
    with torch.autocast("cpu", torch.bfloat16):
        losses_X = token_losses(hidden_XD, weight_VD, targets_X, logits_bytes_max=logits_bytes_max)
    logits_XV = hidden_XD.bfloat16() @ weight_VD.bfloat16().T
    expected_X = functional.cross_entropy(logits_XV.float(), targets_X, reduction="none", ignore_index=IGNORED)
    found = torch.autograd.grad(losses_X.sum(), (hidden_XD, weight_VD))
    expected = torch.autograd.grad(expected_X.sum(), (hidden_XD, weight_VD))
    assert losses_X.dtype == torch.float32 and all(gradient.dtype == torch.float32 for gradient in found)
    assert torch.allclose(losses_X, expected_X, atol=1e-6)
    assert all(torch.allclose(one, other, atol=0.02) for one, other in zip(found, expected, strict=True))


def test_pieces_give_the_same_bits_each_time() -> None:
    results = []
    for _ in range(2):
        hidden_XD, weight_VD, targets_X = case(torch.float32)
        token_losses(hidden_XD, weight_VD, targets_X, logits_bytes_max=PIECES).sum().backward()
        results.append((hidden_XD.grad, weight_VD.grad))
    assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))  # type: ignore[arg-type]


PEAK = """
import resource, torch
from trainer_worker.trainer.engine.loss import token_losses
torch.set_num_threads(1)
rows, vocabulary, width = 1024, 65536, 8
hidden, weight = torch.randn(rows, width).requires_grad_(), torch.randn(vocabulary, width).requires_grad_()
targets = torch.randint(0, vocabulary, (rows,))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
token_losses(hidden, weight, targets, logits_bytes_max=1 << 24).sum().backward()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_the_logits_of_all_positions_never_exist_at_once() -> None:
    """They would be 268 MB, three times over: logits, predictions and gradients."""
    output = subprocess.run([sys.executable, "-c", PEAK], check=True, capture_output=True, text=True).stdout
    assert int(output) * 1024 < 400e6


def test_a_frozen_output_layer_costs_no_gradient() -> None:
    """As large as the layer in float32, it would be for nothing where only adapters learn."""
    hidden_XD, weight_VD, targets_X = case()
    token_losses(hidden_XD, weight_VD, targets_X, logits_bytes_max=PIECES).sum().backward()
    frozen_XD = hidden_XD.detach().requires_grad_()
    losses_X = token_losses(frozen_XD, weight_VD.detach(), targets_X, logits_bytes_max=PIECES)
    with profiler.profile(activities=[profiler.ProfilerActivity.CPU], record_shapes=True) as seen:
        losses_X.sum().backward()
    shapes = [event.input_shapes for event in seen.events() if event.name == "aten::mm"]
    assert shapes
    assert not [shape for shape in shapes if shape[0][0] == len(weight_VD)]
    assert torch.equal(frozen_XD.grad, hidden_XD.grad)  # type: ignore[arg-type]


def test_the_gradient_of_a_whole_model_is_that_of_finite_differences() -> None:
    config = ModelConfig(2, 8, 2, 1, 8, 8, True, 10000.0, 11)
    model = Decoder(config).double()
    model.initialize(1)
    generator = torch.Generator().manual_seed(7)
    tokens_BT = torch.randint(0, 11, (2, 7), generator=generator)

    def loss() -> Tensor:
        hidden_XD = model.hidden(tokens_BT[:, :-1]).flatten(0, 1)
        return token_losses(hidden_XD, model.output_weight, tokens_BT[:, 1:].flatten()).mean()

    loss().backward()
    for name, weight in model.named_parameters():
        along = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
        assert weight.grad is not None
        slope, start = float((weight.grad * along).sum()), weight.detach().clone()
        ends = []
        for distance in (1e-5, -1e-5):
            weight.data = start + distance * along
            ends.append(loss().item())
        weight.data = start
        assert slope == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-5, abs=1e-9), name

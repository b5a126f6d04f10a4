"""Each rule moves weights as its paper says, by an independent computation in float64."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.training.moving import ADAFACTOR, ADAM, ADAMW, DECAY, RATE, RMSPROP, SGD, Array, array, named, rule_for


def adamw_of_the_paper(weight: Array, gradients: list[Array], decay: float) -> Iterator[Array]:
    """Loshchilov and Hutter 2019, algorithm 2."""
    mean, square = np.zeros_like(weight), np.zeros_like(weight)
    for step, gradient in enumerate(gradients, 1):
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.95 * square + 0.05 * gradient**2
        fair_mean, fair_square = mean / (1 - 0.9**step), square / (1 - 0.95**step)
        weight = weight - RATE * (fair_mean / (np.sqrt(fair_square) + 1e-8)) - RATE * decay * weight
        yield weight


def adam_of_the_paper(weight: Array, gradients: list[Array], decay: float) -> Iterator[Array]:
    """Kingma and Ba 2015, algorithm 1, with an L2 penalty in the gradient."""
    mean, square = np.zeros_like(weight), np.zeros_like(weight)
    for step, slope in enumerate(gradients, 1):
        gradient = slope + decay * weight
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.95 * square + 0.05 * gradient**2
        weight = weight - RATE * (mean / (1 - 0.9**step)) / (np.sqrt(square / (1 - 0.95**step)) + 1e-8)
        yield weight


def sgd_of_the_paper(weight: Array, gradients: list[Array], decay: float) -> Iterator[Array]:
    """Sutskever et al. 2013, with the velocity in units of the gradient; decay as in SGDW."""
    velocity = np.zeros_like(weight)
    for gradient in gradients:
        velocity = 0.9 * velocity + gradient
        weight = weight - RATE * decay * weight - RATE * velocity
        yield weight


def nesterov_of_the_paper(weight: Array, gradients: list[Array], decay: float) -> Iterator[Array]:
    velocity = np.zeros_like(weight)
    for gradient in gradients:
        velocity = 0.9 * velocity + gradient
        weight = weight - RATE * decay * weight - RATE * (gradient + 0.9 * velocity)
        yield weight


def plain_sgd_of_the_paper(weight: Array, gradients: list[Array], decay: float) -> Iterator[Array]:
    for gradient in gradients:
        weight = weight - RATE * (gradient + decay * weight)
        yield weight


def rmsprop_of_the_lecture(weight: Array, gradients: list[Array], decay: float) -> Iterator[Array]:
    """Hinton 2012, lecture 6e."""
    square = np.zeros_like(weight)
    for gradient in gradients:
        square = 0.99 * square + 0.01 * gradient**2
        weight = weight - RATE * decay * weight - RATE * gradient / (np.sqrt(square) + 1e-8)
        yield weight


def adafactor_of_the_paper(weight: Array, gradients: list[Array], decay: float) -> Iterator[Array]:
    """Shazeer and Stern 2018, algorithm 4 (matrices) and 5 (vectors), with the step sizes of algorithm 8."""
    matrix = weight.ndim == 2
    row = column = square = np.zeros(())
    for step, gradient in enumerate(gradients, 1):
        keep = 1 - step**-0.8
        if matrix:
            row = keep * row + (1 - keep) * (gradient**2).sum(1)
            column = keep * column + (1 - keep) * (gradient**2).sum(0)
            estimate = np.outer(row, column) / row.sum()
        else:
            estimate = square = keep * square + (1 - keep) * gradient**2
        update = gradient / np.sqrt(estimate)
        update = update / max(1.0, math.sqrt((update**2).mean()))
        size = max(1e-3, math.sqrt((weight**2).mean()))
        weight = weight - RATE * decay * weight - size * min(RATE, step**-0.5) * update
        yield weight


Paper = Callable[[Array, list[Array], float], Iterator[Array]]
PAPERS: dict[str, tuple[int, Paper, dict[str, Any]]] = {
    "adamw": (ADAMW, adamw_of_the_paper, {}),
    "adam": (ADAM, adam_of_the_paper, {}),
    "sgd": (SGD, sgd_of_the_paper, {}),
    "sgd-nesterov": (SGD, nesterov_of_the_paper, {"nesterov": True}),
    "sgd-plain": (SGD, plain_sgd_of_the_paper, {"momentum": 0.0}),
    "rmsprop": (RMSPROP, rmsprop_of_the_lecture, {}),
    "adafactor": (ADAFACTOR, adafactor_of_the_paper, {}),
}


class Weights(nn.Module):
    """A matrix that decays, an embedding and a vector that do not."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.matrix = nn.Parameter(torch.randn(5, 3, generator=generator))
        self.embedding = nn.Embedding(4, 3)
        self.norm = nn.Parameter(torch.randn(3, generator=generator))


@pytest.mark.parametrize("name", PAPERS)
@pytest.mark.parametrize("size", [1.0, 1e-5])
def test_three_steps_are_those_of_the_paper(name: str, size: float) -> None:
    rule, paper, fields = PAPERS[name]
    model = Weights()
    optimizers = rule_for(model, rule, **fields)
    generator = torch.Generator().manual_seed(2)
    gradients = {n: [size * torch.randn(w.shape, generator=generator) for _ in range(3)] for n, w in named(model)}
    expected = {
        n: paper(array(w), [array(g) for g in gradients[n]], DECAY if n == "matrix" else 0.0) for n, w in named(model)
    }
    for step in range(3):
        for n, weight in model.named_parameters():
            weight.grad = gradients[n][step].clone()
        optimizers.step()
        for n, weight in model.named_parameters():
            np.testing.assert_allclose(array(weight), next(expected[n]), rtol=2e-4, atol=2e-6)

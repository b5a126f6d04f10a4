"""A small model, and rules that move it by gradients that are the same each time."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from trainer_worker.trainer.engine.model import Decoder
from trainer_worker.trainer.engine.model_config import ModelConfig
from trainer_worker.trainer.engine.optimizers import Optimizers, make_optimizers
from tutelage.v1 import training_pb2

CONFIG = ModelConfig(1, 8, 2, 1, 8, 8, False, 10000.0, 7)
ADAMW, ADAM = training_pb2.OPTIMIZER_ADAMW, training_pb2.OPTIMIZER_ADAM
SGD, RMSPROP = training_pb2.OPTIMIZER_SGD, training_pb2.OPTIMIZER_RMSPROP
ADAFACTOR, MUON = training_pb2.OPTIMIZER_ADAFACTOR, training_pb2.OPTIMIZER_MUON
ALL = [ADAMW, ADAM, SGD, RMSPROP, ADAFACTOR, MUON]
NAMES = {value: name.removeprefix("OPTIMIZER_").lower() for name, value in training_pb2.Optimizer.items()}
each_rule = pytest.mark.parametrize("rule", ALL, ids=[NAMES[rule] for rule in ALL])

Array = NDArray[np.float64]
RATE, DECAY = 0.05, 0.2


def model_of(seed: int = 0) -> Decoder:
    model = Decoder(CONFIG)
    model.initialize(seed)
    return model


def rule_for(model: nn.Module, rule: int = ADAMW, **fields: Any) -> Optimizers:
    fields = {"learning_rate": RATE, "weight_decay": DECAY} | fields
    return make_optimizers(model.named_parameters(), training_pb2.OptimizationSpec(optimizer=rule, **fields))


def give_gradients(model: nn.Module, step: int) -> None:
    """The same for the same step."""
    generator = torch.Generator().manual_seed(step)
    for weight in model.parameters():
        weight.grad = torch.randn(weight.shape, generator=generator)


def moved(model: nn.Module, optimizers: Optimizers, *, steps: range) -> dict[str, Tensor]:
    for step in steps:
        give_gradients(model, step)
        optimizers.step()
    return {name: weight.detach().clone() for name, weight in model.named_parameters()}


def named(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    return list(model.named_parameters())


def array(tensor: Tensor) -> Array:
    return tensor.detach().double().numpy()

"""The engine of this house: its parts in a loop of a few lines, without a job around them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from benchmarks.peers.shapes import VOCABULARY, Batches, Shape
from trainer_worker.trainer.engine import precision
from trainer_worker.trainer.engine.compilation import compiled
from trainer_worker.trainer.engine.loss import token_losses
from trainer_worker.trainer.engine.model import Decoder
from trainer_worker.trainer.engine.model_config import ModelConfig
from trainer_worker.trainer.engine.optimizers import clip, gradient_norm, make_optimizers
from trainer_worker.trainer.engine.schedule import learning_rate
from tutelage.v1 import training_pb2


def train(shape: Shape, *, options: frozenset[str], steps: int = 2000, rate: float = 1e-3) -> Iterator[Any]:
    """Yields after each step a function from windows to their mean loss. Options: bf16, compile, muon."""
    precision.make_reproducible()
    device, arithmetic = torch.device("cpu"), "bf16" if "bf16" in options else "fp32"
    model, batches = model_of(shape), Batches(shape)
    hidden = compiled(model, on="compile" in options)
    spec = training_pb2.OptimizationSpec(
        optimizer=training_pb2.OPTIMIZER_MUON if "muon" in options else training_pb2.OPTIMIZER_ADAMW,
        learning_rate=rate,
        final_learning_rate_ratio=0.1,
        warmup_steps=min(100, steps // 10),
        weight_decay=0.1,
        beta2=0.99,
    )
    optimizers = make_optimizers(model.named_parameters(), spec)

    def losses(windows: torch.Tensor, forward: Any) -> torch.Tensor:
        with precision.autocast(arithmetic, device=device):
            states = forward(windows[:, :-1]).flatten(0, 1)
            return token_losses(states, model.output_weight, windows[:, 1:].flatten())

    for step in range(1, steps + 1):
        loss = losses(torch.from_numpy(batches.next()), hidden).mean()
        loss.backward()
        _, norm = torch.stack((loss.detach(), gradient_norm(model))).tolist()
        clip(model, norm=norm, clip_norm=1.0)
        optimizers.set_learning_rate(learning_rate(step, steps=steps, spec=spec))
        optimizers.step()
        optimizers.zero_grad()
        yield lambda windows: losses(windows, model.hidden).mean()


def model_of(shape: Shape) -> Decoder:
    model = Decoder(
        ModelConfig(
            layers=shape.layers,
            width=shape.width,
            heads=shape.heads,
            key_value_heads=shape.heads,
            feed_forward_width=shape.feed_forward_width,
            context_length=shape.context,
            tied_head=True,
            rotary_base=10000.0,
            vocabulary_size=VOCABULARY,
        )
    )
    model.initialize(1337)
    return model

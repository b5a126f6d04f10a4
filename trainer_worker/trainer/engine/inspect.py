"""The inside of one step: what a model predicts of a text, how wrong it is, and how that would move its weights.

T positions of the text   V vocabulary   K predictions
"""

import dataclasses
import math
import re
from typing import Protocol

import torch
from torch import Tensor, nn

from trainer_worker.trainer.engine.model import Decoder
from trainer_worker.trainer.engine.optimizers import clip, gradient_norm

LAYER = re.compile(r"(?:^|\.)blocks\.(\d+)\.")


class Mover(Protocol):
    """What moves weights by their gradients."""

    def set_learning_rate(self, learning_rate: float, /) -> None: ...

    def step(self) -> None: ...


@dataclasses.dataclass(frozen=True)
class Prediction:
    """A token that might come next."""

    token: int
    probability: float


@dataclasses.dataclass(frozen=True)
class InspectedToken:
    """A token, and what was expected in its place; nothing is expected of the first. Loss in nats."""

    token: int
    loss: float | None = None
    probability: float | None = None
    predictions: tuple[Prediction, ...] = ()


@dataclasses.dataclass(frozen=True)
class InspectedPart:
    """One module with weights. `update_ratio` is the norm of its movement over the norm of its weights."""

    name: str
    layer: int | None
    weights: int
    weight_norm: float
    gradient_norm: float
    update_ratio: float


@dataclasses.dataclass(frozen=True)
class Inspection:
    """What happened; losses in nats."""

    loss: float
    tokens: list[InspectedToken]
    parts: list[InspectedPart]
    gradient_norm: float


def inspect_step(
    model: Decoder, optimizers: Mover, tokens: list[int], *, learning_rate: float, clip_norm: float, predictions: int
) -> Inspection:
    """Takes one step on the tokens, in float32 and without dropout. The weights of `model` are moved by it.

    Raises: ValueError for less than two tokens.
    """
    if len(tokens) < 2:
        raise ValueError(f"{len(tokens)} tokens are too few: the first is given, and another must follow")
    model.eval()
    device = model.embedding.weight.device

    # Forward and compare.
    tokens_1T = torch.tensor([tokens], device=device)
    logits_TV = model(tokens_1T[:, :-1])[0].float()
    believed_TV = torch.log_softmax(logits_TV, dim=-1)
    losses_T = -believed_TV.gather(1, tokens_1T[0, 1:, None])[:, 0]
    loss = losses_T.mean()

    # Backward and adjust.
    loss.backward()
    norm = gradient_norm(model).item()
    gradients = {name: norm_of(weight.grad) for name, weight in trainable(model)}
    before = {name: weight.detach().clone() for name, weight in trainable(model)}
    clip(model, norm=norm, clip_norm=clip_norm)
    optimizers.set_learning_rate(learning_rate)
    optimizers.step()
    return Inspection(
        loss=loss.item(),
        tokens=told_tokens(tokens, losses_T.detach(), believed_TV.detach(), predictions=predictions),
        parts=told_parts(model, before=before, gradients=gradients),
        gradient_norm=norm,
    )


def told_tokens(tokens: list[int], losses_T: Tensor, believed_TV: Tensor, *, predictions: int) -> list[InspectedToken]:
    best_TK, order_TK = believed_TV.topk(min(predictions, believed_TV.shape[-1]), dim=-1)
    losses, best, order = losses_T.tolist(), best_TK.exp().tolist(), order_TK.tolist()
    told = [
        InspectedToken(
            token=token,
            loss=losses[place],
            probability=math.exp(-losses[place]),
            predictions=tuple(map(Prediction, order[place], best[place])),
        )
        for place, token in enumerate(tokens[1:])
    ]
    return [InspectedToken(token=tokens[0]), *told]


def told_parts(model: Decoder, *, before: dict[str, Tensor], gradients: dict[str, float]) -> list[InspectedPart]:
    """Weights and biases of one module are one part; parts come in the order of the forward pass."""
    weights = dict(trainable(model))
    parts: dict[str, list[str]] = {}
    for name in weights:
        parts.setdefault(name.rpartition(".")[0], []).append(name)
    return [
        InspectedPart(
            name=part,
            layer=layer_of(names[0]),
            weights=sum(weights[name].numel() for name in names),
            weight_norm=(norm := math.hypot(*(norm_of(before[name]) for name in names))),
            gradient_norm=math.hypot(*(gradients[name] for name in names)),
            update_ratio=math.hypot(*(norm_of(weights[name].detach() - before[name]) for name in names)) / norm
            if norm
            else 0.0,
        )
        for part, names in parts.items()
    ]


def trainable(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    return [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]


def changed_weights(model: nn.Module, first: dict[str, Tensor]) -> int | None:
    """How many trainable weights differ from those of an earlier time; None if that time had others."""
    weights = trainable(model)
    if any(name not in first or first[name].shape != weight.shape for name, weight in weights):
        return None
    return sum(int((weight.detach().cpu() != first[name]).sum()) for name, weight in weights)


def layer_of(name: str) -> int | None:
    found = LAYER.search(name)
    return int(found[1]) if found else None


def norm_of(tensor: Tensor | None) -> float:
    return 0.0 if tensor is None else float(torch.linalg.vector_norm(tensor.detach()))

"""How well a model predicts text that it does not train on.

B rows   T positions   V vocabulary
"""

import dataclasses
import math
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from trainer_worker.trainer.engine.model import Decoder
from trainer_worker.trainer.engine.precision import autocast


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Loss in nats per token, and in bits per byte of text, which does not depend on the tokenizer."""

    loss: float
    bits_per_byte: float


def next_token_loss(logits_BTV: Tensor, targets_BT: Tensor, *, reduction: str = "mean") -> Tensor:
    """Cross-entropy of the true next tokens, in nats, computed in float32 whatever the logits are.

    Shapes: logits (B, T, V); targets (B, T) int64. Returns a scalar: the mean over positions, or with `sum` their sum.
    """
    return functional.cross_entropy(logits_BTV.float().flatten(0, 1), targets_BT.flatten(), reduction=reduction)


def evaluate(
    model: Decoder, batches: Iterable[Tensor], *, token_bytes_V: np.ndarray, precision: str
) -> Iterator[Evaluation | None]:
    """Yields nothing yet after each batch, a sign of life, and at last the evaluation; None if there was no batch."""
    device = model.embedding.weight.device
    nats, tokens, size_bytes = 0.0, 0, 0
    for window_BT in batches:
        inputs_BT, targets_BT = window_BT[:, :-1].to(device), window_BT[:, 1:].to(device)
        with torch.inference_mode(), autocast(precision, device=device):
            nats += next_token_loss(model(inputs_BT), targets_BT, reduction="sum").item()
        tokens += targets_BT.numel()
        size_bytes += int(token_bytes_V[window_BT[:, 1:].numpy()].sum())
        yield None
    if tokens and size_bytes:
        yield Evaluation(loss=nats / tokens, bits_per_byte=nats / math.log(2) / size_bytes)

"""How well a model predicts text that it does not train on.

B rows   T positions   X positions of all rows   D width   V vocabulary
"""

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from trainer_worker.trainer.engine.batch import IGNORED, Batch
from trainer_worker.trainer.engine.loss import token_losses
from trainer_worker.trainer.engine.model import Decoder
from trainer_worker.trainer.engine.precision import autocast


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Loss in nats per supervised token, and in bits per byte of their text, which does not depend on the tokenizer.

    Of methods that compare answers: the loss of a row, and the share of pairs that come out the right way round.
    `others` is what else was measured, by the names of metrics.
    """

    loss: float
    bits_per_byte: float | None = None
    accuracy: float | None = None
    others: Mapping[str, float] = dataclasses.field(default_factory=dict)

    def metrics(self) -> dict[str, float]:
        named = {"loss": self.loss, "bits_per_byte": self.bits_per_byte, "accuracy": self.accuracy, **self.others}
        return {name: value for name, value in named.items() if value is not None}


def evaluate(
    model: Decoder, batches: Iterable[Batch], *, token_bytes_V: np.ndarray, precision: str
) -> Iterator[Evaluation | None]:
    """Yields nothing yet after each batch, a sign of life, and at last the evaluation; None if there was no batch.

    The model predicts as it does when it is used, without dropout, and is then as it was.
    """
    training = model.training
    model.eval()
    nats, tokens, size_bytes = 0.0, 0, 0
    for batch in batches:
        nats += nats_of(model, batch, precision=precision)
        tokens += batch.supervised
        size_bytes += bytes_of(batch, token_bytes_V)
        yield None
    model.train(training)
    if tokens and size_bytes:
        yield Evaluation(loss=nats / tokens, bits_per_byte=nats / math.log(2) / size_bytes)


def nats_of(model: Decoder, batch: Batch, *, precision: str) -> float:
    """The losses of all targets of a batch together."""
    return losses_of(model, batch, precision=precision).sum(dtype=torch.float64).item()


def losses_of(model: Decoder, batch: Batch, *, precision: str) -> Tensor:
    """The loss of each target of a batch, in nats; 0 where there is none. Shape (B, T), float32."""
    device = model.embedding.weight.device
    moved = batch.to(device)
    with torch.inference_mode(), autocast(precision, device=device):
        hidden_BTD = model.hidden(moved.tokens_BT, positions_BT=moved.positions_BT, documents_BT=moved.documents_BT)
        losses_X: Tensor = token_losses(
            hidden_BTD.flatten(0, 1),
            model.output_weight,
            moved.targets_BT.flatten(),
            soft_cap=model.config.logit_soft_cap,
        )
    return losses_X.view_as(moved.targets_BT)


def bytes_of(batch: Batch, token_bytes_V: np.ndarray) -> int:
    """How long the text of all targets is."""
    targets_BT = batch.targets_BT.cpu().numpy()
    return int(token_bytes_V[targets_BT[targets_BT != IGNORED]].sum())

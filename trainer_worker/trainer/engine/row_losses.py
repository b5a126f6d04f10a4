"""How well a model predicts each row, or each window of a text.

B rows of a batch   T positions
"""

import dataclasses
import math
from collections.abc import Generator, Iterator

import numpy as np

from trainer_worker.trainer.engine.batch import IGNORED, Batch
from trainer_worker.trainer.engine.evaluate import losses_of
from trainer_worker.trainer.engine.model import Decoder
from trainer_worker.trainer.engine.row_samples import PaddedRows
from trainer_worker.trainer.engine.samples import Windows

POSITIONS_TOGETHER = 8192


@dataclasses.dataclass
class Predicted:
    """The losses of some targets together, in nats, and the bytes of their text."""

    nats: float = 0.0
    tokens: int = 0
    size_bytes: int = 0

    def add(self, other: "Predicted") -> None:
        self.nats += other.nats
        self.tokens += other.tokens
        self.size_bytes += other.size_bytes

    def numbers(self) -> dict[str, float]:
        """Loss in nats per token, perplexity, and bits per byte of text, as far as they are finite numbers."""
        loss = self.nats / self.tokens if self.tokens else math.nan
        found = {"loss": loss, "perplexity": math.exp(loss) if loss < 700 else math.inf}
        found["bits_per_byte"] = self.nats / math.log(2) / self.size_bytes if self.size_bytes else math.nan
        return {name: value for name, value in found.items() if math.isfinite(value)}


def predicted_rows(
    model: Decoder, rows: PaddedRows, *, token_bytes_V: np.ndarray
) -> Generator[None, None, dict[int, Predicted]]:
    """What the model makes of each row that has something to predict, by its number in the file.

    Yields nothing after each batch, a sign of life. A row that was cut into pieces counts as a whole.
    """
    found: dict[int, Predicted] = {}
    for indices in by_length(rows.pieces.lengths):
        pieces = rows.layout.pieces[rows.layout.begins[indices]]
        for piece, one in zip(pieces, predicted(model, rows.read(indices), token_bytes_V), strict=True):
            number = int(rows.rows.numbers[rows.pieces.rows[piece]])
            found.setdefault(number, Predicted()).add(one)
        yield
    return dict(sorted(found.items()))


def predicted_windows(
    model: Decoder, windows: Windows, *, token_bytes_V: np.ndarray
) -> Generator[None, None, dict[int, Predicted]]:
    """The same for each window of a text, by the number of the token that it begins with, from 0."""
    found: dict[int, Predicted] = {}
    for indices in by_length(np.full(windows.count, windows.context_length)):
        for index, one in zip(indices, predicted(model, windows.read(indices), token_bytes_V), strict=True):
            found[windows.origin(int(index), 0).token] = one
        yield
    return found


def by_length(lengths: np.ndarray) -> Iterator[np.ndarray]:
    """The numbers of sequences of these lengths, those of like length together; each a batch that fits into memory."""
    order = np.argsort(lengths, kind="stable")
    while len(order):
        # Rising: the last of a batch is its longest.
        positions = np.arange(1, len(order) + 1) * lengths[order]
        count = max(1, int(np.searchsorted(positions, POSITIONS_TOGETHER, side="right")))
        yield order[:count]
        order = order[count:]


def predicted(model: Decoder, batch: Batch, token_bytes_V: np.ndarray) -> Iterator[Predicted]:
    """Each row of a batch."""
    nats_B = losses_of(model, batch, precision="fp32").double().sum(dim=1).tolist()
    targets_BT = batch.targets_BT.cpu().numpy()
    for nats, targets_T in zip(nats_B, targets_BT, strict=True):
        counted = targets_T[targets_T != IGNORED]
        yield Predicted(nats, len(counted), int(token_bytes_V[counted].sum()))

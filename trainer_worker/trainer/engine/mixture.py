"""Sequences of several datasets, each with its share.

K datasets   B rows   T positions
"""

import bisect
import fractions
import itertools
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from trainer_worker.trainer.engine.batch import IGNORED, Batch
from trainer_worker.trainer.engine.order import permuted
from trainer_worker.trainer.engine.samples import Origin, Samples

BLOCK = 1024  # samples after which every dataset has had its share, up to one sample


class Mixture:
    """Each sample comes from one of the parts, and each part goes through its own epochs.

    Which part, and which of its samples, is a pure function of the seed and the number of the sample: in each block of
    samples every part has a fixed number of places, and a keyed permutation says which.
    """

    def __init__(self, parts: Sequence[Samples], weights: Sequence[float]) -> None:
        self.parts = parts
        self.context_length = max(part.context_length for part in parts)
        self.tokens = sum(part.tokens for part in parts)
        self.count = sum(part.count for part in parts)
        self._begins = list(itertools.accumulate((part.count for part in parts), initial=0))
        whole = sum(map(fractions.Fraction, weights))
        self._shares = [fractions.Fraction(weight) / whole for weight in weights]
        self._largest = max(range(len(parts)), key=lambda part: self._shares[part])

    def order(self, samples: np.ndarray, *, seed: int) -> np.ndarray:
        indices = np.empty(len(samples), np.int64)
        blocks, places = samples // BLOCK, samples % BLOCK
        for block in np.unique(blocks):
            here = blocks == block
            parts, numbers = self._block(int(block), seed=seed)
            indices[here] = self._indices(parts[places[here]], numbers[places[here]], seed=seed)
        return indices

    def drawn(self, samples: int) -> list[int]:
        """How many of the first `samples`, a number of whole blocks, come from each part."""
        counts = [int(share * samples) for share in self._shares]
        counts[self._largest] += samples - sum(counts)
        return counts

    def spread(self, sequences: int) -> np.ndarray:
        """Sequences of every part by its share, evenly over it; fewer where a part has not as many."""
        shares = apportioned(min(sequences, self.count), self._shares)
        return np.concatenate(
            [part.spread(share) + begin for part, share, begin in zip(self.parts, shares, self._begins, strict=False)]
        )

    def read(self, indices: np.ndarray) -> Batch:
        owners = np.searchsorted(self._begins, indices, side="right") - 1
        places, batches = [], []
        for number, part in enumerate(self.parts):
            here = np.flatnonzero(owners == number)
            if len(here):
                places.append(torch.from_numpy(here))
                batches.append(part.read(indices[here] - self._begins[number]))
        return batches[0] if len(batches) == 1 else merged(batches, places, rows=len(indices))

    def origin(self, index: int, place: int) -> Origin:
        owner = bisect.bisect_right(self._begins, index) - 1
        return self.parts[owner].origin(index - self._begins[owner], place)

    def _block(self, block: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """The part of each place of a block, and which of its samples it is. Shapes: both (BLOCK,), int64."""
        before, after = self.drawn(block * BLOCK), self.drawn((block + 1) * BLOCK)
        parts = np.repeat(np.arange(len(self.parts)), np.subtract(after, before))
        parts = parts[permuted(np.arange(BLOCK), count=BLOCK, seed=seed, epoch=block)]
        numbers = np.empty(BLOCK, np.int64)
        for part, first in enumerate(before):
            here = parts == part
            numbers[here] = first + np.arange(int(here.sum()))
        return parts, numbers

    def _indices(self, parts: np.ndarray, numbers: np.ndarray, *, seed: int) -> np.ndarray:
        indices = np.empty(len(parts), np.int64)
        for number, part in enumerate(self.parts):
            here = parts == number
            if here.any():
                indices[here] = part.order(numbers[here], seed=seed) + self._begins[number]
        return indices


def apportioned(wanted: int, shares: Sequence[fractions.Fraction]) -> list[int]:
    """Whole numbers that add up to `wanted`: the shares rounded down, and one more where most was cut off."""
    counts = [int(share * wanted) for share in shares]
    by_rest = sorted(range(len(shares)), key=lambda part: counts[part] - shares[part] * wanted)
    for part in by_rest[: wanted - sum(counts)]:
        counts[part] += 1
    return counts


def merged(batches: Sequence[Batch], places: Sequence[Tensor], *, rows: int) -> Batch:
    """One batch whose rows are those of several, of the longest of their lengths."""
    length = max(batch.tokens_BT.shape[1] for batch in batches)
    tokens_BT = torch.zeros((rows, length), dtype=torch.int64)
    targets_BT = torch.full((rows, length), IGNORED)
    positions_BT = torch.zeros((rows, length), dtype=torch.int64)
    documents_BT = torch.full((rows, length), -1)
    for batch, place_B in zip(batches, places, strict=True):
        size = batch.tokens_BT.shape[1]
        tokens_BT[place_B, :size] = batch.tokens_BT
        targets_BT[place_B, :size] = batch.targets_BT
        positions_BT[place_B, :size] = torch.arange(size) if batch.positions_BT is None else batch.positions_BT
        documents_BT[place_B, :size] = 0 if batch.documents_BT is None else batch.documents_BT
    if all(batch.documents_BT is None for batch in batches):
        return Batch(tokens_BT, targets_BT)
    return Batch(tokens_BT, targets_BT, positions_BT, documents_BT)

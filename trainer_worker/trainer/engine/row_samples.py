"""Sequences of rows, several in one or one in each.

R pieces (a row, or a part of a long one)   B sequences of a batch   T positions
"""

import dataclasses

import numpy as np
import torch

from trainer_worker.trainer.engine.batch import IGNORED, Batch
from trainer_worker.trainer.engine.order import shuffled
from trainer_worker.trainer.engine.packing import Layout, one_each, packed
from trainer_worker.trainer.engine.samples import Decode, Origin, evenly, excerpt

PADDING_STEP = 64  # so that batches of rows have few different shapes


@dataclasses.dataclass(frozen=True)
class RowTokens:
    """The tokens of rows, one row after the other.

    Shapes: `tokens` uint32 and `supervised` uint8 (1 where the loss counts the token as a target), both (all tokens,);
    `begins` (rows + 1,) and `numbers` (rows,) int64, the number of each row in its file, from 1.
    """

    tokens: np.ndarray
    supervised: np.ndarray
    begins: np.ndarray
    numbers: np.ndarray


@dataclasses.dataclass(frozen=True)
class Pieces:
    """Parts of rows that fit into a sequence. Each has `lengths` positions and one token more, its last target.

    Shapes: all (R,) int64; `begins` is a place among all tokens, `rows` an index into the rows.
    """

    begins: np.ndarray
    lengths: np.ndarray
    rows: np.ndarray
    truncated: int
    unsupervised: int


def cut(rows: RowTokens, *, context_length: int, split: bool) -> Pieces:
    """Cuts long rows into pieces, each going on where the last one ended, or without `split` at the context.

    Pieces without anything to learn from are left out: `unsupervised` of them. `truncated` rows lost their end.
    """
    positions = np.maximum(np.diff(rows.begins) - 1, 0)
    counts = -(-positions // context_length) if split else np.minimum(positions, 1)
    index = np.repeat(np.arange(len(positions)), counts)
    within = ranges(np.zeros(len(counts), np.int64), counts) * context_length
    begins = rows.begins[index] + within
    lengths = np.minimum(positions[index] - within, context_length)
    kept = supervised_counts(rows.supervised, begins, lengths) > 0
    truncated = 0 if split else int((positions > context_length).sum())
    lost = len(np.unique(index)) - len(np.unique(index[kept]))
    return Pieces(begins[kept], lengths[kept], index[kept], truncated, unsupervised=lost)


def supervised_counts(supervised: np.ndarray, begins: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """How many targets of each piece the loss counts. Shape (R,), int64."""
    if not len(begins):
        return np.zeros(0, np.int64)
    edges = np.stack((begins + 1, begins + 1 + lengths), axis=1).ravel()
    padded = np.append(supervised, np.uint8(0))  # the last edge is one behind the last token
    return np.add.reduceat(padded, edges, dtype=np.int64)[::2]


def ranges(begins: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """All of begin, begin + 1, …, begin + count - 1, one range after the other. Shape (sum of counts,), int64."""
    before = np.cumsum(counts) - counts
    return np.repeat(begins - before, counts) + np.arange(int(counts.sum()))


class PackedRows:
    """Rows that share sequences of `context_length` positions; each sees itself alone."""

    def __init__(
        self,
        rows: RowTokens,
        *,
        context_length: int,
        split: bool,
        padding: int,
        dataset: str = "",
        decode: Decode | None = None,
    ) -> None:
        """`padding` is the token where no row is; `split` says whether long rows go on in another sequence."""
        self.rows, self.context_length = rows, context_length
        self.pieces = cut(rows, context_length=context_length, split=split)
        self.layout = self.laid_out()
        self.count = self.layout.count
        self.tokens = int(self.pieces.lengths.sum())
        self._padding, self._dataset, self._decode = padding, dataset, decode

    def laid_out(self) -> Layout:
        return packed(self.pieces.lengths, capacity=self.context_length)

    def order(self, samples: np.ndarray, *, seed: int) -> np.ndarray:
        return shuffled(samples, count=self.count, seed=seed)

    def spread(self, sequences: int) -> np.ndarray:
        return evenly(self.count, sequences)

    def read(self, indices: np.ndarray) -> Batch:
        """Padding is a document of its own, whose targets are ignored."""
        return self._filled(indices, length=self.context_length, with_documents=True)

    def _filled(self, indices: np.ndarray, *, length: int, with_documents: bool) -> Batch:
        counts = self.layout.begins[indices + 1] - self.layout.begins[indices]
        pieces = self.layout.pieces[ranges(self.layout.begins[indices], counts)]
        sizes = self.pieces.lengths[pieces]
        row_of_piece = np.repeat(np.arange(len(indices)), counts)
        places = begins_within(sizes, counts)

        within = ranges(np.zeros(len(sizes), np.int64), sizes)
        target_places = np.repeat(row_of_piece * length + places, sizes) + within
        sources = np.repeat(self.pieces.begins[pieces], sizes) + within

        def spread_out(values: np.ndarray, elsewhere: np.ndarray) -> torch.Tensor:
            """The values at their places, and `elsewhere`, one number a row, where no row is."""
            whole = np.repeat(elsewhere.astype(np.int64), length)
            whole[target_places] = values
            return torch.from_numpy(whole.reshape(len(indices), length))

        same = np.ones(len(indices), np.int64)
        following = self.rows.tokens[sources + 1].astype(np.int64)
        following[self.rows.supervised[sources + 1] == 0] = IGNORED
        batch = Batch(
            spread_out(self.rows.tokens[sources], self._padding * same), spread_out(following, IGNORED * same)
        )
        if not with_documents:
            return batch
        numbers = np.repeat(ranges(np.zeros(len(counts), np.int64), counts), sizes)
        return dataclasses.replace(
            batch, positions_BT=spread_out(within, 0 * same), documents_BT=spread_out(numbers, counts)
        )

    def origin(self, index: int, place: int) -> Origin:
        pieces = self.layout.pieces[self.layout.begins[index] : self.layout.begins[index + 1]]
        ends = np.cumsum(self.pieces.lengths[pieces])
        which = min(int(np.searchsorted(ends, place, side="right")), len(pieces) - 1)
        piece = pieces[which]
        row = int(self.pieces.rows[piece])
        begin, end = int(self.rows.begins[row]), int(self.rows.begins[row + 1])
        within = place - (int(ends[which]) - int(self.pieces.lengths[piece]))
        token = int(self.pieces.begins[piece]) - begin + within
        words = excerpt(self.rows.tokens[begin:end], self._decode)
        return Origin(self._dataset, row=int(self.rows.numbers[row]), token=token, excerpt=words)


class PaddedRows(PackedRows):
    """Each row is a sequence of its own; those of a batch are filled up to the longest of them."""

    def laid_out(self) -> Layout:
        return one_each(len(self.pieces.lengths))

    def read(self, indices: np.ndarray) -> Batch:
        longest = int(self.pieces.lengths[indices].max())
        length = min(-(-longest // PADDING_STEP) * PADDING_STEP, self.context_length)
        return self._filled(indices, length=length, with_documents=False)


def begins_within(sizes: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Where each piece begins in its sequence. Shape (pieces,), int64."""
    before = np.cumsum(sizes) - sizes
    first = np.cumsum(counts) - counts
    return before - np.repeat(before[first], counts) if len(sizes) else before

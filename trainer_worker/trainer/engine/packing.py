"""Which rows share a sequence: a pure function of their lengths.

R pieces (a row, or a part of a long one)   S sequences
"""

import dataclasses
from collections.abc import Iterator

import numpy as np


@dataclasses.dataclass(frozen=True)
class Layout:
    """The pieces of each sequence: those of sequence s are `pieces[begins[s] : begins[s + 1]]`.

    Shapes: pieces (R,), begins (S + 1,), both int64.
    """

    pieces: np.ndarray
    begins: np.ndarray

    @property
    def count(self) -> int:
        return len(self.begins) - 1


def packed(lengths: np.ndarray, *, capacity: int) -> Layout:
    """Puts pieces into as few sequences as best fit decreasing needs; those of a sequence stand in their old order.

    The longest piece first, each goes where it leaves the least room. Equal lengths go at once, so that the time grows
    with the number of different lengths rather than with that of pieces.
    Shapes: lengths (R,) from 1 to `capacity`.
    Source: Johnson 1973, "Near-optimal bin packing algorithms"; for sequences: Krell et al. 2021, arXiv 2107.02027.
    """
    sequence_of = np.empty(len(lengths), np.int64)
    room = Room(capacity)
    for length, pieces in by_length(lengths):
        placed = 0
        while placed < len(pieces):
            sequences, free = room.take(length, pieces=len(pieces) - placed)
            each = free // length
            count = min(len(pieces) - placed, len(sequences) * each)
            sequence_of[pieces[placed : placed + count]] = np.repeat(sequences, each)[:count]
            full, rest = divmod(count, each)
            room.give_back(sequences[:full], free - each * length)
            room.give_back(sequences[full:], free - rest * length)
            placed += count
    order = np.argsort(sequence_of, kind="stable")
    counts = np.bincount(sequence_of, minlength=room.sequences) if len(lengths) else np.zeros(0, np.int64)
    return Layout(order, np.concatenate(([0], np.cumsum(counts))).astype(np.int64))


def one_each(count: int) -> Layout:
    """Every piece is a sequence of its own."""
    return Layout(np.arange(count), np.arange(count + 1))


def by_length(lengths: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """The pieces of each length, the longest first."""
    order = np.argsort(-lengths, kind="stable")
    ordered = lengths[order]
    cuts = np.flatnonzero(np.diff(ordered)) + 1
    for pieces in np.split(order, cuts):
        if len(pieces):
            yield int(lengths[pieces[0]]), pieces


class Room:
    """The sequences by how much room they have left."""

    def __init__(self, capacity: int) -> None:
        self.sequences = 0
        self._capacity = capacity
        self._with_free: dict[int, list[np.ndarray]] = {}
        self._there = 0  # bit f is set if there are sequences with room f

    def take(self, length: int, *, pieces: int) -> tuple[np.ndarray, int]:
        """Sequences, all with the same least room that suffices, as many as the pieces need; new ones if none have it.

        Returns them and their room.
        """
        enough = self._there >> length
        if not enough:
            needed = -(-pieces // (self._capacity // length))
            self.sequences += needed
            return np.arange(self.sequences - needed, self.sequences), self._capacity
        free = length + (enough & -enough).bit_length() - 1
        sequences = np.concatenate(self._with_free.pop(free))
        self._there ^= 1 << free
        needed = -(-pieces // (free // length))
        self.give_back(sequences[needed:], free)
        return sequences[:needed], free

    def give_back(self, sequences: np.ndarray, free: int) -> None:
        if free and len(sequences):
            self._with_free.setdefault(free, []).append(sequences)
            self._there |= 1 << free

"""Sequences to train on, and which of them are in which batch.

B rows   T positions
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import torch

from trainer_worker.trainer.engine.batch import Batch
from trainer_worker.trainer.engine.errors import UnusableData
from trainer_worker.trainer.engine.order import shuffled

EXCERPT_CHARACTERS_MAX = 200

Decode = Callable[[Sequence[int]], str]


@dataclasses.dataclass(frozen=True)
class Origin:
    """Where a position of a sequence came from.

    `row` counts from 1 in the file, and `token` from 0 in the row; plain text is row 0, and its tokens count from the
    beginning of the part. `excerpt` is the beginning of the row, or of the window.
    """

    dataset: str
    row: int
    token: int
    excerpt: str


class Samples(Protocol):
    """Sequences of tokens, each with a number from 0 to count - 1."""

    count: int  # sequences of an epoch
    context_length: int
    tokens: int

    def read(self, indices: np.ndarray) -> Any:
        """The sequences of the given numbers: a `Batch`; or a `Lesson`, of rows of answers."""

    def order(self, samples: np.ndarray, *, seed: int) -> np.ndarray:
        """The number of the sequence that each sample is, samples counted over all epochs. Shape (n,), int64."""

    def spread(self, sequences: int) -> np.ndarray:
        """The numbers of at most so many sequences, spread over all of them, always the same. Shape (n,), int64."""

    def origin(self, index: int, place: int) -> Origin:
        """Where position `place` of sequence `index` came from."""


class Windows:
    """A text cut into windows of `context_length` targets: each token is a target once.

    A window is given the token before its first target; or `beginning`, the token that every text begins with, if the
    tokenizer has one.
    """

    def __init__(
        self,
        text_tokens: np.ndarray,
        *,
        context_length: int,
        beginning: int | None = None,
        dataset: str = "",
        decode: Decode | None = None,
    ) -> None:
        self.text_tokens = text_tokens
        self.tokens = len(text_tokens)
        self.context_length = context_length
        self.count = max(0, len(text_tokens) - (beginning is None)) // context_length
        self._beginning = beginning
        self._dataset = dataset
        self._decode = decode

    def read(self, indices: np.ndarray) -> Batch:
        first = 0 if self._beginning is None else -1
        begins = indices.astype(np.int64)[:, None] * self.context_length + first
        windows = self.text_tokens[begins + np.arange(self.context_length + 1)].astype(np.int64)
        if self._beginning is not None:
            windows[:, 0] = self._beginning
        windows_BT = torch.from_numpy(windows)
        return Batch(windows_BT[:, :-1], windows_BT[:, 1:])

    def order(self, samples: np.ndarray, *, seed: int) -> np.ndarray:
        return shuffled(samples, count=self.count, seed=seed)

    def spread(self, sequences: int) -> np.ndarray:
        return evenly(self.count, sequences)

    def origin(self, index: int, place: int) -> Origin:
        begin = index * self.context_length
        window = self.text_tokens[begin : begin + self.context_length + 1]
        token = max(0, begin + place - (self._beginning is not None))
        return Origin(self._dataset, row=0, token=token, excerpt=excerpt(window, self._decode))


def evenly(count: int, wanted: int) -> np.ndarray:
    """At most `wanted` numbers from 0 to count - 1, evenly apart. Shape (min(wanted, count),), int64."""
    taken = min(wanted, count)
    return np.arange(taken) * count // max(1, taken)


def excerpt(tokens: np.ndarray, decode: Decode | None) -> str:
    """The text that tokens begin with."""
    beginning = [int(token) for token in tokens[:EXCERPT_CHARACTERS_MAX]]
    return decode(beginning)[:EXCERPT_CHARACTERS_MAX] if decode else ""


def batch(samples: Samples, *, seed: int, first_sample: int, size: int) -> tuple[Batch, np.ndarray]:
    """The samples from `first_sample` on, counted from the beginning of training over all epochs.

    Returns the batch and the number of the sequence in each of its rows, (size,) int64.
    """
    indices = samples.order(np.arange(first_sample, first_sample + size), seed=seed)
    return samples.read(indices), indices


def validation_batches(samples: Samples, *, sequences: int, rows: int) -> Iterator[Batch]:
    """The same sequences each time, spread over all of them, `rows` at once. None if there is no sequence."""
    indices = samples.spread(sequences)
    for begin in range(0, len(indices), rows):
        yield samples.read(indices[begin : begin + rows])


def validation_windows(
    tokens: np.ndarray,
    *,
    context_length: int,
    beginning: int | None = None,
    dataset: str = "",
    decode: Decode | None = None,
) -> Windows:
    """The windows of a text to evaluate on; a short text is one short window, and one of less than 2 tokens is none."""
    length = min(context_length, max(1, len(tokens) - 1))
    return Windows(tokens, context_length=length, beginning=beginning, dataset=dataset, decode=decode)


def require_one_batch(samples: Samples, *, batch_size: int) -> None:
    """Raises: UnusableData if a batch would hold the same sequence twice."""
    if samples.count >= batch_size:
        return
    length = samples.context_length
    if isinstance(samples, Windows):
        raise UnusableData(
            f"the training part has {samples.tokens} tokens, and one batch of {batch_size} sequences of {length} needs "
            f"{batch_size * length + 1}",
            help="Use more text, a smaller batch_size or a shorter context_length.",
        )
    raise UnusableData(
        f"the training part has {samples.tokens} tokens that fill {samples.count} sequences of at most {length}, and "
        f"one batch needs {batch_size}",
        help="Use more rows, a smaller batch_size, a shorter context_length, or switch packing off.",
    )

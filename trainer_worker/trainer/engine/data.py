"""Which tokens are in which batch: a pure function of seed, epoch and index.

B rows   T positions (windows hold one token more, the last target)
"""

import pathlib
import uuid
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from trainer_worker.trainer.engine.errors import UnusableData
from trainer_worker.trainer.engine.order import permuted, shuffled
from trainer_worker.trainer.engine.text import Bytes
from trainer_worker.trainer.engine.tokenizers import Tokenizer

__all__ = ["Windows", "batch", "permuted", "require_one_batch", "tokenized", "validation_batches"]


class Windows:
    """A text cut into windows of `context_length` tokens and the one that follows: each token is a target once."""

    def __init__(self, tokens: np.ndarray, *, context_length: int) -> None:
        self.tokens = tokens
        self.context_length = context_length
        self.count = max(0, (len(tokens) - 1) // context_length)

    def read(self, indices: np.ndarray) -> Tensor:
        """The windows of the given numbers. Shape (B, T + 1), int64."""
        begins = indices.astype(np.int64)[:, None] * self.context_length
        return torch.from_numpy(self.tokens[begins + np.arange(self.context_length + 1)].astype(np.int64))


def batch(windows: Windows, *, seed: int, first_sample: int, size: int) -> Tensor:
    """The samples from `first_sample` on, counted from the beginning of training over all epochs.

    Each epoch goes through all windows once, in an order of its own. Shape (size, T + 1), int64.
    """
    samples = np.arange(first_sample, first_sample + size)
    return windows.read(shuffled(samples, count=windows.count, seed=seed))


def validation_batches(tokens: np.ndarray, *, context_length: int, sequences: int, rows: int) -> Iterator[Tensor]:
    """The same windows each time, spread evenly over the text, `rows` at once; a short text is one short window.

    Shape of each: (at most rows, T + 1), int64. None if there are fewer than 2 tokens.
    """
    windows = Windows(tokens, context_length=min(context_length, max(1, len(tokens) - 1)))
    count = min(sequences, windows.count)
    indices = np.arange(count) * windows.count // max(1, count)
    for begin in range(0, count, rows):
        yield windows.read(indices[begin : begin + rows])


def require_one_batch(windows: Windows, *, batch_size: int) -> None:
    """Raises: UnusableData if a batch would hold the same window twice."""
    if windows.count >= batch_size:
        return
    needed = batch_size * windows.context_length + 1
    raise UnusableData(
        f"the training part has {len(windows.tokens)} tokens, and one batch of {batch_size} sequences of "
        f"{windows.context_length} needs {needed}",
        help="Use more text, a smaller batch_size or a shorter context_length.",
    )


def tokenized(text: Bytes, *, tokenizer: Tokenizer, name: str, scratch: pathlib.Path) -> Iterator[np.ndarray]:
    """Yields a memory map of all tokens of a text, after an empty array for each piece on the way: a sign of life.

    Bytes are their own tokens. Others are kept in the scratch folder under `name` and what the tokenizer does.
    """
    if tokenizer.kind == "bytes":
        yield text
        return
    path = scratch / "tokens" / f"{name}-{tokenizer.identity()[:32]}.u32"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
        with temporary.open("wb") as file:
            for tokens in tokenizer.encode_text(text):
                file.write(tokens.astype("<u4").tobytes())
                yield np.zeros(0, np.uint32)
        temporary.replace(path)
    yield np.memmap(path, "<u4", mode="r") if path.stat().st_size else np.zeros(0, np.uint32)

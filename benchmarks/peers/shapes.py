"""The shapes that are measured, and the text that all contenders read.

B rows   T positions
"""

from __future__ import annotations

import dataclasses
import pathlib
import sysconfig

import numpy as np

TEXT_BYTES = 4_000_000
VOCABULARY = 257  # bytes, and an end of text that never comes


@dataclasses.dataclass(frozen=True)
class Shape:
    """A decoder and the batch that it is fed with."""

    layers: int
    width: int
    heads: int
    context: int
    rows: int

    @property
    def feed_forward_width(self) -> int:
        """SwiGLU as wide as has about the weights of a plain layer of four times the width."""
        return -(-self.width * 8 // 3 // 64) * 64

    @property
    def tokens(self) -> int:
        """Tokens of a step."""
        return self.rows * self.context

    @property
    def step_flops(self) -> float:
        """Model FLOPs of a step: 6 a weight of a product and token, and 12 L T D a token for attention.

        Source: Chowdhery et al. 2022, arXiv 2204.02311, appendix B.
        """
        layer = 4 * self.width**2 + 3 * self.width * self.feed_forward_width
        weights = self.layers * layer + VOCABULARY * self.width
        return self.tokens * (6 * weights + 12 * self.layers * self.context * self.width)


# S and T are those of the engine's measurements; C is nanoGPT's recipe for processors (config/train_shakespeare_char
# with the arguments that its README gives for a laptop).
SHAPES = {
    "S": Shape(layers=6, width=384, heads=6, context=256, rows=16),
    "T": Shape(layers=4, width=192, heads=6, context=128, rows=32),
    "C": Shape(layers=4, width=128, heads=4, context=64, rows=12),
}


def text() -> np.ndarray:
    """The source of the standard library as bytes; the last tenth is held out."""
    sources = sorted(pathlib.Path(sysconfig.get_path("stdlib")).glob("*.py"))
    return np.frombuffer(b"".join(path.read_bytes() for path in sources)[:TEXT_BYTES], np.uint8)


class Batches:
    """Random windows of the training part, and the same windows of the held-out part each time."""

    def __init__(self, shape: Shape, *, seed: int = 1) -> None:
        self.shape, self.order = shape, np.random.default_rng(seed)
        everything = text().astype(np.int64)
        self.training, self.held_out = np.split(everything, [len(everything) * 9 // 10])

    def window(self, part: np.ndarray, begins: np.ndarray) -> np.ndarray:
        return part[begins[:, None] + np.arange(self.shape.context + 1)]

    def next(self) -> np.ndarray:
        """Shape (B, T + 1)."""
        return self.window(
            self.training, self.order.integers(0, len(self.training) - self.shape.context, self.shape.rows)
        )

    def held_out_windows(self, count: int) -> np.ndarray:
        """Shape (count, T + 1), spread evenly."""
        return self.window(
            self.held_out, np.linspace(0, len(self.held_out) - self.shape.context - 1, count).astype(int)
        )

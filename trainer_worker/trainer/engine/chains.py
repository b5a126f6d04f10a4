"""What a run did, in two short words: chains of hashes that differ from the first step on that differs.

Each link is a hash over the link before it, the step, and what the step did. Two runs with the same link have trained
on the same samples, or had the same losses to the last bit, in all steps up to it. A link is 32 hexadecimal digits.
"""

import hashlib
import math
import struct

import numpy as np

LINK_BYTES = 16


def data_link(previous: str, *, step: int, samples: np.ndarray) -> str:
    """The link after training on the samples of these numbers, in their order. Shape: (B,), any integer type."""
    return link(previous, struct.pack("<q", step) + np.ascontiguousarray(samples, "<i8").tobytes())


def loss_link(previous: str, *, step: int, loss: float, norm: float) -> str:
    """The link after this loss and this norm of the gradient, in all their bits; what is no number counts as NaN."""
    return link(previous, struct.pack("<qdd", step, bits_of(loss), bits_of(norm)))


def link(previous: str, content: bytes) -> str:
    return hashlib.blake2b(bytes.fromhex(previous) + content, digest_size=LINK_BYTES).hexdigest()


def bits_of(value: float) -> float:
    """One NaN of the many: which of them a processor makes says nothing."""
    return math.nan if math.isnan(value) else value

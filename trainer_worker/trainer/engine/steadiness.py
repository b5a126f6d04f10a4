"""Whether a row comes out the same to the last bit, whoever is computed beside it.

    B rows   V vocabulary

A matrix product sums in an order that its kernel chooses by the shapes. On the CPUs that were tried, products of most
numbers of rows from three or four on treat every row alike, and those of fewer do not; nothing promises this. So it is
tried for each model when it is loaded, at every size that a step may have.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from trainer_worker.trainer.engine.generate import cache_for
from trainer_worker.trainer.engine.key_value_cache import KeyValueCache
from trainer_worker.trainer.engine.model import Decoder

# Many rows are computed in multiples of this number, and few as they are where that is found steady.
ROWS_TOGETHER = 4
FEW_ROWS = 8


def rows_for(seats: int) -> int:
    """How many rows a cache must have for so many seats."""
    return -(-seats // ROWS_TOGETHER) * ROWS_TOGETHER


@torch.inference_mode()
def steady_sizes(
    decoder: Decoder, *, seats: int, tried: Sequence[int] | None = None, length: int | None = None
) -> tuple[int, ...]:
    """At how many rows a step may be computed so that no row depends on the number, place or length of the others.

    Rising. It is 1 alone if no product over several rows can be trusted. Only the sizes `tried` are, if they are given;
    `length` is how many tokens a row has at most, a full context if it is not said.
    """
    rows = rows_for(seats)
    cache, tokens_B1 = _made_up(decoder, rows=rows, length=length or decoder.config.context_length)

    def found(first: int, size: int) -> Tensor:
        logits: Tensor = decoder(tokens_B1[first : first + size], cache=cache.part(first, size))[:, 0]
        return logits

    expected_BV = torch.cat([found(first, ROWS_TOGETHER) for first in range(0, rows, ROWS_TOGETHER)])

    def steady(size: int) -> bool:
        places = {0, (rows - size) // 2, max(rows - size - 1, 0), rows - size}
        return all(torch.equal(found(first, size), expected_BV[first : first + size]) for first in places)

    if not steady(ROWS_TOGETHER):
        return (1,)
    few, many = range(1, min(rows, FEW_ROWS)), range(FEW_ROWS, rows + 1, ROWS_TOGETHER)
    sizes = (*few, *many) if tried is None else tried
    return tuple(size for size in sizes if size == ROWS_TOGETHER or steady(size))


def _made_up(decoder: Decoder, *, rows: int, length: int) -> tuple[KeyValueCache, Tensor]:
    """Rows of many lengths, full of made-up keys and values."""
    device = decoder.embedding.weight.device
    generator = torch.Generator().manual_seed(0)
    cache = cache_for(decoder.config, rows=rows, length=length, device=device)
    for tensor in (*cache.keys_BMCH, *cache.values_BMCH):
        tensor.copy_(torch.empty(tensor.shape).normal_(generator=generator))
    lengths = torch.randint(0, length, (rows,), generator=generator)
    cache.lengths_B.copy_(lengths)
    return cache, torch.randint(0, decoder.config.vocabulary_size, (rows, 1), generator=generator).to(device)

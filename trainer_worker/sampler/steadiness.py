"""Whether a row comes out the same to the last bit, whoever is computed beside it.

    B rows   V vocabulary

A matrix product sums in an order that its kernel chooses by the shapes. On the CPUs that were tried, products of four
rows or more treat every row alike when the shapes of the model are multiples of 16, and those of fewer do not; nothing
promises this. So it is tried for each model when it is loaded, at every size that a step may have.
"""

from __future__ import annotations

import torch
from torch import Tensor

from trainer_worker.trainer.engine.generate import cache_for
from trainer_worker.trainer.engine.key_value_cache import KeyValueCache
from trainer_worker.trainer.engine.model import Decoder

# Steps are computed at multiples of this many rows.
ROWS_TOGETHER = 4


@torch.inference_mode()
def rows_are_steady(decoder: Decoder, *, seats: int) -> bool:
    """Whether no row of a step depends on the number, the place or the length of the others."""
    rows = -(-seats // ROWS_TOGETHER) * ROWS_TOGETHER
    cache, tokens_B1 = _made_up(decoder, rows=rows)
    expected_BV = decoder(tokens_B1, cache=cache)[:, 0]
    for size in range(ROWS_TOGETHER, rows + 1, ROWS_TOGETHER):
        for first in {0, (rows - size) // 2, max(rows - size - 1, 0), rows - size}:
            found_BV = decoder(tokens_B1[first : first + size], cache=cache.part(first, size))[:, 0]
            if not torch.equal(found_BV, expected_BV[first : first + size]):
                return False
    return True


def _made_up(decoder: Decoder, *, rows: int) -> tuple[KeyValueCache, Tensor]:
    """Rows of many lengths, full of made-up keys and values."""
    generator = torch.Generator().manual_seed(0)
    cache = cache_for(decoder.config, rows=rows)
    for tensor in (*cache.keys_BMCH, *cache.values_BMCH):
        tensor.normal_(generator=generator)
    lengths = torch.randint(0, decoder.config.context_length, (rows,), generator=generator)
    cache.lengths_B.copy_(lengths)
    return cache, torch.randint(0, decoder.config.vocabulary_size, (rows, 1), generator=generator)

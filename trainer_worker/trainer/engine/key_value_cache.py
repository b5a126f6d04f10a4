"""Keys and values that were computed before, so that drawing a token costs one position.

B rows   T new positions   S slots in use   C capacity   M key and value heads   H width of one head
"""

from collections.abc import Callable

import torch
from torch import Tensor

# Measured on AVX-512: with 64 the sums of softmax and products over zeros at the end change no bit.
SLOTS_TOGETHER = 64


class KeyValueCache:
    """Room for `capacity` positions in each of `rows` rows, which may be filled to different lengths.

    Slot s of a row holds position s. What lies beyond the length of a row is never seen and is overwritten: a row is
    emptied by setting its length to 0.
    """

    def __init__(
        self,
        *,
        layers: int,
        rows: int,
        capacity: int,
        key_value_heads: int,
        head_width: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        shape = (rows, key_value_heads, capacity, head_width)  # so that products read it without copying
        self.capacity = capacity
        self.keys_BMCH = [torch.zeros(shape, dtype=dtype, device=device) for _ in range(layers)]
        self.values_BMCH = [torch.zeros(shape, dtype=dtype, device=device) for _ in range(layers)]
        self.lengths_B = torch.zeros(rows, dtype=torch.int64, device=device)

    def next_positions(self, count: int) -> Tensor:
        """The `count` positions that follow in each row. Shape (B, count), int64."""
        return self.lengths_B[:, None] + torch.arange(count, device=self.lengths_B.device)

    def slots(self, positions_BT: Tensor) -> Tensor:
        """Where the keys of these positions lie in each layer, with rows, heads and slots counted through.

        Shape (B × T × M,). Raises: IndexError beyond the capacity.
        """
        if int(positions_BT.max()) >= self.capacity:
            raise IndexError(f"position {int(positions_BT.max())} is beyond the capacity {self.capacity}")
        rows, heads = self.keys_BMCH[0].shape[:2]
        lines_B1M = torch.arange(rows * heads, device=positions_BT.device).view(rows, 1, heads)
        return (lines_B1M * self.capacity + positions_BT[:, :, None]).flatten()

    def write(self, layer: int, slots_X: Tensor, *, keys_BTMH: Tensor, values_BTMH: Tensor) -> None:
        """Stores the keys and values of one layer in their slots."""
        for kept_BMCH, new_BTMH in ((self.keys_BMCH[layer], keys_BTMH), (self.values_BMCH[layer], values_BTMH)):
            width = new_BTMH.shape[-1]
            kept_BMCH.view(-1, width).index_copy_(0, slots_X, new_BTMH.reshape(-1, width).to(kept_BMCH.dtype))

    def slots_read(self, slots_filled: int) -> int:
        """How many slots to read where the longest row fills so many: a multiple of SLOTS_TOGETHER, or all.

        Products over unseen slots add exact zeros. Read in whole lots, a row comes out the same to the last bit
        whatever the length of the rows beside it.
        """
        return min(self.capacity, -(-slots_filled // SLOTS_TOGETHER) * SLOTS_TOGETHER)

    def read(self, layer: int, slots: int, *, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """The first `slots` keys and values of one layer. Shapes (B, S, M, H)."""
        keys_BMSH, values_BMSH = self.keys_BMCH[layer][:, :, :slots], self.values_BMCH[layer][:, :, :slots]
        return keys_BMSH.transpose(1, 2).to(dtype), values_BMSH.transpose(1, 2).to(dtype)

    def advance(self, counts_B: Tensor | int) -> None:
        """Counts so many of the positions written last as part of each row."""
        self.lengths_B += counts_B

    def select(self, rows: list[int]) -> "KeyValueCache":
        """A cache of its own with copies of the given rows, in the given order."""
        return self._made_of(lambda tensor: tensor[rows])

    def part(self, first: int, count: int) -> "KeyValueCache":
        """A window on `count` rows from `first` on: what is written to it is written here."""
        return self._made_of(lambda tensor: tensor[first : first + count])

    def copy_row(self, source: int, target: int) -> None:
        """Overwrites one row by another."""
        length = int(self.lengths_B[source])
        for tensor in (*self.keys_BMCH, *self.values_BMCH):
            tensor[target, :, :length] = tensor[source, :, :length]
        self.lengths_B[target] = length

    def clear_row(self, row: int) -> None:
        """Empties a row and what lies beyond its length: numbers that are not finite must not wait there unseen."""
        for tensor in (*self.keys_BMCH, *self.values_BMCH):
            tensor[row].zero_()
        self.lengths_B[row] = 0

    def _made_of(self, rows_of: Callable[[Tensor], Tensor]) -> "KeyValueCache":
        made = object.__new__(KeyValueCache)
        made.capacity = self.capacity
        made.keys_BMCH = [rows_of(keys) for keys in self.keys_BMCH]
        made.values_BMCH = [rows_of(values) for values in self.values_BMCH]
        made.lengths_B = rows_of(self.lengths_B)
        return made

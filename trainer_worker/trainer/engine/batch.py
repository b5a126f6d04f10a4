"""What one step, or a part of it, learns from: tokens, what follows each, and which tokens may see one another.

B rows   T positions
"""

import dataclasses
import operator
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

IGNORED = -100


@dataclasses.dataclass(frozen=True)
class Batch:
    """B sequences of T positions.

    Shapes, all (B, T) int64: `tokens_BT` goes in; `targets_BT` is the token after each, IGNORED where the loss does not
    count; `positions_BT` is the place inside the document (None: 0 to T - 1); `documents_BT` is the number of the
    document inside the row, and a token sees its own document only (None: one document a row), and the one that its
    document goes on from, by `parents_BT` (None: none does). `supervised_B` is kept on the CPU, so that asking for it
    never waits for a device.
    """

    tokens_BT: Tensor
    targets_BT: Tensor
    positions_BT: Tensor | None = None
    documents_BT: Tensor | None = None
    parents_BT: Tensor | None = None
    supervised_B: np.ndarray = None  # type: ignore[assignment] # counted when it is not given

    def __post_init__(self) -> None:
        if self.supervised_B is None:
            counts = (self.targets_BT != IGNORED).sum(dim=1).cpu().numpy()
            object.__setattr__(self, "supervised_B", counts)

    def __len__(self) -> int:
        return len(self.tokens_BT)

    @property
    def positions(self) -> int:
        """How many are computed, filled or not."""
        return self.tokens_BT.numel()

    @property
    def places(self) -> dict[str, Any]:
        """Where its tokens stand and what they see, as `Decoder.hidden` wants it."""
        parents = {} if self.parents_BT is None else {"parents_BT": self.parents_BT}
        return {"positions_BT": self.positions_BT, "documents_BT": self.documents_BT, **parents}

    @property
    def rows(self) -> int:
        return len(self.tokens_BT)

    @property
    def supervised(self) -> int:
        """Targets that are not IGNORED."""
        return int(self.supervised_B.sum())

    def to(self, device: torch.device) -> "Batch":
        """The same on a device; from pinned memory and without waiting if it is a GPU."""
        return self._with(lambda tensor: sent(tensor, device), self.supervised_B)

    def split(self, rows: int) -> Iterator["Batch"]:
        """Parts of at most `rows` rows, in order."""
        for begin in range(0, len(self), rows):
            part = slice(begin, begin + rows)
            yield self._with(operator.itemgetter(part), self.supervised_B[part])

    def _with(self, change: Callable[[Tensor], Tensor], supervised_B: np.ndarray) -> "Batch":
        return Batch(
            tokens_BT=change(self.tokens_BT),
            targets_BT=change(self.targets_BT),
            positions_BT=None if self.positions_BT is None else change(self.positions_BT),
            documents_BT=None if self.documents_BT is None else change(self.documents_BT),
            parents_BT=None if self.parents_BT is None else change(self.parents_BT),
            supervised_B=supervised_B,
        )


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)

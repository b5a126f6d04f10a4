"""How wrong a prediction was: the loss of every token.

X positions (B · T)   S positions that count   D width   V vocabulary
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from trainer_worker.trainer.engine.batch import IGNORED

# Logits up to this size (in float32) are computed at once. Larger ones are computed in pieces, and once more in the
# backward pass: the output layer then takes half as long again, for which it needs a piece instead of three times all.
LOGITS_BYTES_MAX = 1 << 28
PIECE_BYTES = 1 << 25


def token_losses(
    hidden_XD: Tensor,
    output_weight_VD: Tensor,
    targets_X: Tensor,
    *,
    label_smoothing: float = 0.0,
    soft_cap: float | None = None,
    logits_bytes_max: int = LOGITS_BYTES_MAX,
) -> Tensor:
    """Cross-entropy of each target, in nats; 0 where the target is IGNORED, and no logits are computed there.

    With smoothing, the target is 1 - s for the right token and s / V more for every token. A soft cap bounds the logits
    by c · tanh(z / c). Products are in the dtype of autocast, what follows in float32 (float64 for float64).

    Shapes: hidden (X, D); output weight (V, D); targets (X,) int64. Returns (X,) float32.
    Sources: label smoothing: Szegedy et al. 2016, arXiv 1512.00567, section 7; recomputed logits: Wijmans et al. 2024,
    arXiv 2411.09009, without their sparse approximation.
    """
    counts_X = targets_X != IGNORED
    if bool(counts_X.all()):
        return losses_of_all(hidden_XD, output_weight_VD, targets_X, label_smoothing, soft_cap, logits_bytes_max)
    places_S = counts_X.nonzero().squeeze(1)
    hidden_SD, targets_S = hidden_XD.index_select(0, places_S), targets_X.index_select(0, places_S)
    losses_S = losses_of_all(hidden_SD, output_weight_VD, targets_S, label_smoothing, soft_cap, logits_bytes_max)
    return losses_S.new_zeros(targets_X.shape).index_copy(0, places_S, losses_S)


def losses_of_all(
    hidden_SD: Tensor, weight_VD: Tensor, targets_S: Tensor, smoothing: float, cap: float | None, bytes_max: int
) -> Tensor:
    """Chooses by size alone: at once, or in pieces that are recomputed."""
    row_bytes = 4 * len(weight_VD)
    if len(hidden_SD) * row_bytes <= bytes_max:
        return losses_at_once(hidden_SD, weight_VD, targets_S, smoothing, cap)
    kind = hidden_SD.device.type
    if torch.is_autocast_enabled(kind):
        dtype = torch.get_autocast_dtype(kind)
        hidden_SD, weight_VD = hidden_SD.to(dtype), weight_VD.to(dtype)
    rows = max(1, min(bytes_max, PIECE_BYTES) // row_bytes)
    losses_S: Tensor = PiecewiseLosses.apply(hidden_SD, weight_VD, targets_S, smoothing, cap, rows)
    return losses_S


def losses_at_once(
    hidden_SD: Tensor, weight_VD: Tensor, targets_S: Tensor, smoothing: float, cap: float | None
) -> Tensor:
    logits_SV = capped(functional.linear(hidden_SD, weight_VD), cap)
    return functional.cross_entropy(logits_SV, targets_S, reduction="none", label_smoothing=smoothing)


def capped(logits_SV: Tensor, cap: float | None) -> Tensor:
    """The logits in float32 at least, bounded softly."""
    logits_SV = logits_SV if logits_SV.dtype == torch.float64 else logits_SV.float()
    return logits_SV if cap is None else torch.tanh(logits_SV / cap) * cap


class PiecewiseLosses(torch.autograd.Function):
    """The losses without ever holding the logits of all positions: exact, for one more product with the weight."""

    @staticmethod
    def forward(
        context: Any,
        hidden_SD: Tensor,
        weight_VD: Tensor,
        targets_S: Tensor,
        smoothing: float,
        cap: float | None,
        rows: int,
    ) -> Tensor:
        context.save_for_backward(hidden_SD, weight_VD, targets_S)
        context.smoothing, context.cap, context.rows = smoothing, cap, rows
        pieces = zip(hidden_SD.split(rows), targets_S.split(rows), strict=True)
        with torch.autocast(hidden_SD.device.type, enabled=False):
            return torch.cat([losses_at_once(hidden, weight_VD, target, smoothing, cap) for hidden, target in pieces])

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, Tensor | None, None, None, None, None]:
        """The weight's gradient, if it learns, is added up in float32 at least, however many pieces there are."""
        hidden_SD, weight_VD, targets_S = context.saved_tensors
        moved_SD, turned_VD = torch.empty_like(hidden_SD), None
        if context.needs_input_grad[1]:
            turned_VD = torch.zeros_like(weight_VD, dtype=gradients[0].dtype)
        pieces = (tensor.split(context.rows) for tensor in (hidden_SD, moved_SD, targets_S, gradients[0]))
        with torch.autocast(hidden_SD.device.type, enabled=False):
            for hidden, moved, targets, gradient in zip(*pieces, strict=True):
                logits = capped(functional.linear(hidden, weight_VD), context.cap)
                slope = slope_of(logits, targets, gradient, context).to(hidden.dtype)
                torch.matmul(slope, weight_VD, out=moved)
                if turned_VD is not None:
                    turned_VD += slope.T @ hidden
        turned_VD = None if turned_VD is None else turned_VD.to(weight_VD.dtype)
        return moved_SD, turned_VD, None, None, None, None


def slope_of(logits: Tensor, targets: Tensor, gradient: Tensor, context: Any) -> Tensor:
    """The derivative by the logits z before the cap c, for the gradient g of each loss and the prediction p.

    g (p - (1 - s) [target] - s / V), and with a cap times 1 - (capped / c)².
    """
    slope = torch.softmax(logits, dim=-1)
    if context.smoothing:
        slope -= context.smoothing / logits.shape[1]
    slope.scatter_add_(1, targets[:, None], slope.new_full((len(targets), 1), context.smoothing - 1))
    slope *= gradient[:, None]
    return slope if context.cap is None else slope.mul_(1 - (logits / context.cap).square_())

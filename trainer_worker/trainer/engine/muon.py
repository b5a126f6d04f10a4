"""Movements of equal length in every direction of a matrix, by products alone.

R rows of a matrix   D width of its rows
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from trainer_worker.trainer.engine.precision import choose_precision

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ROUNDS = 5
NORM_MIN = 1e-7


def make_muon(
    weights: Iterable[nn.Parameter], *, learning_rate: float, weight_decay: float, momentum: float, nesterov: bool
) -> torch.optim.Muon:
    """Muon with updates as long as those of Adam, so that one learning rate serves both.

    Source: Jordan 2024, "Muon: an optimizer for hidden layers in neural networks"; length: Liu et al. 2025, arXiv
    2502.16982, eq. 4.
    """
    matrices = list(weights)
    native = choose_precision(matrices[0].device) == "bf16"
    kind = torch.optim.Muon if native else Float32Muon
    return kind(
        matrices,
        lr=learning_rate,
        weight_decay=weight_decay,
        momentum=momentum,
        nesterov=nesterov,
        adjust_lr_fn="match_rms_adamw",
    )


class Float32Muon(torch.optim.Muon):
    """The same with float32 products: a processor that only emulates bfloat16 takes 30 times as long for those."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self.move(weight, group)

    def move(self, weight_RD: Tensor, group: dict) -> None:
        """Leads the momentum on, and moves the weight by its orthogonal direction."""
        state, gradient_RD = self.state[weight_RD], weight_RD.grad
        assert gradient_RD is not None
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(gradient_RD)
        momentum_RD = state["momentum_buffer"].lerp_(gradient_RD, 1 - group["momentum"])
        update_RD = gradient_RD.lerp(momentum_RD, group["momentum"]) if group["nesterov"] else momentum_RD
        length = 0.2 * max(weight_RD.shape) ** 0.5
        weight_RD.mul_(1 - group["lr"] * group["weight_decay"])
        weight_RD.add_(orthogonal(update_RD), alpha=-group["lr"] * length)


def orthogonal(matrix_RD: Tensor) -> Tensor:
    """Brings all singular values near 1 (0.7 to 1.2) and leaves the directions as they are; in the dtype of the matrix.

    Source: Jordan 2024: five rounds of a quintic Newton-Schulz iteration, whose coefficients lift small values fast.
    """
    a, b, c = COEFFICIENTS
    tall = matrix_RD.shape[0] > matrix_RD.shape[1]
    wide = matrix_RD.T if tall else matrix_RD
    wide = wide / wide.norm().clamp(min=NORM_MIN)
    for _ in range(ROUNDS):
        gram = wide @ wide.T
        wide = torch.addmm(wide, torch.addmm(gram, gram, gram, beta=b, alpha=c), wide, beta=a)
    return wide.T if tall else wide

"""How gradients move weights."""

import torch
from torch import Tensor, nn

MOMENTS = ("exp_avg", "exp_avg_sq", "step")


def adamw(
    model: nn.Module, *, learning_rate: float, weight_decay: float, beta1: float, beta2: float, epsilon: float
) -> torch.optim.AdamW:
    """AdamW in one fused pass. Matrices decay; norms and embeddings do not.

    Source: Loshchilov and Hutter 2019, arXiv 1711.05101, algorithm 2.
    """
    decays: list[nn.Parameter] = []
    stays: list[nn.Parameter] = []
    for name, weight in model.named_parameters():
        (decays if weight.dim() >= 2 and not name.startswith("embedding") else stays).append(weight)
    groups = [{"params": decays, "weight_decay": weight_decay}, {"params": stays, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=learning_rate, betas=(beta1, beta2), eps=epsilon, fused=True)


def set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = learning_rate


def gradients(model: nn.Module) -> list[Tensor]:
    return [weight.grad for weight in model.parameters() if weight.grad is not None]


def gradient_norm(model: nn.Module) -> Tensor:
    """The Euclidean norm of all gradients together; a scalar that stays on the device."""
    return torch.nn.utils.get_total_norm(gradients(model), foreach=True)


def clip(model: nn.Module, *, norm: float, clip_norm: float) -> None:
    """Scales gradients of the given norm down to `clip_norm`; 0 leaves them alone."""
    if clip_norm and norm > clip_norm:
        torch._foreach_mul_(gradients(model), clip_norm / norm)


def optimizer_tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimizer's state by `{moment}.{weight}`; empty before the first step."""
    tensors = {}
    for name, weight in model.named_parameters():
        for moment, value in optimizer.state.get(weight, {}).items():
            tensors[f"{moment}.{name}"] = value
    return tensors


def restore_optimizer(model: nn.Module, optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Puts back what `optimizer_tensors` gave. Raises: ValueError if names or shapes differ."""
    if not tensors:
        return
    weights = dict(model.named_parameters())
    if set(tensors) != {f"{moment}.{name}" for moment in MOMENTS for name in weights}:
        raise ValueError("the optimizer state is not for these weights")
    for name, weight in weights.items():
        state = {moment: tensors[f"{moment}.{name}"] for moment in MOMENTS}
        if state["exp_avg"].shape != weight.shape or state["exp_avg_sq"].shape != weight.shape or state["step"].dim():
            raise ValueError(f"the optimizer state of {name} has the wrong shape")
        optimizer.state[weight] = {moment: value.to(weight.device) for moment, value in state.items()}

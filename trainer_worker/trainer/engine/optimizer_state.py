"""What a rule remembers about a weight between two steps, and how to tell it from something else."""

import dataclasses

import torch
from torch import Tensor

NAMED_MAX = 5  # faults named in one refusal


@dataclasses.dataclass(frozen=True)
class Blank:
    """What a tensor of a state must be like."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device


def blank_state(rule: torch.optim.Optimizer, weight: Tensor) -> dict[str, Blank]:
    """The tensors that a rule keeps for a weight, after its first step."""
    like = Blank(tuple(weight.shape), weight.dtype, weight.device)
    on_device = Blank((), torch.float32, weight.device)
    counter = Blank((), torch.float32, torch.device("cpu"))
    with_momentum = {"momentum_buffer": like} if rule.defaults.get("momentum") else {}
    match rule:
        case torch.optim.Adam():
            return {"step": on_device, "exp_avg": like, "exp_avg_sq": like}
        case torch.optim.RMSprop():
            return {"step": counter, "square_avg": like} | with_momentum
        case torch.optim.Adafactor() if weight.dim() > 1:
            row = dataclasses.replace(like, shape=(*weight.shape[:-1], 1))
            column = dataclasses.replace(like, shape=(*weight.shape[:-2], 1, weight.shape[-1]))
            return {"step": counter, "row_var": row, "col_var": column}
        case torch.optim.Adafactor():
            return {"step": counter, "variance": like}
        case torch.optim.Muon():
            return {"momentum_buffer": like}
    return with_momentum


def refuse_strangers(tensors: dict[str, Tensor], expected: dict[str, Blank]) -> None:
    """Raises: ValueError naming what is missing, unknown, of another shape or dtype, or not finite."""
    faults = [f"{name} is missing" for name in expected if name not in tensors]
    for name, tensor in tensors.items():
        blank = expected.get(name)
        if blank is None:
            faults.append(f"{name} is unknown")
        elif (tuple(tensor.shape), tensor.dtype) != (blank.shape, blank.dtype):
            found = f"{tuple(tensor.shape)} {tensor.dtype}"
            faults.append(f"{name} has shape {found}, not {blank.shape} {blank.dtype}")
        elif not torch.isfinite(tensor).all():
            faults.append(f"{name} holds a number that is not finite")
    if faults:
        more = f"; and {len(faults) - NAMED_MAX} more" if len(faults) > NAMED_MAX else ""
        raise ValueError("the optimizer state is not for these weights: " + "; ".join(faults[:NAMED_MAX]) + more)

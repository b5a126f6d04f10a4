"""Whether tensors that were read are the ones that a model needs, and which are not."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

NAMED_MAX = 10


def named(names: list[str]) -> str:
    """The first few of many names, and how many more there are."""
    more = f" and {len(names) - NAMED_MAX} more" if len(names) > NAMED_MAX else ""
    return ", ".join(names[:NAMED_MAX]) + more


def faults_of_names(found: set[str], wanted: set[str]) -> Iterator[str]:
    if absent := sorted(wanted - found):
        yield f"tensors are missing: {named(absent)}"
    if unknown := sorted(found - wanted):
        yield f"tensors are unknown: {named(unknown)}"


def faults_of_tensors(tensors: Mapping[str, Tensor], shapes: Mapping[str, torch.Size]) -> Iterator[str]:
    """What is wrong with each tensor of a known name: another shape, no fractions, or no numbers."""
    for name, tensor in tensors.items():
        if name not in shapes:
            continue
        if tensor.shape != shapes[name]:
            yield f"{name} is {tuple(tensor.shape)}, not {tuple(shapes[name])}"
        elif not tensor.dtype.is_floating_point:
            yield f"{name} is {tensor.dtype}, which holds no fractions"
        elif not torch.isfinite(tensor.float() if tensor.itemsize < 2 else tensor).all():
            yield f"{name} holds a number that is not finite"


def sentence(faults: list[str]) -> str:
    more = f"; and {len(faults) - NAMED_MAX} more" if len(faults) > NAMED_MAX else ""
    return "; ".join(faults[:NAMED_MAX]) + more

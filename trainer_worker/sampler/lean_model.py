"""A decoder made ready to draw: nearly the same numbers, from fewer operations and half the bytes.

    D width   dots stand for the axes before it

A step over few rows takes as long as its weights take to come from memory. So the matrices are kept in float16 and
multiplied in float32: their 11 bits of precision move a log-probability by about a thousandth. Embeddings, norms, keys,
values and all that is computed stay in float32. What only training needs goes: the norm that remembers its input.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from trainer_worker.trainer.engine.model import Decoder
from trainer_worker.trainer.engine.model_config import ModelConfig
from trainer_worker.trainer.engine.norm import RootMeanSquareNorm

FLOAT16_MAX = 65504.0


@torch.inference_mode()
def make_lean(decoder: Decoder) -> Decoder:
    """Exchanges the layers of a decoder, which can be read and not trained from then on, and returns it."""
    for parent in list(decoder.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, RootMeanSquareNorm):
                setattr(parent, name, LeanNorm(child))
            elif isinstance(child, nn.Linear) and halves(child.weight):
                setattr(parent, name, HalfLinear(child.weight, child.bias))
    if decoder.config.tied_head and halves(decoder.embedding.weight):
        decoder.add_module("head", HalfLinear(decoder.embedding.weight, None))
    return decoder


def lean_bytes(config: ModelConfig) -> int:
    """Memory that suffices for a decoder, before and after: a shared head gets a matrix of its own."""
    head = config.vocabulary_size * config.width if config.tied_head else 0
    return 4 * config.parameters + 2 * head


def halves(weight: Tensor) -> bool:
    """Whether this machine multiplies by matrices of float16, and this one fits into it."""
    able = torch.backends.quantized.engine in ("fbgemm", "x86") and hasattr(torch.ops.quantized, "linear_prepack_fp16")
    return able and weight.dtype == torch.float32 and bool(weight.abs().amax() <= FLOAT16_MAX)


class HalfLinear(nn.Module):
    """`torch.nn.Linear` for CPUs with its weight in float16. Knows no gradients."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.packed = torch.ops.quantized.linear_prepack_fp16(weight.detach(), None if bias is None else bias.detach())

    def forward(self, hidden: Tensor) -> Tensor:
        """Shapes: (…, inputs) to (…, outputs), float32."""
        product: Tensor = torch.ops.quantized.linear_dynamic_fp16(hidden, self.packed)
        return product


class LeanNorm(nn.Module):
    """`RootMeanSquareNorm` without a backward pass."""

    def __init__(self, norm: RootMeanSquareNorm) -> None:
        super().__init__()
        self.weight_D = norm.weight.detach()
        self.epsilon = torch.tensor(norm.epsilon)

    def forward(self, hidden: Tensor) -> Tensor:
        """Shapes: (…, D) to (…, D), float32."""
        norm = torch.linalg.vector_norm(hidden, dim=-1, keepdim=True)
        scale = torch.addcmul(self.epsilon, norm, norm, value=1.0 / hidden.shape[-1]).rsqrt_()
        return (hidden * scale).mul_(self.weight_D)

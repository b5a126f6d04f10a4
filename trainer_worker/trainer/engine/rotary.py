"""Positions as angles by which the numbers of a head are turned.

T positions   H width of one head   X heads of queries, or of queries and keys together
"""

import math

import torch
from torch import Tensor

from trainer_worker.trainer.engine.model_config import RotaryScaling


def rotary_tables(
    *, head_width: int, context_length: int, base: float, scaling: RotaryScaling | None = None
) -> tuple[Tensor, Tensor]:
    """Cosine and sine of every position's angles, the two halves of a head alike. Both (T, H) float32.

    Source: Su et al. 2021, arXiv 2104.09864, in the layout of Llama checkpoints: pairs are (i, i + H / 2).
    """
    exponents = torch.arange(0, head_width, 2, dtype=torch.float64) / head_width
    frequencies = scaled(base**-exponents, scaling) if scaling else base**-exponents
    angles = torch.outer(torch.arange(context_length, dtype=torch.float64), frequencies)
    angles_TH = torch.cat((angles, angles), dim=-1)
    return angles_TH.cos().float(), angles_TH.sin().float()


def scaled(frequencies: Tensor, scaling: RotaryScaling) -> Tensor:
    """The frequencies for a longer context, radians a position."""
    slow = frequencies / scaling.factor
    if scaling.kind == "linear":
        return slow
    turns = scaling.original_context_length * frequencies / (2 * math.pi)
    low, high = scaling.low_frequency_factor, scaling.high_frequency_factor
    share = ((turns - low) / (high - low)).clamp(0, 1)
    return (1 - share) * slow + share * frequencies


def rotate(heads_BTXH: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Turns each pair of a head's numbers by its position's angle; computed and returned in the dtype of the heads."""
    first, second = heads_BTXH.chunk(2, dim=-1)
    turned_BTXH = torch.cat((-second, first), dim=-1)
    return heads_BTXH * cosine.to(heads_BTXH.dtype) + turned_BTXH * sine.to(heads_BTXH.dtype)

"""Attention, by the kernel that is fastest where it runs.

B rows   T query positions   S key positions   N query heads   M key and value heads   H width of one head
"""

import torch
from torch import Tensor
from torch.nn import functional

# Up to so many keys, for each unit of head width, plain products beat the fused kernel of the CPU: measured on AVX-512
# with the ends at 512 keys (head width 64) and 1,024 keys (head width 128).
PLAIN_KEYS_PER_HEAD_WIDTH = 8
PLAIN_KEYS_MIN = 512


def causal_bias(length: int, *, device: torch.device) -> Tensor:
    """Zero where a query sees a key, minus infinity where the key comes after it. Shape (T, T), float32."""
    return torch.full((length, length), float("-inf"), device=device).triu_(1)


def fill_bias(positions_BT: Tensor, *, keys: int) -> Tensor:
    """The same for rows that are filled to different lengths: key slot s is seen from position s on. (B, 1, T, S)."""
    slots_S = torch.arange(keys, device=positions_BT.device)
    hidden_BTS = slots_S > positions_BT[:, :, None]
    bias_BTS = torch.zeros(hidden_BTS.shape, device=positions_BT.device).masked_fill_(hidden_BTS, float("-inf"))
    return bias_BTS[:, None]


def attend(query_BTNH: Tensor, key_BSMH: Tensor, value_BSMH: Tensor, *, bias: Tensor) -> Tensor:
    """Mixes values by how well their keys match each query.

    Shapes: query (B, T, N, H); key and value (B, S, M, H), M divides N; bias (T, S) or (B, 1, T, S), added to the
    scores. Returns (B, T, N, H) in the dtype of the query. The softmax is computed in float32 whatever the dtype.
    Source: Vaswani et al. 2017, arXiv 1706.03762, eq. 1; grouped heads: Ainslie et al. 2023, arXiv 2305.13245.
    """
    groups = query_BTNH.shape[2] // key_BSMH.shape[2]
    query_BNTH = query_BTNH.transpose(1, 2)
    key_BNSH, value_BNSH = key_BSMH.transpose(1, 2), value_BSMH.transpose(1, 2)
    if groups > 1:
        key_BNSH = key_BNSH.repeat_interleave(groups, dim=1)
        value_BNSH = value_BNSH.repeat_interleave(groups, dim=1)
    bias = bias.to(query_BTNH.dtype)
    if plain_is_faster(query_BTNH, keys=key_BSMH.shape[1]):
        mixed_BNTH = attend_plainly(query_BNTH, key_BNSH, value_BNSH, bias)
    else:
        mixed_BNTH = functional.scaled_dot_product_attention(query_BNTH, key_BNSH, value_BNSH, attn_mask=bias)
    return mixed_BNTH.transpose(1, 2)


def plain_is_faster(query_BTNH: Tensor, *, keys: int) -> bool:
    """A rule from measurements, not a probe: the kernel must not change between a run and its resumption.

    A single query is always computed plainly: which kernel draws a token must not depend on the longest row beside it.
    """
    limit = max(PLAIN_KEYS_MIN, PLAIN_KEYS_PER_HEAD_WIDTH * query_BTNH.shape[-1])
    return query_BTNH.device.type == "cpu" and (keys <= limit or query_BTNH.shape[1] == 1)


def attend_plainly(query_BNTH: Tensor, key_BNSH: Tensor, value_BNSH: Tensor, bias: Tensor) -> Tensor:
    scaled_BNTH = query_BNTH * query_BNTH.shape[-1] ** -0.5
    scores_BNTS = scaled_BNTH @ key_BNSH.transpose(-2, -1) + bias
    weights_BNTS = torch.softmax(scores_BNTS, dim=-1)
    return weights_BNTS @ value_BNSH

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
# With the shorter registers of AVX2 the fused kernel wins where a head has few numbers of keys, too: see docs/lab.
FUSED_KEY_NUMBERS_MAX = 256 * 64


def causal_bias(
    length: int,
    *,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    documents_BT: Tensor | None = None,
    parents_BT: Tensor | None = None,
    window: int | None = None,
) -> Tensor:
    """Zero where a query sees a key, minus infinity where the key comes after it, or `window` or more before it, or is
    of another document, unless that is the parent of the query's. Shape (T, T), or (B, 1, T, T) with documents."""
    bias_TT = torch.full((length, length), float("-inf"), device=device, dtype=dtype).triu_(1)
    if window is not None and window < length:
        bias_TT += torch.full_like(bias_TT, float("-inf")).tril_(-window)
    if documents_BT is None:
        return bias_TT
    foreign_BTT = documents_BT[:, :, None] != documents_BT[:, None, :]
    if parents_BT is not None:
        foreign_BTT &= parents_BT[:, :, None] != documents_BT[:, None, :]
    return bias_TT.masked_fill(foreign_BTT, float("-inf"))[:, None]


def fill_bias(
    positions_BT: Tensor, *, keys: int, dtype: torch.dtype = torch.float32, window: int | None = None
) -> Tensor:
    """The same for rows that are filled to different lengths: key slot s is seen from position s on. (B, 1, T, S)."""
    slots_S = torch.arange(keys, device=positions_BT.device)
    hidden_BTS = slots_S > positions_BT[:, :, None]
    if window is not None and window < keys:
        hidden_BTS |= slots_S <= positions_BT[:, :, None] - window
    bias_BTS = torch.zeros(hidden_BTS.shape, device=positions_BT.device, dtype=dtype)
    return bias_BTS.masked_fill_(hidden_BTS, float("-inf"))[:, None]


def attend(
    query_BTNH: Tensor,
    key_BSMH: Tensor,
    value_BSMH: Tensor,
    *,
    bias: Tensor | None,
    scale: float | None = None,
    soft_cap: float | None = None,
    dropout: float = 0.0,
    plain: bool | None = None,
) -> Tensor:
    """Mixes values by how well their keys match each query.

    Shapes: query (B, T, N, H); key and value (B, S, M, H), M divides N; bias (T, S) or (B, 1, T, S), added to the
    scores, or None for as many keys as queries of which each sees those up to itself. Scores are multiplied by `scale`
    (default: the root of 1 / H) and bent by `soft_cap`; `dropout` is the share of weights left out; `plain` says by
    which kernel, default as `plain_wins`. Returns (B, T, N, H) in the dtype of the query. The softmax is computed in
    float32 whatever the dtype.
    Source: Vaswani et al. 2017, arXiv 1706.03762, eq. 1; grouped heads: Ainslie et al. 2023, arXiv 2305.13245; soft
    cap: Gemma Team 2024, arXiv 2408.00118, section 2.
    """
    length, keys = query_BTNH.shape[1], key_BSMH.shape[1]
    query_BNTH = query_BTNH.transpose(1, 2)
    key_BMSH, value_BMSH = key_BSMH.transpose(1, 2), value_BSMH.transpose(1, 2)
    if plain is None:
        device, width = query_BTNH.device.type, query_BTNH.shape[-1]
        plain = plain_wins(device, queries=length, keys=keys, head_width=width, soft_cap=soft_cap)
    if not plain:
        return attend_fused(query_BNTH, key_BMSH, value_BMSH, bias, scale=scale, dropout=dropout).transpose(1, 2)
    if bias is None:
        bias = causal_bias(length, device=query_BTNH.device)
    if length == 1 and soft_cap is None and not dropout:
        return attend_once(query_BTNH, key_BMSH, value_BMSH, bias, scale=scale)
    groups = query_BTNH.shape[2] // key_BSMH.shape[2]
    if groups > 1:
        key_BMSH = key_BMSH.repeat_interleave(groups, dim=1)
        value_BMSH = value_BMSH.repeat_interleave(groups, dim=1)
    bias = bias.to(query_BTNH.dtype)
    mixed_BNTH = attend_plainly(query_BNTH, key_BMSH, value_BMSH, bias, scale=scale, soft_cap=soft_cap, dropout=dropout)
    return mixed_BNTH.transpose(1, 2)


def plain_wins(
    device: str,
    *,
    queries: int,
    keys: int,
    head_width: int,
    soft_cap: float | None = None,
    fused_if_short: bool = False,
) -> bool:
    """A rule from measurements, not a probe: the kernel must not change between a run and its resumption.

    A single query is always computed plainly: which kernel draws a token must not depend on the longest row beside it.
    The fused kernels know no soft cap. `fused_if_short` is for processors with short registers: see `has_avx2_only`.
    """
    if soft_cap is not None:
        return True
    if fused_if_short and keys * head_width <= FUSED_KEY_NUMBERS_MAX:
        return False
    limit = max(PLAIN_KEYS_MIN, PLAIN_KEYS_PER_HEAD_WIDTH * head_width)
    return device == "cpu" and (keys <= limit or queries == 1)


def has_avx2_only(processor: str) -> bool:
    """Whether this is what torch calls a processor whose registers hold eight numbers."""
    return processor == "AVX2"


def attend_once(
    query_B1NH: Tensor, key_BMSH: Tensor, value_BMSH: Tensor, bias: Tensor, *, scale: float | None
) -> Tensor:
    """The same for a single query a row, in as few operations as can be: heads that share keys are one product."""
    rows, heads, keys, width = key_BMSH.shape
    query_XGH = query_B1NH.reshape(rows * heads, -1, width)  # X = B × M, G queries share a key
    key_XSH, value_XSH = key_BMSH.flatten(0, 1), value_BMSH.flatten(0, 1)
    bias_X1S = bias.to(query_XGH.dtype).expand(rows, heads, 1, keys).flatten(0, 1)
    scale = width**-0.5 if scale is None else scale
    scores_XGS = torch.baddbmm(bias_X1S, query_XGH, key_XSH.transpose(1, 2), alpha=scale)
    return torch.bmm(torch.softmax(scores_XGS, dim=-1), value_XSH).view_as(query_B1NH)


def attend_plainly(
    query_BNTH: Tensor,
    key_BNSH: Tensor,
    value_BNSH: Tensor,
    bias: Tensor,
    *,
    scale: float | None = None,
    soft_cap: float | None = None,
    dropout: float = 0.0,
) -> Tensor:
    """By products of whole matrices."""
    scaled_BNTH = query_BNTH * (query_BNTH.shape[-1] ** -0.5 if scale is None else scale)
    scores_BNTS = scaled_BNTH @ key_BNSH.transpose(-2, -1)
    if soft_cap is not None:
        scores_BNTS = torch.tanh(scores_BNTS / soft_cap) * soft_cap
    weights_BNTS = torch.softmax(scores_BNTS + bias, dim=-1)
    if dropout:
        weights_BNTS = functional.dropout(weights_BNTS, dropout)
    return weights_BNTS @ value_BNSH


def attend_fused(
    query_BNTH: Tensor,
    key_BMSH: Tensor,
    value_BMSH: Tensor,
    bias: Tensor | None,
    *,
    scale: float | None,
    dropout: float,
) -> Tensor:
    """By the library's kernel, which never holds all scores; without a bias it skips those that nobody sees."""
    return functional.scaled_dot_product_attention(
        query_BNTH,
        key_BMSH,
        value_BMSH,
        attn_mask=None if bias is None else bias.to(query_BNTH.dtype),
        is_causal=bias is None,
        dropout_p=dropout,
        scale=scale,
        enable_gqa=query_BNTH.shape[1] != key_BMSH.shape[1],
    )

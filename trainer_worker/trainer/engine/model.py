"""A decoder-only transformer, from tokens to logits.

RMSNorm, rotary positions, a gated feed-forward layer and grouped-query attention, as in the Llama family, with the
parts that Qwen, Mistral and Gemma add where the config asks for them. The projections of query, key and value are one
matrix, and so are gate and up: fewer, larger products are faster, and an export can split them.

Tensor names carry their shape:

    B rows   T new positions   S key positions   D width   N query heads   M key and value heads   H width of one head
    V vocabulary   F feed-forward width   X two axes merged, named where it is used
"""

import dataclasses
import functools
import math

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from trainer_worker.trainer.engine.attention import attend, causal_bias, fill_bias, plain_wins
from trainer_worker.trainer.engine.key_value_cache import KeyValueCache
from trainer_worker.trainer.engine.model_config import ModelConfig as ModelConfig
from trainer_worker.trainer.engine.norm import RootMeanSquareNorm
from trainer_worker.trainer.engine.rotary import rotary_tables, rotate

INITIAL_DEVIATION = 0.02


# The document of each token, and the one that it goes on from: both (B, T), or None.
Lines = tuple[Tensor | None, Tensor | None]


@dataclasses.dataclass(frozen=True)
class Dropout:
    """Shares of numbers that are left out at random while training."""

    residual: float = 0.0
    attention: float = 0.0
    embedding: float = 0.0


@dataclasses.dataclass(frozen=True)
class Sight:
    """Made once a forward pass and handed to every layer: how positions rotate, which keys a query sees."""

    cosine: Tensor
    sine: Tensor
    bias: Tensor | None
    positions: Tensor | None
    slots: Tensor | None  # where the cache keeps what is new
    keys: int
    cache: KeyValueCache | None
    dropout: Dropout
    plain: bool  # whether attention is computed by products of whole matrices


class Decoder(nn.Module):
    """Predicts, at every position, the token that comes next.

    With `activation_checkpointing` the backward pass computes each block again instead of keeping what it made. That
    and dropout act in training mode only. `fused_if_short` is set by a run, for as long as it lasts: see `plain_wins`.
    """

    rotary_cosine: Tensor  # (T, H), as rotary_sine
    rotary_sine: Tensor
    local_rotary_cosine: Tensor  # the same for the local layers, if they turn differently
    local_rotary_sine: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.dropout = Dropout()
        self.activation_checkpointing = False
        self.fused_if_short = False
        self.embedding = nn.Embedding(config.vocabulary_size, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.final_norm = RootMeanSquareNorm(config.width, epsilon=config.norm_epsilon)
        if not config.tied_head:
            self.head = nn.Linear(config.width, config.vocabulary_size, bias=False)
        self.lay_rotary_tables()

    def lay_rotary_tables(self) -> None:
        """Computes what is derived from the config and not stored."""
        config = self.config
        of = functools.partial(rotary_tables, head_width=config.head_width, context_length=config.context_length)
        tables = {"rotary": of(base=config.rotary_base, scaling=config.rotary_scaling)}
        if config.local_rotary_base is not None:
            tables["local_rotary"] = of(base=config.local_rotary_base)
        for name, (cosine_TH, sine_TH) in tables.items():
            self.register_buffer(f"{name}_cosine", cosine_TH, persistent=False)
            self.register_buffer(f"{name}_sine", sine_TH, persistent=False)

    def set_dropout(self, *, residual: float = 0.0, attention: float = 0.0, embedding: float = 0.0) -> None:
        """From the next forward pass in training mode on. Source: Srivastava et al. 2014; places as in GPT-2."""
        self.dropout = Dropout(residual=residual, attention=attention, embedding=embedding)

    @property
    def output_weight(self) -> Tensor:
        """What a hidden state is multiplied by to give logits. Shape (V, D)."""
        weight_VD: Tensor = self.embedding.weight if self.config.tied_head else self.head.weight
        return weight_VD

    def forward(
        self,
        tokens_BT: Tensor,
        *,
        positions_BT: Tensor | None = None,
        documents_BT: Tensor | None = None,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        """Logits for the token after each given one.

        Without a cache, the tokens are whole sequences from position 0 (or from `positions_BT`, for their rotation). A
        token sees those before it in its row; with `documents_BT`, those of its own document only. With a cache, each
        row goes on after its own length: keys and values are written, but lengths stay as they are until
        `cache.advance` says how many tokens of a row counted: so rows of different length may be padded at the end.

        Shapes: tokens (B, T) int64; positions (B, T) int64, default: T positions after the length of the row;
        documents (B, T) int64, any numbers that differ. Returns (B, T, V), bfloat16 under autocast, else float32.
        Raises: IndexError if a position reaches the context length or the capacity of the cache.
        """
        hidden_BTD = self.hidden(tokens_BT, positions_BT=positions_BT, documents_BT=documents_BT, cache=cache)
        return self.unembed(hidden_BTD)

    def hidden(
        self,
        tokens_BT: Tensor,
        *,
        positions_BT: Tensor | None = None,
        documents_BT: Tensor | None = None,
        parents_BT: Tensor | None = None,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        """What `forward` unembeds, for those who need the logits of few positions. Returns (B, T, D).

        With `parents_BT` (B, T), a token also sees the document that its own one goes on from, as far as that stands
        before it; a row may then be longer than the context, as long as no position is.
        """
        if cache is not None and positions_BT is None:
            positions_BT = cache.next_positions(tokens_BT.shape[1])
        hidden_BTD = self.embedding(tokens_BT)
        if self.config.embedding_scale != 1.0:
            hidden_BTD = hidden_BTD * self.config.embedding_scale
        dropout = self.dropout if self.training else Dropout()
        hidden_BTD = dropped(hidden_BTD, dropout.embedding)
        lines = documents_BT, parents_BT
        whole, local = self.sights(hidden_BTD, positions_BT, lines, cache, dropout)
        recompute = self.activation_checkpointing and self.training and torch.is_grad_enabled()
        for index, block in enumerate(self.blocks):
            sight = local if index in self.config.local_layers else whole
            if recompute:
                hidden_BTD = checkpoint(block, hidden_BTD, index, sight, use_reentrant=False)
            else:
                hidden_BTD = block(hidden_BTD, index, sight)
        normed_BTD: Tensor = self.final_norm(hidden_BTD)
        return normed_BTD

    def sights(
        self,
        hidden_BTD: Tensor,
        positions_BT: Tensor | None,
        lines: Lines,
        cache: KeyValueCache | None,
        dropout: Dropout,
    ) -> tuple[Sight, Sight]:
        """What layers share: those that see everything, and those that see the nearest keys only."""
        config, length = self.config, hidden_BTD.shape[1]
        last = length - 1
        if positions_BT is not None:  # asking a GPU for the largest would wait for it, and the tables end there anyway
            last = 0 if cache is None else int(positions_BT.max())
        if last >= config.context_length:
            raise IndexError(f"position {last} is beyond the context length {config.context_length}")
        rows: slice | Tensor = slice(length) if positions_BT is None else positions_BT
        keys = length if cache is None else cache.slots_read(last + 1)
        whole = Sight(
            cosine=self.rotary_cosine[rows].unsqueeze(-2),
            sine=self.rotary_sine[rows].unsqueeze(-2),
            bias=None,
            positions=positions_BT,
            slots=None if cache is None or positions_BT is None else cache.slots(positions_BT),
            keys=keys,
            cache=cache,
            dropout=dropout,
            plain=self.is_plain(hidden_BTD, cache, keys, dropout),
        )
        local = whole
        if config.local_rotary_base is not None:
            cosine, sine = self.local_rotary_cosine[rows], self.local_rotary_sine[rows]
            local = dataclasses.replace(whole, cosine=cosine.unsqueeze(-2), sine=sine.unsqueeze(-2))
        bias = self.bias(hidden_BTD, whole, lines, window=None)
        window = config.sliding_window
        narrow = bias if window is None else self.bias(hidden_BTD, whole, lines, window=window)
        return dataclasses.replace(whole, bias=bias), dataclasses.replace(local, bias=narrow)

    def bias(self, hidden_BTD: Tensor, sight: Sight, lines: Lines, *, window: int | None) -> Tensor | None:
        """What is added to scores; None where the fused kernel needs nothing to be added."""
        device, (documents_BT, parents_BT) = hidden_BTD.device, lines
        autocast = torch.is_autocast_enabled(device.type)
        dtype = torch.get_autocast_dtype(device.type) if autocast else hidden_BTD.dtype
        if sight.cache is not None and sight.positions is not None:
            return fill_bias(sight.positions, keys=sight.keys, dtype=dtype, window=window)
        length = hidden_BTD.shape[1]
        if not sight.plain and documents_BT is None and (window is None or window >= length):
            return None
        seen = {"documents_BT": documents_BT, "parents_BT": parents_BT}
        return causal_bias(length, device=device, dtype=dtype, window=window, **seen)

    def is_plain(self, hidden_BTD: Tensor, cache: KeyValueCache | None, keys: int, dropout: Dropout) -> bool:
        """Which kernel computes attention; the fused one of the CPU knows no dropout."""
        return plain_wins(
            hidden_BTD.device.type,
            queries=hidden_BTD.shape[1],
            keys=keys,
            head_width=self.config.head_width,
            soft_cap=self.config.attention_soft_cap,
            fused_if_short=self.fused_if_short and cache is None and not dropout.attention,
        )

    def unembed(self, hidden_BTD: Tensor) -> Tensor:
        """Shapes: (…, D) to (…, V)."""
        if hasattr(self, "head"):
            logits_BTV: Tensor = self.head(hidden_BTD)
        else:
            logits_BTV = functional.linear(hidden_BTD, self.embedding.weight)
        cap = self.config.logit_soft_cap
        return logits_BTV if cap is None else torch.tanh(logits_BTV / cap) * cap

    def initialize(self, seed: int) -> None:
        """Draws all weights anew: normal with a deviation of 0.02, less for what adds to the residual stream.

        Source: Radford et al. 2019 (GPT-2), section 2.3: residual layers shrink by the root of their number.
        """
        generator = torch.Generator().manual_seed(seed)
        residual = INITIAL_DEVIATION / math.sqrt(2 * self.config.layers)
        with torch.no_grad():
            for name, weight in self.named_parameters():
                if weight.dim() < 2:
                    weight.fill_(0.0 if name.endswith("bias") else 1.0)
                    continue
                deviation = residual if name.endswith(("out.weight", "down.weight")) else INITIAL_DEVIATION
                weight.copy_(torch.empty(weight.shape).normal_(0.0, deviation, generator=generator))


class Block(nn.Module):
    """Attention, then a feed-forward layer, each added to the residual stream."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.attention_norm = RootMeanSquareNorm(config.width, epsilon=config.norm_epsilon)
        self.attention = Attention(config)
        self.feed_forward_norm = RootMeanSquareNorm(config.width, epsilon=config.norm_epsilon)
        self.feed_forward = FeedForward(config)
        self.post_norms = config.post_norms
        if config.post_norms:
            self.attention_post_norm = RootMeanSquareNorm(config.width, epsilon=config.norm_epsilon)
            self.feed_forward_post_norm = RootMeanSquareNorm(config.width, epsilon=config.norm_epsilon)

    def forward(self, hidden_BTD: Tensor, layer: int, sight: Sight) -> Tensor:
        added_BTD = self.attention(self.attention_norm(hidden_BTD), layer, sight)
        if self.post_norms:
            added_BTD = self.attention_post_norm(added_BTD.to(hidden_BTD.dtype))
        hidden_BTD = hidden_BTD + dropped(added_BTD, sight.dropout.residual)
        added_BTD = self.feed_forward(self.feed_forward_norm(hidden_BTD))
        if self.post_norms:
            added_BTD = self.feed_forward_post_norm(added_BTD.to(hidden_BTD.dtype))
        return hidden_BTD + dropped(added_BTD, sight.dropout.residual)


class Attention(nn.Module):
    """Each position gathers from those before it; several query heads share one key and value head."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.heads, self.key_value_heads = config.heads, config.key_value_heads
        self.head_width, self.scale = config.head_width, config.score_scale
        self.soft_cap, self.query_key_norm = config.attention_soft_cap, config.query_key_norm
        both = (config.heads + 2 * config.key_value_heads) * config.head_width
        self.qkv = nn.Linear(config.width, both, bias=config.qkv_bias)
        self.out = nn.Linear(config.heads * config.head_width, config.width, bias=config.out_bias)
        if config.query_key_norm:
            self.query_norm = RootMeanSquareNorm(config.head_width, epsilon=config.norm_epsilon)
            self.key_norm = RootMeanSquareNorm(config.head_width, epsilon=config.norm_epsilon)

    def forward(self, hidden_BTD: Tensor, layer: int, sight: Sight) -> Tensor:
        heads_BTXH = self.qkv(hidden_BTD).unflatten(-1, (-1, self.head_width))  # X = N + 2 M
        rotated, kept = self.heads + self.key_value_heads, self.key_value_heads
        turning_BTXH, value_BTMH = heads_BTXH.split((rotated, kept), dim=2)
        if self.query_key_norm:
            turning_BTXH = self.normed(turning_BTXH)
        query_BTNH, key_BTMH = rotate(turning_BTXH, sight.cosine, sight.sine).split((self.heads, kept), dim=2)
        if sight.cache is not None and sight.slots is not None:
            sight.cache.write(layer, sight.slots, keys_BTMH=key_BTMH, values_BTMH=value_BTMH)
            key_BTMH, value_BTMH = sight.cache.read(layer, sight.keys, dtype=query_BTNH.dtype)
        mixed_BTNH = attend(
            query_BTNH,
            key_BTMH,
            value_BTMH,
            bias=sight.bias,
            scale=self.scale,
            soft_cap=self.soft_cap,
            dropout=sight.dropout.attention,
            plain=sight.plain,
        )
        out_BTD: Tensor = self.out(mixed_BTNH.flatten(-2))
        return out_BTD

    def normed(self, turning_BTXH: Tensor) -> Tensor:
        """Queries and keys at a mean square of 1, computed in float32 at least. Source: Henry et al. 2020."""
        wide_BTXH = turning_BTXH.to(torch.promote_types(turning_BTXH.dtype, torch.float32))
        query_BTNH, key_BTMH = wide_BTXH.split((self.heads, self.key_value_heads), dim=2)
        both_BTXH = torch.cat((self.query_norm(query_BTNH), self.key_norm(key_BTMH)), dim=2)
        return both_BTXH.to(turning_BTXH.dtype)


class FeedForward(nn.Module):
    """An up projection, gated: SwiGLU, or GeGLU in Gemma (Shazeer 2020, arXiv 2002.05202)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.gelu = config.activation == "gelu_tanh"
        self.gate_up = nn.Linear(config.width, 2 * config.feed_forward_width, bias=config.feed_forward_bias)
        self.down = nn.Linear(config.feed_forward_width, config.width, bias=config.feed_forward_bias)

    def forward(self, hidden_BTD: Tensor) -> Tensor:
        gate_BTF, up_BTF = self.gate_up(hidden_BTD).chunk(2, dim=-1)
        opened_BTF = functional.gelu(gate_BTF, approximate="tanh") if self.gelu else functional.silu(gate_BTF)
        down_BTD: Tensor = self.down(opened_BTF * up_BTF)
        return down_BTD


def dropped(hidden: Tensor, share: float) -> Tensor:
    """Without the share of its numbers, the others larger for it. A share of 0 draws no random number."""
    return functional.dropout(hidden, share) if share else hidden

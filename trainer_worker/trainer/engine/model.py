"""A decoder-only transformer, from tokens to logits.

RMSNorm, rotary positions, SwiGLU and grouped-query attention, as in the Llama family. The projections of query, key and
value are one matrix, and so are gate and up: fewer, larger products are faster, and an export can split them.

Tensor names carry their shape:

    B rows   T new positions   S key positions   D width   N query heads   M key and value heads   H width of one head
    V vocabulary   F feed-forward width   X two axes merged, named where it is used
"""

import dataclasses
import json
import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainer_worker.trainer.engine.attention import attend, causal_bias, fill_bias
from trainer_worker.trainer.engine.key_value_cache import KeyValueCache
from trainer_worker.trainer.engine.norm import RootMeanSquareNorm

NORM_EPSILON = 1e-5
INITIAL_DEVIATION = 0.02


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """The shape of a decoder; what has to be known to rebuild it around stored weights."""

    layers: int
    width: int
    heads: int
    key_value_heads: int
    feed_forward_width: int
    context_length: int
    tied_head: bool
    rotary_base: float
    vocabulary_size: int

    def __post_init__(self) -> None:
        for name in ("layers", "width", "heads", "key_value_heads", "feed_forward_width", "context_length"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, must be at least 1")
        if self.width % self.heads or (self.width // self.heads) % 2:
            raise ValueError(f"width {self.width} does not give {self.heads} heads an even number each")
        if self.heads % self.key_value_heads:
            raise ValueError(f"key_value_heads {self.key_value_heads} does not divide heads {self.heads}")
        if self.vocabulary_size < 2 or self.rotary_base <= 0:
            raise ValueError(f"vocabulary_size {self.vocabulary_size} or rotary_base {self.rotary_base} is too small")

    @property
    def head_width(self) -> int:
        return self.width // self.heads

    @property
    def parameters(self) -> int:
        """Number of weights; the formula that forecasts use."""
        embeddings = self.vocabulary_size * self.width * (1 if self.tied_head else 2)
        key_value_width = self.key_value_heads * self.head_width
        attention = 2 * self.width * self.width + 2 * self.width * key_value_width
        layer = attention + 3 * self.width * self.feed_forward_width + 2 * self.width
        return embeddings + self.layers * layer + self.width

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=2, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "ModelConfig":
        """Raises: ValueError if a key is missing, unknown, or of another type than its field."""
        values = json.loads(text)
        return cls.from_values(values)

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> "ModelConfig":
        """Raises: ValueError if a key is missing, unknown, or of another type than its field."""
        fields = {field.name: field.type for field in dataclasses.fields(cls)}
        if not isinstance(values, dict) or set(values) != set(fields):
            raise ValueError(f"a model config holds exactly {sorted(fields)}, not {sorted(values)}")
        for name, kind in fields.items():
            accepted = (int, float) if kind is float else (kind,)
            if type(values[name]) not in accepted:
                raise ValueError(f"{name} of a model config is {values[name]!r}, not a {kind}")
        return cls(**values)


class Decoder(nn.Module):
    """Predicts, at every position, the token that comes next."""

    rotary_cosine: Tensor  # (T, H), as rotary_sine
    rotary_sine: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocabulary_size, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.final_norm = RootMeanSquareNorm(config.width, epsilon=NORM_EPSILON)
        if not config.tied_head:
            self.head = nn.Linear(config.width, config.vocabulary_size, bias=False)
        cosine_TH, sine_TH = rotary_tables(config)
        self.register_buffer("rotary_cosine", cosine_TH, persistent=False)
        self.register_buffer("rotary_sine", sine_TH, persistent=False)

    def forward(
        self, tokens_BT: Tensor, *, positions_BT: Tensor | None = None, cache: KeyValueCache | None = None
    ) -> Tensor:
        """Logits for the token after each given one.

        Without a cache, the tokens are whole sequences from position 0 (or from `positions_BT`, for their rotation; a
        token always sees those before it in its row). With a cache, each row goes on after its own length: keys and
        values are written, but lengths stay as they are until `cache.advance` says how many tokens of a row counted:
        so rows of different length may be padded at the end.

        Shapes: tokens (B, T) int64; positions (B, T) int64, default: T positions after the length of the row. Returns
        (B, T, V), bfloat16 under autocast, else float32.
        Raises: IndexError if a position reaches the context length or the capacity of the cache.
        """
        return self.unembed(self.hidden(tokens_BT, positions_BT=positions_BT, cache=cache))

    def hidden(
        self, tokens_BT: Tensor, *, positions_BT: Tensor | None = None, cache: KeyValueCache | None = None
    ) -> Tensor:
        """What `forward` unembeds, for those who need the logits of few positions. Returns (B, T, D)."""
        if cache is not None and positions_BT is None:
            positions_BT = cache.next_positions(tokens_BT.shape[1])
        hidden_BTD = self.embedding(tokens_BT)
        sight = self.sight(hidden_BTD, positions_BT, cache)
        for index, block in enumerate(self.blocks):
            hidden_BTD = block(hidden_BTD, index, sight)
        normed_BTD: Tensor = self.final_norm(hidden_BTD)
        return normed_BTD

    def sight(self, hidden_BTD: Tensor, positions_BT: Tensor | None, cache: KeyValueCache | None) -> "Sight":
        """What all layers share: how positions rotate, and which keys a query sees."""
        length = hidden_BTD.shape[1]
        last = length - 1 if positions_BT is None else int(positions_BT.max())
        if last >= self.config.context_length:
            raise IndexError(f"position {last} is beyond the context length {self.config.context_length}")
        rows: slice | Tensor = slice(length) if positions_BT is None else positions_BT
        cosine, sine = self.rotary_cosine[rows].unsqueeze(-2), self.rotary_sine[rows].unsqueeze(-2)
        if cache is None or positions_BT is None:
            keys, bias = last + 1, causal_bias(length, device=hidden_BTD.device)
        else:
            keys = cache.slots_read(last + 1)
            bias = fill_bias(positions_BT, keys=keys)
        return Sight(cosine=cosine, sine=sine, bias=bias, positions=positions_BT, keys=keys, cache=cache)

    def unembed(self, hidden_BTD: Tensor) -> Tensor:
        weight_VD = self.embedding.weight if self.config.tied_head else self.head.weight
        logits_BTV: Tensor = functional.linear(hidden_BTD, weight_VD)
        return logits_BTV

    def initialize(self, seed: int) -> None:
        """Draws all weights anew: normal with a deviation of 0.02, less for what adds to the residual stream.

        Source: Radford et al. 2019 (GPT-2), section 2.3: residual layers shrink by the root of their number.
        """
        generator = torch.Generator().manual_seed(seed)
        residual = INITIAL_DEVIATION / math.sqrt(2 * self.config.layers)
        with torch.no_grad():
            for name, weight in self.named_parameters():
                if weight.dim() < 2:
                    weight.fill_(1.0)
                    continue
                deviation = residual if name.endswith(("out.weight", "down.weight")) else INITIAL_DEVIATION
                weight.copy_(torch.empty(weight.shape).normal_(0.0, deviation, generator=generator))


@dataclasses.dataclass(frozen=True)
class Sight:
    """Made once a forward pass and handed to every layer."""

    cosine: Tensor
    sine: Tensor
    bias: Tensor
    positions: Tensor | None
    keys: int
    cache: KeyValueCache | None


class Block(nn.Module):
    """Attention, then a feed-forward layer, each added to the residual stream."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.attention_norm = RootMeanSquareNorm(config.width, epsilon=NORM_EPSILON)
        self.attention = Attention(config)
        self.feed_forward_norm = RootMeanSquareNorm(config.width, epsilon=NORM_EPSILON)
        self.feed_forward = FeedForward(config)

    def forward(self, hidden_BTD: Tensor, layer: int, sight: Sight) -> Tensor:
        hidden_BTD = hidden_BTD + self.attention(self.attention_norm(hidden_BTD), layer, sight)
        return hidden_BTD + self.feed_forward(self.feed_forward_norm(hidden_BTD))


class Attention(nn.Module):
    """Each position gathers from those before it; several query heads share one key and value head."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.heads, self.key_value_heads = config.heads, config.key_value_heads
        self.head_width = config.head_width
        both = (config.heads + 2 * config.key_value_heads) * config.head_width
        self.qkv = nn.Linear(config.width, both, bias=False)
        self.out = nn.Linear(config.width, config.width, bias=False)

    def forward(self, hidden_BTD: Tensor, layer: int, sight: Sight) -> Tensor:
        heads_BTXH = self.qkv(hidden_BTD).unflatten(-1, (-1, self.head_width))  # X = N + 2 M
        rotated, kept = self.heads + self.key_value_heads, self.key_value_heads
        turning_BTXH, value_BTMH = heads_BTXH.split((rotated, kept), dim=2)
        query_BTNH, key_BTMH = rotate(turning_BTXH, sight.cosine, sight.sine).split((self.heads, kept), dim=2)
        if sight.cache is not None and sight.positions is not None:
            sight.cache.write(layer, sight.positions, keys_BTMH=key_BTMH, values_BTMH=value_BTMH)
            key_BTMH, value_BTMH = sight.cache.read(layer, sight.keys, dtype=query_BTNH.dtype)
        mixed_BTNH = attend(query_BTNH, key_BTMH, value_BTMH, bias=sight.bias)
        out_BTD: Tensor = self.out(mixed_BTNH.flatten(-2))
        return out_BTD


class FeedForward(nn.Module):
    """SwiGLU (Shazeer 2020, arXiv 2002.05202): an up projection, gated."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.gate_up = nn.Linear(config.width, 2 * config.feed_forward_width, bias=False)
        self.down = nn.Linear(config.feed_forward_width, config.width, bias=False)

    def forward(self, hidden_BTD: Tensor) -> Tensor:
        gate_BTF, up_BTF = self.gate_up(hidden_BTD).chunk(2, dim=-1)
        down_BTD: Tensor = self.down(functional.silu(gate_BTF) * up_BTF)
        return down_BTD


def rotary_tables(config: ModelConfig) -> tuple[Tensor, Tensor]:
    """Cosine and sine of every position's angles, the two halves of a head alike, float32.

    Source: Su et al. 2021, arXiv 2104.09864, in the layout of Llama checkpoints: pairs are (i, i + H / 2).
    """
    exponents = torch.arange(0, config.head_width, 2, dtype=torch.float64) / config.head_width
    angles = torch.outer(torch.arange(config.context_length, dtype=torch.float64), config.rotary_base**-exponents)
    angles_TH = torch.cat((angles, angles), dim=-1)
    return angles_TH.cos().float(), angles_TH.sin().float()


def rotate(heads_BTXH: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Turns each pair of a head's numbers by its position's angle; computed and returned in the dtype of the heads."""
    first, second = heads_BTXH.chunk(2, dim=-1)
    turned_BTXH = torch.cat((-second, first), dim=-1)
    return heads_BTXH * cosine.to(heads_BTXH.dtype) + turned_BTXH * sine.to(heads_BTXH.dtype)

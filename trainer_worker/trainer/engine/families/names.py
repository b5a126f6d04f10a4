"""What weights are called in the files of Hugging Face, and of which of them ours are made.

Ours hold the projections of query, key and value as one matrix, and gate and up as one.
"""

import dataclasses
from collections.abc import Iterator

from trainer_worker.trainer.engine.model_config import ModelConfig


@dataclasses.dataclass(frozen=True)
class Part:
    """Some rows of one of our tensors, which are a tensor of their own there."""

    name: str
    rows: int


@dataclasses.dataclass(frozen=True)
class Weight:
    """One of our tensors, and the parts that lie one below the other in it."""

    name: str
    parts: tuple[Part, ...]
    is_norm: bool = False


def weights_of(shape: ModelConfig) -> Iterator[Weight]:
    """Every weight of a model, in the order of its layers."""
    yield Weight("embedding.weight", (Part("model.embed_tokens.weight", shape.vocabulary_size),))
    for layer in range(shape.layers):
        for weight in weights_of_block(shape):
            parts = tuple(Part(f"model.layers.{layer}.{part.name}", part.rows) for part in weight.parts)
            yield Weight(f"blocks.{layer}.{weight.name}", parts, is_norm=weight.is_norm)
    yield norm("final_norm", "model.norm", shape.width)
    if not shape.tied_head:
        yield Weight("head.weight", (Part("lm_head.weight", shape.vocabulary_size),))


def weights_of_block(shape: ModelConfig) -> Iterator[Weight]:
    width, feed_forward_width = shape.width, shape.feed_forward_width
    queries, keys = shape.heads * shape.head_width, shape.key_value_heads * shape.head_width
    qkv = (("q_proj", queries), ("k_proj", keys), ("v_proj", keys))
    gate_up = (("gate_proj", feed_forward_width), ("up_proj", feed_forward_width))
    yield from linear("attention.qkv", "self_attn", qkv, bias=shape.qkv_bias)
    yield from linear("attention.out", "self_attn", (("o_proj", width),), bias=shape.out_bias)
    yield from linear("feed_forward.gate_up", "mlp", gate_up, bias=shape.feed_forward_bias)
    yield from linear("feed_forward.down", "mlp", (("down_proj", width),), bias=shape.feed_forward_bias)
    if shape.query_key_norm:
        yield norm("attention.query_norm", "self_attn.q_norm", shape.head_width)
        yield norm("attention.key_norm", "self_attn.k_norm", shape.head_width)
    yield norm("attention_norm", "input_layernorm", width)
    if shape.post_norms:
        yield norm("attention_post_norm", "post_attention_layernorm", width)
        yield norm("feed_forward_norm", "pre_feedforward_layernorm", width)
        yield norm("feed_forward_post_norm", "post_feedforward_layernorm", width)
    else:
        yield norm("feed_forward_norm", "post_attention_layernorm", width)


def linear(ours: str, room: str, parts: tuple[tuple[str, int], ...], *, bias: bool) -> Iterator[Weight]:
    for kind in ("weight", "bias") if bias else ("weight",):
        yield Weight(f"{ours}.{kind}", tuple(Part(f"{room}.{name}.{kind}", rows) for name, rows in parts))


def norm(ours: str, theirs: str, rows: int) -> Weight:
    return Weight(f"{ours}.weight", (Part(f"{theirs}.weight", rows),), is_norm=True)

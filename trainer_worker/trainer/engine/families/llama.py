"""Llama, and Mistral, which is Llama with a window."""

from typing import Any

from trainer_worker.trainer.engine.families.settings import (
    Settings,
    own_head_width,
    plain_values,
    rotary_of,
    shape_of,
)
from trainer_worker.trainer.engine.model_config import ModelConfig

SILU = ("silu", "swish")


def read_llama(settings: Settings) -> ModelConfig:
    """Source: Grattafiori et al. 2024, arXiv 2407.21783, section 3.2."""
    settings.refuse("hidden_act", unless=SILU, why="and Llama's is silu")
    attention_bias = settings.flag("attention_bias")
    return shape_of(
        settings,
        tied_head=settings.flag("tie_word_embeddings"),
        own_head_width=own_head_width(settings),
        qkv_bias=attention_bias,
        out_bias=attention_bias,
        feed_forward_bias=settings.flag("mlp_bias"),
        **rotary_of(settings),
    )


def write_llama(shape: ModelConfig) -> dict[str, Any]:
    return plain_values(shape) | {
        "hidden_act": "silu",
        "attention_bias": shape.qkv_bias,
        "mlp_bias": shape.feed_forward_bias,
    }


def read_mistral(settings: Settings) -> ModelConfig:
    """Source: Jiang et al. 2023, arXiv 2310.06825, section 2."""
    settings.refuse("hidden_act", unless=SILU, why="and Mistral's is silu")
    window = settings.optional_whole("sliding_window")
    layers = settings.whole("num_hidden_layers")
    local = {} if window is None else {"sliding_window": window, "local_layers": tuple(range(layers))}
    return shape_of(
        settings,
        tied_head=settings.flag("tie_word_embeddings"),
        own_head_width=own_head_width(settings),
        **rotary_of(settings),
        **local,
    )


def write_mistral(shape: ModelConfig) -> dict[str, Any]:
    return plain_values(shape) | {"hidden_act": "silu", "sliding_window": shape.sliding_window}

"""Qwen2, with biases for queries, keys and values; Qwen3, with norms for queries and keys instead."""

from typing import Any

from trainer_worker.trainer.engine.families.settings import (
    Settings,
    layer_types,
    layers_with_window,
    own_head_width,
    plain_values,
    rotary_of,
    shape_of,
)
from trainer_worker.trainer.engine.model_config import ModelConfig

WINDOW, FIRST_LOCAL_LAYER = 4096, 28  # where config.json says nothing


def read_qwen2(settings: Settings) -> ModelConfig:
    """Source: Yang et al. 2024, arXiv 2407.10671, section 2.2."""
    return shape_of(settings, own_head_width=own_head_width(settings), qkv_bias=True, **shared_of(settings))


def read_qwen3(settings: Settings) -> ModelConfig:
    """Source: Yang et al. 2025, arXiv 2505.09388, section 2."""
    attention_bias = settings.flag("attention_bias")
    return shape_of(
        settings,
        own_head_width=own_head_width(settings, 128),
        query_key_norm=True,
        qkv_bias=attention_bias,
        out_bias=attention_bias,
        **shared_of(settings),
    )


def shared_of(settings: Settings) -> dict[str, Any]:
    settings.refuse("hidden_act", unless=("silu", "swish"), why="and Qwen's is silu")
    window = settings.optional_whole("sliding_window", WINDOW) if settings.flag("use_sliding_window") else None
    first = settings.whole("max_window_layers", FIRST_LOCAL_LAYER)
    local = [layer >= first for layer in range(settings.whole("num_hidden_layers"))]
    return {
        "tied_head": settings.flag("tie_word_embeddings"),
        **rotary_of(settings),
        **layers_with_window(settings, default=local, window=window),
    }


def write_qwen2(shape: ModelConfig) -> dict[str, Any]:
    return plain_values(shape) | window_values(shape)


def write_qwen3(shape: ModelConfig) -> dict[str, Any]:
    return plain_values(shape) | window_values(shape) | {"attention_bias": shape.qkv_bias}


def window_values(shape: ModelConfig) -> dict[str, Any]:
    return {
        "hidden_act": "silu",
        "use_sliding_window": bool(shape.local_layers),
        "sliding_window": shape.sliding_window,
        "max_window_layers": shape.local_layers[0] if shape.local_layers else shape.layers,
        "layer_types": layer_types(shape),
    }

"""Gemma, Gemma 2 and Gemma 3.

All scale the embedding by the root of the width, gate by GELU, and write the weights of norms less 1. Gemma 2 adds
norms after each layer, soft caps and local layers; Gemma 3 norms of queries and keys instead of the caps, and slower
angles in the layers that see everything.
"""

import math
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

HEAD_WIDTH, WINDOW, QUERY_SCALAR = 256, 4096, 256  # where config.json says nothing
GLOBAL_BASE, LOCAL_BASE = 1_000_000.0, 10_000.0
LOCAL_PATTERN = 6


def read_gemma(settings: Settings) -> ModelConfig:
    """Source: Gemma Team 2024, arXiv 2403.08295, section 2."""
    # Early files say `gelu` and mean the approximation with tanh; some say so in `hidden_activation` as well.
    settings.refuse("hidden_act", unless=("gelu_pytorch_tanh", "gelu"), why="and Gemma's is gelu_pytorch_tanh")
    return shape_of(settings, **shared_of(settings), **rotary_of(settings))


def read_gemma2(settings: Settings) -> ModelConfig:
    """Source: Gemma Team 2024, arXiv 2408.00118, section 2."""
    local = [bool((layer + 1) % 2) for layer in range(settings.whole("num_hidden_layers"))]
    return shape_of(
        settings,
        post_norms=True,
        attention_soft_cap=settings.optional_real("attn_logit_softcapping", 50.0),
        logit_soft_cap=settings.optional_real("final_logit_softcapping", 30.0),
        **shared_of(settings),
        **scale_of(settings),
        **rotary_of(settings),
        **layers_with_window(settings, default=local, window=settings.optional_whole("sliding_window", WINDOW)),
    )


def read_gemma3(settings: Settings) -> ModelConfig:
    """Source: Gemma Team 2025, arXiv 2503.19786, section 2."""
    pattern = max(settings.whole("sliding_window_pattern", LOCAL_PATTERN), 1)
    local = [bool((layer + 1) % pattern) for layer in range(settings.whole("num_hidden_layers"))]
    nearby = rotary_of(settings, base=LOCAL_BASE, layers="sliding_attention")["rotary_base"]
    if settings.part("rope_parameters") is None:
        nearby = settings.real("rope_local_base_freq", LOCAL_BASE)
    return shape_of(
        settings,
        post_norms=True,
        query_key_norm=True,
        attention_soft_cap=settings.optional_real("attn_logit_softcapping"),
        logit_soft_cap=settings.optional_real("final_logit_softcapping"),
        local_rotary_base=nearby,
        **shared_of(settings),
        **scale_of(settings),
        **rotary_of(settings, base=GLOBAL_BASE, layers="full_attention"),
        **layers_with_window(settings, default=local, window=settings.optional_whole("sliding_window", WINDOW)),
    )


def shared_of(settings: Settings) -> dict[str, Any]:
    settings.refuse("hidden_activation", unless=("gelu_pytorch_tanh",), why="and Gemma's is gelu_pytorch_tanh")
    attention_bias = settings.flag("attention_bias")
    return {
        "tied_head": settings.flag("tie_word_embeddings", True),
        "own_head_width": own_head_width(settings, HEAD_WIDTH),
        "activation": "gelu_tanh",
        "embedding_scale": math.sqrt(max(settings.whole("hidden_size"), 1)),
        "qkv_bias": attention_bias,
        "out_bias": attention_bias,
    }


def scale_of(settings: Settings) -> dict[str, Any]:
    scalar = settings.real("query_pre_attn_scalar", QUERY_SCALAR)
    same = scalar == settings.whole("head_dim", HEAD_WIDTH)
    return {"query_scale": None if same or scalar <= 0 else scalar**-0.5}


def write_gemma(shape: ModelConfig) -> dict[str, Any]:
    return plain_values(shape) | {
        "hidden_act": "gelu_pytorch_tanh",
        "hidden_activation": "gelu_pytorch_tanh",
        "attention_bias": shape.qkv_bias,
    }


def write_gemma2(shape: ModelConfig) -> dict[str, Any]:
    values = write_gemma(shape) | {
        "query_pre_attn_scalar": query_scalar(shape),
        "sliding_window": shape.sliding_window,
        "layer_types": layer_types(shape),
        "attn_logit_softcapping": shape.attention_soft_cap,
        "final_logit_softcapping": shape.logit_soft_cap,
    }
    del values["hidden_act"]
    return values


def write_gemma3(shape: ModelConfig) -> dict[str, Any]:
    values = write_gemma2(shape) | {"rope_local_base_freq": shape.local_rotary_base}
    if shape.local_rotary_base is None:
        values["rope_local_base_freq"] = shape.rotary_base
    return values


def query_scalar(shape: ModelConfig) -> int:
    """Whole, as the readers want it; what is none is caught by reading back."""
    return round(shape.score_scale**-2)

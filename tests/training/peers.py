"""The same small model in the libraries that ours is compared with."""

import dataclasses

import torch
import transformers
from torch import Tensor

from trainer_worker.trainer.engine.model import Decoder, ModelConfig

SMALL = ModelConfig(
    layers=2,
    width=32,
    heads=4,
    key_value_heads=2,
    feed_forward_width=48,
    context_length=32,
    tied_head=True,
    rotary_base=10000.0,
    vocabulary_size=61,
)


def small_decoder(*, seed: int = 1, **changes: object) -> Decoder:
    """A decoder whose weights are large enough for every part to matter."""
    model = Decoder(dataclasses.replace(SMALL, **changes))  # type: ignore[arg-type]
    model.initialize(seed)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(4.0 if weight.dim() > 1 else 1.0)
    return model


def some_tokens(*, rows: int = 3, length: int = 14, seed: int = 2) -> Tensor:
    return torch.randint(0, SMALL.vocabulary_size, (rows, length), generator=torch.Generator().manual_seed(seed))


def transformers_twin(model: Decoder) -> transformers.LlamaForCausalLM:
    """A Llama of `transformers` with the same weights, in float32."""
    config = model.config
    shape = transformers.LlamaConfig(
        vocab_size=config.vocabulary_size,
        hidden_size=config.width,
        intermediate_size=config.feed_forward_width,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        num_key_value_heads=config.key_value_heads,
        max_position_embeddings=config.context_length,
        tie_word_embeddings=config.tied_head,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": config.rotary_base},
    )
    twin = transformers.LlamaForCausalLM(shape).eval()
    weights = llama_weights(model)
    missing, unknown = twin.load_state_dict(weights, strict=False)
    assert set(missing) <= {"lm_head.weight"} and not unknown
    return twin


def llama_weights(model: Decoder) -> dict[str, Tensor]:
    config, weights = model.config, model.state_dict()
    query, key = config.heads * config.head_width, config.key_value_heads * config.head_width
    renamed = {
        "model.embed_tokens.weight": weights["embedding.weight"],
        "model.norm.weight": weights["final_norm.weight"],
    }
    if not config.tied_head:
        renamed["lm_head.weight"] = weights["head.weight"]
    for layer in range(config.layers):
        ours, theirs = f"blocks.{layer}", f"model.layers.{layer}"
        q, k, v = weights[f"{ours}.attention.qkv.weight"].split((query, key, key))
        gate, up = weights[f"{ours}.feed_forward.gate_up.weight"].chunk(2)
        parts = {"self_attn.q_proj": q, "self_attn.k_proj": k, "self_attn.v_proj": v, "mlp.gate_proj": gate}
        parts |= {"mlp.up_proj": up, "self_attn.o_proj": weights[f"{ours}.attention.out.weight"]}
        parts |= {"mlp.down_proj": weights[f"{ours}.feed_forward.down.weight"]}
        parts |= {"input_layernorm": weights[f"{ours}.attention_norm.weight"]}
        parts |= {"post_attention_layernorm": weights[f"{ours}.feed_forward_norm.weight"]}
        renamed |= {f"{theirs}.{name}.weight": tensor.contiguous() for name, tensor in parts.items()}
    return renamed

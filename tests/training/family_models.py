"""Small models of `transformers`, one of each kind that is read, with weights that make every part matter."""

import pathlib
from collections.abc import Generator
from typing import Any

import torch
from torch import Tensor

from trainer_worker.trainer.engine.families.reading import Found, read_folder
from trainer_worker.trainer.engine.families.tokenizer_folder import write_tokenizer
from trainer_worker.trainer.engine.tokenizers import ByteTokenizer

SMALL = {
    "vocab_size": 260,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "eos_token_id": 256,
    "bos_token_id": None,
    "pad_token_id": None,
    "attn_implementation": "eager",
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 5000.0,
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
LINEAR = {"rope_type": "linear", "factor": 2.0, "rope_theta": 1000.0}
LOCAL = {"sliding_window": 5}
# Architecture, and what is special about one of its kind.
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("LlamaForCausalLM", {}),
    "llama with biases": ("LlamaForCausalLM", {"attention_bias": True, "mlp_bias": True}),
    "llama tied": ("LlamaForCausalLM", {"tie_word_embeddings": True}),
    "llama 3": ("LlamaForCausalLM", {"rope_parameters": LLAMA3, "rms_norm_eps": 1e-5}),
    "llama of linear scaling": ("LlamaForCausalLM", {"rope_parameters": LINEAR}),
    "llama of wide heads": ("LlamaForCausalLM", {"head_dim": 16}),
    "mistral": ("MistralForCausalLM", {"sliding_window": 5, "head_dim": 12}),
    "mistral without a window": ("MistralForCausalLM", {"sliding_window": None}),
    "qwen 2": ("Qwen2ForCausalLM", {"tie_word_embeddings": True}),
    "qwen 2 with a window": ("Qwen2ForCausalLM", LOCAL | {"use_sliding_window": True, "max_window_layers": 1}),
    "qwen 3": ("Qwen3ForCausalLM", {"head_dim": 16}),
    "qwen 3 with biases": ("Qwen3ForCausalLM", {"head_dim": 8, "attention_bias": True}),
    "gemma": ("GemmaForCausalLM", {"head_dim": 16}),
    "gemma 2": ("Gemma2ForCausalLM", LOCAL | {"head_dim": 16, "query_pre_attn_scalar": 24}),
    "gemma 2 with small caps": (
        "Gemma2ForCausalLM",
        LOCAL
        | {"head_dim": 8, "query_pre_attn_scalar": 8, "attn_logit_softcapping": 0.5, "final_logit_softcapping": 1.5},
    ),
    "gemma 3": ("Gemma3ForCausalLM", LOCAL | {"head_dim": 16, "query_pre_attn_scalar": 16, "num_hidden_layers": 7}),
    "gemma 3 of linear scaling": (
        "Gemma3ForCausalLM",
        LOCAL
        | {
            "head_dim": 8,
            "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
            "rope_parameters": {
                "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 9000.0},
                "sliding_attention": {"rope_type": "default", "rope_theta": 300.0},
            },
        },
    ),
}


def peer(kind: str) -> Any:
    """A model of `transformers` whose weights are large enough for every part to matter."""
    import transformers  # a witness: whoever asks for it has skipped the test where it is not installed

    architecture, special = KINDS[kind]
    cls = getattr(transformers, architecture)
    torch.manual_seed(5)
    model = cls(cls.config_class(**SMALL | special)).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            spread = 0.3 if weight.dim() > 1 else 0.2
            weight.add_(spread * torch.randn(weight.shape)) if "norm" in name else weight.normal_(0, spread)
    return model


def tokens(rows: int = 2, length: int = 24) -> Tensor:
    return torch.randint(0, 257, (rows, length), generator=torch.Generator().manual_seed(1))


def peers_folder(model: Any, folder: pathlib.Path, **saving: Any) -> pathlib.Path:
    model.save_pretrained(folder, **saving)
    write_tokenizer(folder, ByteTokenizer(), context_length=64)
    return folder


def result_of(work: Generator[None, None, Found]) -> Found:
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value


def read(folder: pathlib.Path) -> Found:
    found = result_of(read_folder(folder))
    found.stored.model.eval()
    return found


@torch.no_grad()
def logits_of(model: Any, batch_BT: Tensor, **fields: Any) -> Tensor:
    found = model(batch_BT, **fields)
    return found if isinstance(found, Tensor) else found.logits

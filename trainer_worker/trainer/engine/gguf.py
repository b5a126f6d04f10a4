"""A model as one GGUF file, for llama.cpp: its tensors, its numbers and its tokenizer.

What llama.cpp would compute otherwise is not written but refused, with the reason.
"""

import dataclasses
import pathlib

import gguf
import numpy as np
import torch
from torch import Tensor

from trainer_worker.trainer.engine.errors import UnusableData
from trainer_worker.trainer.engine.families.family import family_of
from trainer_worker.trainer.engine.families.writing import their_weights
from trainer_worker.trainer.engine.gguf_tokenizer import Vocabulary, vocabulary_of
from trainer_worker.trainer.engine.model import ModelConfig
from trainer_worker.trainer.engine.rotary import scaled
from trainer_worker.trainer.engine.stored_model import StoredModel
from trainer_worker.trainer.engine.tokenizers import Tokenizer

FLOAT16_MAX = 65504.0
ARCHITECTURES = {
    "llama": gguf.MODEL_ARCH.LLAMA,
    "mistral": gguf.MODEL_ARCH.LLAMA,
    "qwen2": gguf.MODEL_ARCH.QWEN2,
    "qwen3": gguf.MODEL_ARCH.QWEN3,
    "gemma": gguf.MODEL_ARCH.GEMMA,
    "gemma2": gguf.MODEL_ARCH.GEMMA2,
    "gemma3_text": gguf.MODEL_ARCH.GEMMA3,
}
# In llama.cpp every so many layers sees everything, and the others the nearest keys only.
GLOBAL_EVERY = {gguf.MODEL_ARCH.GEMMA2: 2, gguf.MODEL_ARCH.GEMMA3: 6}
# It tells these from the number of layers, and scales their queries by width and heads.
LAYERS_OF_27B = {gguf.MODEL_ARCH.GEMMA2: 46, gguf.MODEL_ARCH.GEMMA3: 62}


@dataclasses.dataclass(frozen=True)
class Written:
    """What a file was written as; `matrices` is their precision."""

    architecture: str
    matrices: str


def write_gguf(path: pathlib.Path, stored: StoredModel, *, name: str) -> Written:
    """Writes the file. Matrices are float16 unless a number is too large for it, and all else is float32.

    Raises: UnusableData if llama.cpp cannot compute what the model computes, or makes other tokens.
    """
    shape, tokenizer = without_idle_window(stored.model.config), stored.tokenizer
    architecture = architecture_of(shape)
    vocabulary = vocabulary_of(tokenizer, size=shape.vocabulary_size)
    matrices = matrix_type(stored)
    writer = gguf.GGUFWriter(path, gguf.MODEL_ARCH_NAMES[architecture])
    try:
        writer.add_name(name)
        half = matrices == np.float16
        writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16 if half else gguf.LlamaFileType.ALL_F32)
        add_shape(writer, shape, architecture)
        add_tokenizer(writer, tokenizer, vocabulary)
        add_tensors(writer, stored, shape, architecture, matrices=matrices)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()
    return Written(architecture=gguf.MODEL_ARCH_NAMES[architecture], matrices=matrices.__name__)


def without_idle_window(shape: ModelConfig) -> ModelConfig:
    """A window as long as the context hides nothing: without it, the model is a plainer one."""
    idle = shape.sliding_window is not None and shape.sliding_window >= shape.context_length
    if idle and shape.local_rotary_base is None and not shape.post_norms:
        return dataclasses.replace(shape, sliding_window=None, local_layers=())
    return shape


def architecture_of(shape: ModelConfig) -> gguf.MODEL_ARCH:
    """What llama.cpp calls the kind of model. Raises: UnusableData if it has none that computes the same."""
    architecture = ARCHITECTURES[family_of(shape).model_type]
    if reason := reason_against(shape, architecture):
        raise UnusableData(f"llama.cpp cannot compute this model: {reason}")
    return architecture


def reason_against(shape: ModelConfig, architecture: gguf.MODEL_ARCH) -> str | None:
    """Why the result would be another one. Source: llama.cpp, src/models/*.cpp and src/llama-model.cpp."""
    kind, every = gguf.MODEL_ARCH_NAMES[architecture], GLOBAL_EVERY.get(architecture)
    plain = architecture == gguf.MODEL_ARCH.LLAMA
    expected = tuple(layer for layer in range(shape.layers) if every and (layer + 1) % every)
    if shape.local_layers != expected:
        return f"its models of the kind {kind} have no window of {shape.sliding_window} tokens in these layers"
    if not plain and (shape.out_bias or shape.feed_forward_bias):
        return f"models of the kind {kind} have no bias there"
    if shape.rotary_scaling is not None and shape.rotary_scaling.kind == "llama3" and not plain:
        return f"models of the kind {kind} do not scale their positions as Llama 3 does"
    if architecture == gguf.MODEL_ARCH.QWEN2 and shape.heads * shape.head_width != shape.width:
        return "the heads of a qwen2 are as wide together as the model"
    if not shape.tied_head and architecture in (gguf.MODEL_ARCH.GEMMA, gguf.MODEL_ARCH.GEMMA2):
        return f"models of the kind {kind} share the weights of embedding and head"
    if shape.attention_soft_cap is not None and architecture == gguf.MODEL_ARCH.GEMMA3:
        return "a gemma3 has no soft cap of its scores"
    if architecture == gguf.MODEL_ARCH.GEMMA2 and None in (shape.attention_soft_cap, shape.logit_soft_cap):
        return "a gemma2 has soft caps"
    huge = shape.layers == LAYERS_OF_27B.get(architecture)
    scale = (shape.width // shape.heads if huge else shape.head_width) ** -0.5
    return None if abs(shape.score_scale - scale) < 1e-9 else f"it scales the queries of a {kind} by {scale:.6g}"


def matrix_type(stored: StoredModel) -> type[np.floating]:
    """float16, unless a number is too large for it."""
    largest = max(float(weight.detach().abs().max()) for weight in stored.model.parameters() if weight.dim() > 1)
    return np.float16 if largest <= FLOAT16_MAX else np.float32


def add_shape(writer: gguf.GGUFWriter, shape: ModelConfig, architecture: gguf.MODEL_ARCH) -> None:
    writer.add_vocab_size(shape.vocabulary_size)
    writer.add_context_length(shape.context_length)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.feed_forward_width)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.key_value_heads)
    writer.add_key_length(shape.head_width)
    writer.add_value_length(shape.head_width)
    writer.add_layer_norm_rms_eps(shape.norm_epsilon)
    writer.add_rope_dimension_count(shape.head_width)
    writer.add_rope_freq_base(shape.rotary_base)
    if shape.rotary_scaling is not None and shape.rotary_scaling.kind == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(shape.rotary_scaling.factor)
    if shape.sliding_window is not None and architecture in GLOBAL_EVERY:
        writer.add_sliding_window(shape.sliding_window)
    if shape.local_rotary_base is not None:
        writer.add_rope_freq_base_swa(shape.local_rotary_base)
    if shape.attention_soft_cap is not None:
        writer.add_attn_logit_softcapping(shape.attention_soft_cap)
    if shape.logit_soft_cap is not None:
        writer.add_final_logit_softcapping(shape.logit_soft_cap)


def add_tokenizer(writer: gguf.GGUFWriter, tokenizer: Tokenizer, vocabulary: Vocabulary) -> None:
    writer.add_tokenizer_model(vocabulary.model)
    writer.add_tokenizer_pre(vocabulary.rule)
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.types)
    if vocabulary.merges is not None:
        writer.add_token_merges(vocabulary.merges)
    if vocabulary.scores is not None:
        writer.add_token_scores(vocabulary.scores)
        writer.add_add_space_prefix(vocabulary.space_before)
    writer.add_eos_token_id(tokenizer.end_of_text)
    # Where a text has no beginning of its own, the token is named all the same: readers want one.
    writer.add_bos_token_id(next(iter(tokenizer.beginning), tokenizer.end_of_text))
    writer.add_add_bos_token(bool(tokenizer.beginning))
    writer.add_add_eos_token(False)
    if tokenizer.chat_template is not None:
        writer.add_chat_template(tokenizer.chat_template)


def add_tensors(
    writer: gguf.GGUFWriter,
    stored: StoredModel,
    shape: ModelConfig,
    architecture: gguf.MODEL_ARCH,
    *,
    matrices: type[np.floating],
) -> None:
    """The weights under their names there. Norms are used as they are, for llama.cpp adds nothing to them."""
    names = gguf.get_tensor_name_map(architecture, shape.layers)
    for theirs, tensor in their_weights(stored, norm_offset=0.0).items():
        if architecture == gguf.MODEL_ARCH.LLAMA and ("q_proj" in theirs or "k_proj" in theirs):
            tensor = neighbouring_pairs(tensor, head_width=shape.head_width)
        name = names.get_name(theirs, try_suffixes=(".weight", ".bias"))
        assert name is not None, f"the library has a name for {theirs}"
        kind = matrices if tensor.dim() > 1 else np.float32
        writer.add_tensor(name, np.ascontiguousarray(tensor.detach().numpy().astype(kind)))
    if (scaling := shape.rotary_scaling) is not None and scaling.kind == "llama3":
        frequencies = shape.rotary_base ** -(
            torch.arange(0, shape.head_width, 2, dtype=torch.float64) / shape.head_width
        )
        writer.add_tensor("rope_freqs.weight", (frequencies / scaled(frequencies, scaling)).float().numpy())


def neighbouring_pairs(tensor: Tensor, *, head_width: int) -> Tensor:
    """The rows of each head so that the two numbers of a rotated pair stand side by side, as llama.cpp has Llama's."""
    halves = tensor.unflatten(0, (-1, 2, head_width // 2))
    return halves.transpose(1, 2).flatten(0, 2)

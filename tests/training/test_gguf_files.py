"""What llama.cpp cannot compute is not written as a GGUF file; and what a file holds."""

import pathlib
from typing import Any

import gguf
import numpy as np
import pytest
import tokenizers
import torch
from tokenizers import models, pre_tokenizers

from tests.training.small_models import byte_level, decoder
from trainer_worker.trainer.engine.errors import UnusableData
from trainer_worker.trainer.engine.families.family import FAMILIES
from trainer_worker.trainer.engine.families.settings import Settings
from trainer_worker.trainer.engine.gguf import architecture_of, without_idle_window, write_gguf
from trainer_worker.trainer.engine.model import ModelConfig
from trainer_worker.trainer.engine.stored_model import StoredModel
from trainer_worker.trainer.engine.tokenizers import ByteTokenizer, FileTokenizer


def shape_named(model_type: str, **values: Any) -> ModelConfig:
    [family] = [family for family in FAMILIES if family.model_type == model_type]
    sizes = {"num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 48}
    return family.read(Settings(sizes | {"vocab_size": 257, "max_position_embeddings": 64} | values))


REFUSED: dict[str, tuple[ModelConfig, str]] = {
    "mistral with a window": (shape_named("mistral", sliding_window=5), "no window of 5 tokens"),
    "qwen 3 with biases": (shape_named("qwen3", attention_bias=True), "have no bias there"),
    "qwen 2 of wide heads": (shape_named("qwen2", head_dim=16), "as wide together as the model"),
    "gemma of two embeddings": (shape_named("gemma", tie_word_embeddings=False), "share the weights of embedding"),
    "gemma 2 of another scale": (
        shape_named("gemma2", query_pre_attn_scalar=24),
        "it scales the queries of a gemma2 by",
    ),
    "gemma 2 without caps": (shape_named("gemma2", attn_logit_softcapping=None), "a gemma2 has soft caps"),
    "gemma 3 in another order": (
        shape_named("gemma3_text", layer_types=["full_attention", "sliding_attention"]),
        "no window of 4096 tokens in these layers",
    ),
    "gemma 3 with caps": (shape_named("gemma3_text", attn_logit_softcapping=9.0), "no soft cap of its scores"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_it_would_compute_otherwise_is_refused_with_the_reason(name: str) -> None:
    shape, reason = REFUSED[name]
    with pytest.raises(UnusableData, match=f"llama.cpp cannot compute this model: .*{reason}"):
        architecture_of(shape)


def test_a_window_that_hides_nothing_is_no_obstacle() -> None:
    shape = without_idle_window(shape_named("mistral", sliding_window=64))
    assert architecture_of(shape) == gguf.MODEL_ARCH.LLAMA


def test_tokenizers_that_it_does_not_know_are_refused(tmp_path: pathlib.Path) -> None:
    unigram = tokenizers.Tokenizer(models.Unigram([("</s>", 0.0), ("a", -1.0)], unk_id=0))
    unigram.add_special_tokens(["</s>"])
    strange = byte_level(pre_tokenizers.Punctuation())
    strange.add_special_tokens(["</s>"])
    for inner, reason in ((unigram, "of the kind Unigram"), (strange, "divides text into words")):
        tokenizer = FileTokenizer(inner, end_of_text=inner.token_to_id("</s>"))
        stored = StoredModel(decoder(vocabulary_size=tokenizer.vocabulary_size), tokenizer)
        with pytest.raises(UnusableData, match=reason):
            write_gguf(tmp_path / "model.gguf", stored, name="m")
        assert not (tmp_path / "model.gguf").exists()


def test_matrices_with_a_number_beyond_float16_stay_float32(tmp_path: pathlib.Path) -> None:
    model = decoder()
    with torch.no_grad():
        model.blocks[0].feed_forward.down.weight[0, 0] = 70_000.0
    assert write_gguf(tmp_path / "model.gguf", StoredModel(model, ByteTokenizer()), name="m").matrices == "float32"


def test_a_file_holds_every_weight_and_the_tokens(tmp_path: pathlib.Path) -> None:
    model = decoder(tied_head=False, vocabulary_size=260)
    write_gguf(tmp_path / "model.gguf", StoredModel(model, ByteTokenizer()), name="plays")
    reader = gguf.GGUFReader(tmp_path / "model.gguf")
    assert sum(int(tensor.n_elements) for tensor in reader.tensors) == model.config.parameters
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    assert tensors["blk.1.ffn_down.weight"].tensor_type == gguf.GGMLQuantizationType.F16
    assert tensors["blk.1.ffn_norm.weight"].tensor_type == gguf.GGMLQuantizationType.F32
    down = model.blocks[1].feed_forward.down.weight.detach().half().numpy()
    np.testing.assert_array_equal(tensors["blk.1.ffn_down.weight"].data, down)
    fields = {name: field.contents() for name, field in reader.fields.items()}
    assert fields["general.architecture"] == "llama" and fields["general.name"] == "plays"
    assert len(fields["tokenizer.ggml.tokens"]) == 260 and fields["tokenizer.ggml.eos_token_id"] == 256
    assert fields["tokenizer.ggml.tokens"][256:] == ["<|endoftext|>", "[PAD257]", "[PAD258]", "[PAD259]"]

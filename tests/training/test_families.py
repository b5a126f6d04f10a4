"""Models of four families come in and go out with the logits of `transformers`."""

import dataclasses
import json
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from tests.training.family_models import KINDS, LLAMA3, SMALL, logits_of, peer, peers_folder, read, tokens
from trainer_worker.trainer.engine.errors import UnusableData
from trainer_worker.trainer.engine.families.family import FAMILIES, Family, family_named, family_of
from trainer_worker.trainer.engine.families.settings import Settings
from trainer_worker.trainer.engine.families.writing import write_folder
from trainer_worker.trainer.engine.key_value_cache import KeyValueCache
from trainer_worker.trainer.engine.model import Decoder, ModelConfig
from trainer_worker.trainer.engine.stored_model import StoredModel, load_model, save_model
from trainer_worker.trainer.engine.tokenizers import BytePairTokenizer, ByteTokenizer

transformers = pytest.importorskip("transformers")


@pytest.mark.parametrize("kind", KINDS)
def test_an_imported_model_has_the_logits_of_the_library(kind: str, tmp_path: pathlib.Path) -> None:
    model = peer(kind)
    found = read(peers_folder(model, tmp_path))
    expected_BTV = logits_of(model, tokens())
    assert expected_BTV.std() > 0.1
    torch.testing.assert_close(logits_of(found.stored.model, tokens()), expected_BTV, rtol=1e-4, atol=2e-5)
    assert found.stored.model.config.parameters == sum(weight.numel() for weight in model.parameters())
    assert found.stored.tokenizer.end_of_text == 256


@pytest.mark.parametrize("kind", KINDS)
def test_an_exported_model_is_loaded_by_the_library_with_equal_logits(kind: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "in").mkdir(), (tmp_path / "out").mkdir()
    found = read(peers_folder(peer(kind), tmp_path / "in"))
    write_folder(tmp_path / "out", found.stored)
    loaded, told = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path / "out", output_loading_info=True, attn_implementation="eager"
    )
    assert not told["missing_keys"] and not told["unexpected_keys"] and not told["mismatched_keys"]
    expected_BTV = logits_of(found.stored.model, tokens())
    torch.testing.assert_close(logits_of(loaded.eval(), tokens()), expected_BTV, rtol=1e-4, atol=2e-5)
    again = read(tmp_path / "out").stored.model
    assert again.config == found.stored.model.config
    torch.testing.assert_close(logits_of(again, tokens()), expected_BTV, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_cache_gives_the_logits_of_the_library_for_the_whole_row(kind: str, tmp_path: pathlib.Path) -> None:
    model, batch_BT = peer(kind), tokens()
    ours = read(peers_folder(model, tmp_path)).stored.model
    shape = ours.config
    cache = KeyValueCache(
        layers=shape.layers, rows=2, capacity=64, key_value_heads=shape.key_value_heads, head_width=shape.head_width
    )
    parts = []
    for begin, end in ((0, 7), (7, 8), (8, 9), (9, 24)):
        parts.append(logits_of(ours, batch_BT[:, begin:end], cache=cache))
        cache.advance(end - begin)
    torch.testing.assert_close(torch.cat(parts, dim=1), logits_of(model, batch_BT), rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("kind", ["llama", "mistral", "qwen 3", "gemma 2", "gemma 3"])
def test_documents_in_a_row_have_the_logits_of_the_library_for_each_alone(kind: str, tmp_path: pathlib.Path) -> None:
    model, batch_BT = peer(kind), tokens()
    ours = read(peers_folder(model, tmp_path)).stored.model
    documents_BT = torch.tensor([[0] * 10 + [1] * 14, [0] * 3 + [1] * 9 + [2] * 12])
    positions_BT = torch.tensor([[*range(10), *range(14)], [*range(3), *range(9), *range(12)]])
    packed_BTV = logits_of(ours, batch_BT, positions_BT=positions_BT, documents_BT=documents_BT)
    for row, begin, end in ((0, 0, 10), (0, 10, 24), (1, 0, 3), (1, 3, 12), (1, 12, 24)):
        alone_1TV = logits_of(model, batch_BT[row : row + 1, begin:end])
        torch.testing.assert_close(packed_BTV[row, begin:end], alone_1TV[0], rtol=1e-4, atol=2e-5)


def test_what_is_stored_in_between_is_the_same_model(tmp_path: pathlib.Path) -> None:
    (tmp_path / "in").mkdir(), (tmp_path / "stored").mkdir()
    found = read(peers_folder(peer("gemma 3"), tmp_path / "in"))
    save_model(tmp_path / "stored", found.stored.model, found.stored.tokenizer)
    stored = load_model(tmp_path / "stored")
    assert stored.model.config == found.stored.model.config
    assert stored.tokenizer.identity() == found.stored.tokenizer.identity()
    assert torch.equal(logits_of(stored.model.eval(), tokens()), logits_of(found.stored.model, tokens()))


@pytest.mark.parametrize("saving", [{"max_shard_size": "20KB"}, {}])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_shards_and_half_precision_become_float32(
    tmp_path: pathlib.Path, saving: dict[str, str], dtype: torch.dtype
) -> None:
    model = peer("llama").to(dtype)
    ours = read(peers_folder(model, tmp_path, **saving)).stored.model
    assert len(list(tmp_path.glob("*.safetensors"))) > 1 or not saving
    assert {weight.dtype for weight in ours.parameters()} == {torch.float32}
    expected_BTV = logits_of(type(model).from_pretrained(tmp_path, dtype=torch.float32), tokens())
    torch.testing.assert_close(logits_of(ours, tokens()), expected_BTV, rtol=1e-4, atol=2e-5)


def pretrained(**changes: Any) -> Decoder:
    """As the recipe makes one."""
    shape = ModelConfig(2, 32, 4, 2, 48, 64, True, 10000.0, 257)
    model = Decoder(dataclasses.replace(shape, **changes)).eval()
    model.initialize(seed=3)
    return model


def bpe() -> BytePairTokenizer:
    import numpy as np

    text = pathlib.Path(json.__file__).with_name("decoder.py").read_bytes()
    return BytePairTokenizer.train(np.frombuffer(text, np.uint8), vocabulary_size=400)


@pytest.mark.parametrize("tied", [True, False])
def test_a_model_that_was_trained_here_is_exported_as_llama_with_its_tokenizer(
    tmp_path: pathlib.Path, tied: bool
) -> None:
    for tokenizer in (ByteTokenizer(), bpe()):
        model = pretrained(tied_head=tied, vocabulary_size=tokenizer.vocabulary_size)
        folder = tmp_path / tokenizer.kind
        folder.mkdir()
        assert write_folder(folder, StoredModel(model, tokenizer)).architecture == "LlamaForCausalLM"
        loaded = transformers.AutoModelForCausalLM.from_pretrained(folder)
        theirs = transformers.AutoTokenizer.from_pretrained(folder)
        torch.testing.assert_close(logits_of(loaded, tokens()), logits_of(model, tokens()), rtol=1e-4, atol=1e-5)
        for text in ("def decode(self, s):\n\treturn  'naïve 🦆'", " x", ""):
            assert theirs(text)["input_ids"] == tokenizer.encode(text)
            assert theirs.decode(tokenizer.encode(text)) == text
        assert theirs.eos_token_id == loaded.config.eos_token_id == tokenizer.end_of_text


def test_a_shape_that_no_family_has_is_not_exported() -> None:
    with pytest.raises(UnusableData, match="No family"):
        family_of(dataclasses.replace(pretrained().config, query_key_norm=True, logit_soft_cap=3.0))


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.model_type)
def test_a_family_is_known_by_its_architecture_or_where_there_is_none_by_its_type(family: Family) -> None:
    both = {"architectures": [family.architecture], "model_type": family.model_type}
    for values in (both, {"architectures": both["architectures"]}, {"model_type": family.model_type}):
        assert family_named(Settings(values)) is family


def settings_of_old_files() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """What files of earlier versions of the library say, and what that means."""
    llama = SMALL | {"architectures": ["LlamaForCausalLM"]}
    scaling = {"type": "llama3"} | {name: value for name, value in LLAMA3.items() if not name.startswith("rope")}
    yield "rope_theta", llama | {"rope_theta": 77.0}, {"rotary_base": 77.0}
    yield "rope_scaling", llama | {"rope_theta": 5.0, "rope_scaling": scaling}, {"rotary_base": 5.0}
    gemma3 = SMALL | {"architectures": ["Gemma3ForCausalLM"], "rope_theta": 9.0, "rope_local_base_freq": 8.0}
    expected = {"rotary_base": 9.0, "local_rotary_base": 8.0, "local_layers": (0, 2), "own_head_width": 256}
    yield "gemma 3", gemma3 | {"sliding_window_pattern": 2}, expected
    yield "no heads for keys", llama | {"num_key_value_heads": None}, {"key_value_heads": 4}
    yield "long context", llama | {"max_position_embeddings": 131_072}, {"context_length": 32_768}


@pytest.mark.parametrize(("name", "values", "expected"), list(settings_of_old_files()))
def test_configs_of_earlier_versions_are_understood(
    name: str, values: dict[str, Any], expected: dict[str, Any]
) -> None:
    [family] = [family for family in FAMILIES if [family.architecture] == values["architectures"]]
    shape = family.read(Settings(values))
    assert {key: getattr(shape, key) for key in expected} == expected


LARGE = {
    # name: settings, number of weights as published
    "Llama 3.2 1B": (
        {"vocab_size": 128256, "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16}
        | {"num_attention_heads": 32, "num_key_value_heads": 8, "tie_word_embeddings": True},
        1_235_814_400,
    ),
    "Llama 3.1 8B": (
        {"vocab_size": 128256, "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32}
        | {"num_attention_heads": 32, "num_key_value_heads": 8, "tie_word_embeddings": False},
        8_030_261_248,
    ),
}


@pytest.mark.parametrize("name", LARGE)
def test_large_shapes_are_built_without_memory_and_have_the_published_number_of_weights(name: str) -> None:
    values, parameters = LARGE[name]
    [llama] = [family for family in FAMILIES if family.model_type == "llama"]
    shape = llama.read(Settings(values | {"max_position_embeddings": 131_072}))
    with torch.device("meta"):
        model = Decoder(shape)
    assert sum(weight.numel() for weight in model.parameters()) == shape.parameters == parameters

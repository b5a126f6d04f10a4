"""What is wrong with a folder of Hugging Face is named, and nothing of it is used."""

import json
import pathlib
from collections.abc import Callable
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.training.family_models import peer, peers_folder, read
from trainer_worker.trainer.engine.errors import UnusableData

pytest.importorskip("transformers")

Damage = Callable[[pathlib.Path], object]


def config(**changes: Any) -> Damage:
    def damage(folder: pathlib.Path) -> None:
        path = folder / "config.json"
        values = json.loads(path.read_text()) | changes
        path.write_text(json.dumps({name: value for name, value in values.items() if value is not ...}))

    return damage


def weights(change: Callable[[dict[str, Tensor]], object]) -> Damage:
    def damage(folder: pathlib.Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        change(tensors)
        save_file(tensors, folder / "model.safetensors")

    return damage


def spoil(tensors: dict[str, Tensor], *names: str) -> None:
    for name in names:
        tensors[name].view(-1)[-1] = float("nan")


Q, K, UP = (f"model.layers.1.{name}.weight" for name in ("self_attn.q_proj", "self_attn.k_proj", "mlp.up_proj"))
DAMAGES: dict[str, tuple[Damage, str]] = {
    "tensors missing": (weights(lambda w: [w.pop(K), w.pop(Q)]), f"tensors are missing: {K}, {Q}"),
    "tensor extra": (weights(lambda w: w.update(surprise=torch.zeros(1))), "tensors are unknown: surprise"),
    "tensors of a wrong shape": (
        weights(lambda w: w.update({Q: torch.zeros(32, 8), UP: torch.zeros(3)})),
        rf"{UP} is \(3,\), not \(48, 32\); {Q} is \(32, 8\), not \(32, 32\)",
    ),
    "tensors that are no numbers": (
        weights(lambda w: spoil(w, K, UP)),
        f"{K} holds a number that is not finite; {UP} holds",
    ),
    "tensor of whole numbers": (weights(lambda w: w.update({Q: torch.zeros(32, 32).int()})), f"{Q} is I32"),
    "head that is not the embedding": (
        lambda folder: config(tie_word_embeddings=True)(folder),
        "lm_head.weight is not model.embed_tokens.weight",
    ),
    "weights cut short": (
        lambda folder: (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-100]),
        "model.safetensors cannot be read",
    ),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "neither model.safetensors nor"),
    "no config": (lambda folder: (folder / "config.json").unlink(), "no config.json"),
    "config that is no JSON": (lambda folder: (folder / "config.json").write_text("{"), "config.json cannot be read"),
    "config that is a list": (lambda folder: (folder / "config.json").write_text("[]"), "must hold an object"),
    "unknown architecture": (config(architectures=["FalconForCausalLM"]), "names FalconForCausalLM, which is not read"),
    "another type of model": (config(model_type="gpt2"), "names LlamaForCausalLM, and its model_type is 'gpt2'"),
    "a type that is no text": (config(model_type=["llama"]), r"and its model_type is \['llama'\]"),
    "neither": (config(architectures=None, model_type=...), "names no architecture, which is not read"),
    "no size": (config(hidden_size=...), "has no hidden_size"),
    "size that is a text": (config(hidden_size="32"), "hidden_size is '32', not a whole number"),
    "size without end": (config(num_hidden_layers=10**9), "num_hidden_layers is 1,000,000,000, more than"),
    "sizes that do not divide": (config(num_key_value_heads=3), "key_value_heads 3 does not divide"),
    "another activation": (config(hidden_act="relu"), "hidden_act is 'relu'"),
    "another rope": (config(rope_parameters={"rope_type": "yarn", "factor": 2.0}), "of type 'yarn'"),
    "quantised": (config(quantization_config={"bits": 4}), "quantised"),
    "no tokenizer": (lambda folder: (folder / "tokenizer.json").unlink(), "no tokenizer.json"),
    "tokenizer that is none": (
        lambda folder: (folder / "tokenizer.json").write_text("{}"),
        "tokenizer.json cannot be read",
    ),
    "tokenizer of more tokens": (config(vocab_size=200), "the tokenizer has 257 tokens, the model 200"),
    "tokenizer of far fewer tokens": (config(vocab_size=3000), "the tokenizer has 257 tokens, the model 3000"),
    "pickled weights": (
        lambda folder: torch.save({}, folder / "pytorch_model.bin"),
        "could run code when they are read: pytorch_model.bin",
    ),
    "pickle of another name": (
        lambda folder: torch.save({}, folder / "notes.txt"),
        "could run code when they are read: notes.txt",
    ),
    "bare pickle": (
        lambda folder: (folder / "model.safetensors").write_bytes(b"\x80\x04\x95\x00."),
        "could run code when they are read: model.safetensors",
    ),
}


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return peers_folder(peer("llama"), tmp_path_factory.mktemp("intact"))


@pytest.mark.parametrize("name", DAMAGES)
def test_a_folder_with_this_damage_is_refused(intact: pathlib.Path, tmp_path: pathlib.Path, name: str) -> None:
    for path in intact.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    damage, message = DAMAGES[name]
    damage(tmp_path)
    with pytest.raises(UnusableData, match=message):
        read(tmp_path)


def test_many_faults_are_named_up_to_a_limit(intact: pathlib.Path, tmp_path: pathlib.Path) -> None:
    for path in intact.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    weights(lambda w: w.clear())(tmp_path)
    with pytest.raises(UnusableData, match=r"tensors are missing: lm_head.weight, .* and 20 more$"):
        read(tmp_path)


def test_shards_that_are_missing_are_named(tmp_path: pathlib.Path) -> None:
    peers_folder(peer("llama"), tmp_path, max_shard_size="20KB")
    [first, *_] = sorted(tmp_path.glob("model-*.safetensors"))
    first.unlink()
    with pytest.raises(UnusableData, match=f"names files that are missing: {first.name}"):
        read(tmp_path)


def test_an_index_cannot_name_files_elsewhere(intact: pathlib.Path, tmp_path: pathlib.Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    for path in intact.iterdir():
        target = tmp_path if path.suffix == ".safetensors" else inside
        (target / path.name).write_bytes(path.read_bytes())
    index = {"weight_map": {"model.norm.weight": "../model.safetensors"}}
    (inside / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(UnusableData, match="names files that are missing: ../model.safetensors"):
        read(inside)


def test_a_special_token_beyond_the_model_is_left_out_with_a_note(intact: pathlib.Path, tmp_path: pathlib.Path) -> None:
    for path in intact.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    values = json.loads((tmp_path / "tokenizer.json").read_text())
    values["added_tokens"].append(values["added_tokens"][0] | {"id": 260, "content": "<image>"})
    (tmp_path / "tokenizer.json").write_text(json.dumps(values))
    found = read(tmp_path)
    assert found.stored.tokenizer.vocabulary_size == 257
    assert found.notes == ("The model has no rows for these tokens, which were left out: <image>.",)

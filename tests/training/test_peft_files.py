"""Folders of adapters go to the library `peft` and come from it, and what cannot be read is refused by name."""

import json
import pathlib
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import peft
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.training.family_models import peer, peers_folder, read
from tests.training.peers import small_decoder, some_tokens, transformers_twin
from tests.training.test_lora import SPECS, adapted, move, plain
from trainer_worker.trainer.engine.adapter_files import StoredAdapters
from trainer_worker.trainer.engine.errors import UnusableData
from trainer_worker.trainer.engine.families.pickles import is_pickle
from trainer_worker.trainer.engine.families.writing import write_folder
from trainer_worker.trainer.engine.lora import adapter_tensors, add_adapters, settings_of
from trainer_worker.trainer.engine.model import Decoder
from trainer_worker.trainer.engine.peft_files import merge_peft, read_peft, write_peft
from trainer_worker.trainer.engine.stored_model import StoredModel
from trainer_worker.trainer.engine.tokenizers import ByteTokenizer
from tutelage.v1.training_pb2 import LoraSpec

ALL_LAYERS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def written(folder: pathlib.Path, model: Decoder) -> pathlib.Path:
    write_peft(folder, StoredAdapters(settings=settings_of(model), tensors=adapter_tensors(model)))
    return folder


def saved_by_peft(folder: pathlib.Path, **settings: Any) -> Tensor:
    """A folder of adapters as `peft` saves it; returns the logits of its model."""
    settings = {"r": 4, "lora_alpha": 12, "target_modules": ALL_LAYERS, "task_type": "CAUSAL_LM"} | settings
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        twin = peft.get_peft_model(transformers_twin(small_decoder()), peft.LoraConfig(**settings))
        torch.manual_seed(4)
        with torch.no_grad():
            for name, weight in twin.named_parameters():
                if "lora_" in name:
                    weight.normal_(0.0, 0.1)
        twin.eval().save_pretrained(folder)
    return twin(some_tokens()).logits.detach()


def merged_logits(folder: pathlib.Path) -> Tensor:
    stored = merge_peft(folder, StoredModel(model=small_decoder(), tokenizer=ByteTokenizer()))
    return stored.model(some_tokens()).detach()


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_peft_loads_what_is_written_with_equal_logits(tmp_path: pathlib.Path, spec: LoraSpec) -> None:
    model = adapted(spec)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        twin = peft.PeftModel.from_pretrained(transformers_twin(small_decoder()), written(tmp_path, model))
    torch.testing.assert_close(twin(some_tokens()).logits, model(some_tokens()), rtol=1e-4, atol=2e-5)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]


@pytest.mark.parametrize("kind", ["llama tied", "qwen 2", "qwen 3", "mistral", "gemma 2"])
def test_peft_puts_adapters_onto_the_exported_base_of_every_family(tmp_path: pathlib.Path, kind: str) -> None:
    base, folder = read(peers_folder(peer(kind), tmp_path / "theirs")).stored, tmp_path / "export"
    folder.mkdir()
    write_folder(folder, base)
    add_adapters(base.model, LoraSpec(rank=4), seed=1)
    move(base.model)
    (tmp_path / "adapters").mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole = transformers.AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager")
        twin = peft.PeftModel.from_pretrained(whole, written(tmp_path / "adapters", base.model))
    tokens_BT = some_tokens()
    torch.testing.assert_close(twin(tokens_BT).logits, base.model.eval()(tokens_BT), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"use_rslora": True},
        {"target_modules": ["q_proj", "down_proj"], "layers_to_transform": [1]},
        {"alpha_pattern": {"o_proj": 5, "model.layers.0.mlp.up_proj": 7}, "rank_pattern": {"v_proj": 2}},
        {"init_lora_weights": "gaussian", "lora_dropout": 0.1, "exclude_modules": ["k_proj"]},
        {"target_modules": r".*\.(q|v)_proj"},
    ],
)
def test_what_peft_saves_is_merged_with_equal_logits(tmp_path: pathlib.Path, settings: dict[str, Any]) -> None:
    theirs_BTV = saved_by_peft(tmp_path, **settings)
    torch.testing.assert_close(merged_logits(tmp_path), theirs_BTV, rtol=1e-4, atol=2e-5)
    assert not torch.allclose(theirs_BTV, small_decoder()(some_tokens()), atol=1e-2)


def test_a_round_trip_keeps_every_bit_of_the_matrices(tmp_path: pathlib.Path) -> None:
    model = adapted(SPECS["all"])
    updates = read_peft(written(tmp_path, model), model.config)
    assert {update.scale for update in updates} == {3.0}
    tensors = adapter_tensors(model)
    for update in updates:
        (name,) = {name[:-2] for name in tensors if name.startswith(f"blocks.{update.layer}.")} & {
            name[:-2] for name in tensors if name.endswith(f".{update.target}.a")
        }
        assert torch.equal(update.a_RD, tensors[f"{name}.a"]) and torch.equal(update.b_OR, tensors[f"{name}.b"])
    torch.testing.assert_close(merged_logits(tmp_path), plain(model)(some_tokens()))


def test_half_precision_is_read(tmp_path: pathlib.Path) -> None:
    model = adapted(SPECS["all"])
    path = written(tmp_path, model) / "adapter_model.safetensors"
    save_file({name: tensor.bfloat16() for name, tensor in load_file(path).items()}, path)
    torch.testing.assert_close(merged_logits(tmp_path), model(some_tokens()), rtol=0.1, atol=0.1)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"use_dora": True}, "DoRA"),
        ({"modules_to_save": ["lm_head"]}, "whole modules were trained"),
        ({"bias": "all"}, "bias in adapter_config.json is 'all'"),
        ({"init_lora_weights": "pissa"}, "the base was changed before training"),
        ({"fan_in_fan_out": True}, "turned around"),
        ({"trainable_token_indices": [3]}, "tokens of the embedding"),
        ({"alora_invocation_tokens": [1]}, "some tokens only"),
        ({"kasa_config": {"beta": 1}}, "kasa_config .* what that changes is not read"),
        ({"peft_type": "IA3"}, "'IA3' cannot be merged"),
        ({"peft_type": None}, "None cannot be merged"),
        ({"r": "8"}, "r in adapter_config.json is '8'"),
        ({"lora_alpha": 0}, "lora_alpha"),
        ({"lora_alpha": float("inf")}, "lora_alpha"),
        ({"alpha_pattern": {"(a+)+$": 1}}, "names are read, expressions are not"),
        ({"alpha_pattern": {"q_proj": "1"}}, "not a number"),
    ],
)
def test_other_kinds_of_adapters_are_refused_with_the_reason(
    tmp_path: pathlib.Path, settings: dict[str, Any], words: str
) -> None:
    path = written(tmp_path, adapted(SPECS["all"])) / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))
    with pytest.raises(UnusableData, match=words):
        read_peft(tmp_path, small_decoder().config)


A = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
B = A.replace("lora_A", "lora_B")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda tensors: tensors.pop(A), r"only one of A and B for model\.layers\.0\.self_attn\.q_proj"),
        (lambda tensors: (tensors.pop(A), tensors.pop(B)), r"no tensors for model\.layers\.0\.self_attn\.q_proj"),
        (lambda tensors: tensors.update(surprise=tensors[A] + 1), "no place for: surprise"),
        (
            lambda tensors: tensors.update({A.replace("layers.0", "layers.2"): tensors[A] + 1}),
            r"no place for: .*layers\.2",
        ),
        (lambda tensors: tensors.update({A.replace("q_proj", "lm_head"): tensors[A] + 1}), "no place for: .*lm_head"),
        (lambda tensors: tensors.update({A: tensors[A][:, :5]}), r"lora_A of .*q_proj is \(4, 5\), not \(4, 32\)"),
        (lambda tensors: tensors.update({B: tensors[B].T}), r"lora_B of .*q_proj is \(4, 32\), not \(32, 4\)"),
        (lambda tensors: tensors.update({A: torch.tensor(1.0)}), r"lora_A of .*q_proj is \(\)"),
        (lambda tensors: tensors.update({B: tensors[B] / 0}), "lora_B of .*q_proj holds a number that is not finite"),
        (lambda tensors: tensors.update({B: tensors[B].int()}), "torch.int32"),
        (lambda tensors: tensors.clear(), "is empty"),
    ],
)
def test_tensors_that_do_not_fit_are_named(
    tmp_path: pathlib.Path, change: Callable[[dict[str, Tensor]], object], words: str
) -> None:
    path = written(tmp_path, adapted(SPECS["all"])) / "adapter_model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    with pytest.raises(UnusableData, match=words):
        read_peft(tmp_path, small_decoder().config)


class Attack:
    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return exec, ("raise SystemExit('the pickle was read')",)


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "adapter_model.bin"])
@pytest.mark.parametrize("content", [pickle.dumps(Attack()), b"PK\x03\x04rest of a zip file"])
def test_a_pickle_is_refused_by_its_content(tmp_path: pathlib.Path, name: str, content: bytes) -> None:
    folder = written(tmp_path, adapted(SPECS["all"]))
    (folder / "adapter_model.safetensors").unlink()
    (folder / name).write_bytes(content)
    with pytest.raises(UnusableData, match=f"{name} is a pickle, and reading it could run code"):
        read_peft(folder, small_decoder().config)


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "adapter_config.json"])
@pytest.mark.parametrize("content", [None, b"", b"[]", b"\xff" * 40])
def test_files_that_are_missing_or_damaged_are_named(tmp_path: pathlib.Path, name: str, content: bytes | None) -> None:
    path = written(tmp_path, adapted(SPECS["all"])) / name
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UnusableData, match=name):
        read_peft(tmp_path, small_decoder().config)


@pytest.mark.parametrize("length", [640, 896, 1152, 1408])
def test_tensors_whose_length_looks_like_a_pickle_are_none(tmp_path: pathlib.Path, length: int) -> None:
    path = tmp_path / "adapter_model.safetensors"
    path.write_bytes(length.to_bytes(8, "little") + b"{}".ljust(length))
    assert not is_pickle(path)
    path.write_bytes(length.to_bytes(8, "little") + b"{}")
    assert is_pickle(path)

"""Adapters as the library `peft` reads and writes them: adapter_config.json and adapter_model.safetensors.

Only what a merge can serve is read: LoRA on the projections of the blocks. What else `peft` knows is refused with the
reason. A pickle is refused by its content, whatever its name.

    D width of the input   O width of the output   R rank
"""

import dataclasses
import json
import math
import pathlib
import re
from collections.abc import Iterator
from typing import Any

import safetensors
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from trainer_worker.trainer.engine.adapter_files import StoredAdapters
from trainer_worker.trainer.engine.errors import UnusableData
from trainer_worker.trainer.engine.families.pickles import is_pickle
from trainer_worker.trainer.engine.lora import NAMED_MAX, RANK_MAX, places
from trainer_worker.trainer.engine.model_config import ModelConfig
from trainer_worker.trainer.engine.stored_model import StoredModel

CONFIG, TENSORS = "adapter_config.json", "adapter_model.safetensors"
PICKLES = ("adapter_model.bin", "adapter_model.pt", "adapter_model.pth")
PATHS = {
    "query": "self_attn.q_proj",
    "key": "self_attn.k_proj",
    "value": "self_attn.v_proj",
    "out": "self_attn.o_proj",
    "gate": "mlp.gate_proj",
    "up": "mlp.up_proj",
    "down": "mlp.down_proj",
}
TENSOR = re.compile(r"base_model\.model\.model\.layers\.(\d{1,4})\.((?:self_attn|mlp)\.\w+)\.lora_([AB])\.weight")
PLAIN_NAME = re.compile(r"[\w.]+")
# What may be anything: it says how training went, where files are, or how to compute the same.
IGNORED_KEYS = {
    *("task_type", "auto_mapping", "peft_version", "base_model_name_or_path", "revision", "inference_mode"),
    *("megatron_config", "megatron_core", "layers_pattern", "qalora_group_size", "runtime_config", "lora_dropout"),
    *("eva_config", "corda_config", "ensure_weight_tying"),
}
READ_KEYS = {
    *("peft_type", "r", "lora_alpha", "use_rslora", "alpha_pattern", "rank_pattern", "target_modules"),
    *("exclude_modules", "layers_to_transform", "init_lora_weights"),
}
# What changes what is computed in a way that is not read here, where it is not null, false or empty.
REASONS = {
    "use_dora": "DoRA also learns a length for each output, which is not read",
    "modules_to_save": "whole modules were trained beside the adapters, and only adapters are merged",
    "fan_in_fan_out": "its matrices are turned around",
    "lora_bias": "its matrices have biases",
    "trainable_token_indices": "tokens of the embedding were trained beside the adapters",
    "alora_invocation_tokens": "it acts on some tokens only, which no merged weight can do",
    "layer_replication": "it repeats layers of the base",
    "loftq_config": "the base was changed before training, and what is left of it is not in the files",
}
KEEPS_THE_BASE = (True, False, "gaussian", "eva", "orthogonal")  # ways to draw A and B that leave W alone


@dataclasses.dataclass(frozen=True)
class Update:
    """What adds `scale · b a` to a projection: a (R, D), b (O, R), both float32."""

    layer: int
    target: str
    a_RD: Tensor
    b_OR: Tensor
    scale: float


def write_peft(folder: pathlib.Path, adapters: StoredAdapters, *, base: str = "") -> None:
    """Writes a folder that `peft` puts onto an export of the model that the adapters were trained on.

    `base` is where that is, for those who load the adapters without saying so.
    """
    settings = adapters.settings
    alpha = int(settings.alpha) if float(settings.alpha).is_integer() else settings.alpha
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base or None,
        "inference_mode": True,
        "r": settings.rank,
        "lora_alpha": alpha,
        "lora_dropout": settings.dropout,
        "use_rslora": settings.rank_stabilized,
        "target_modules": [PATHS[target].split(".")[1] for target in settings.targets],
        "bias": "none",
        "fan_in_fan_out": False,
        "init_lora_weights": True,
        "use_dora": False,
    }
    (folder / CONFIG).write_text(json.dumps(config, indent=2))
    tensors = {peft_name(name): tensor.detach().contiguous() for name, tensor in adapters.tensors.items()}
    save_file(tensors, folder / TENSORS, metadata={"format": "pt"})


def peft_name(name: str) -> str:
    """The name of `blocks.{i}.{room}.{layer}.adapters.{target}.{a or b}` for `peft`."""
    _, layer, _, _, _, target, matrix = name.split(".")
    return f"base_model.model.model.layers.{layer}.{PATHS[target]}.lora_{matrix.upper()}.weight"


@torch.no_grad()
def merge_peft(folder: pathlib.Path, stored: StoredModel) -> StoredModel:
    """Adds the adapters of a folder to the weights of the model that they belong to, which is changed.

    Raises: UnusableData as `read_peft`.
    """
    found = {part.target: (layer, part.rows) for layer, parts in places(stored.model.config).items() for part in parts}
    for update in read_peft(folder, stored.model.config):
        layer, rows = found[update.target]
        weight_OD = stored.model.get_parameter(f"blocks.{update.layer}.{layer}.weight")
        weight_OD[rows].addmm_(update.b_OR.to(weight_OD), update.a_RD.to(weight_OD), alpha=update.scale)
    return stored


def read_peft(folder: pathlib.Path, shape: ModelConfig) -> list[Update]:
    """The adapters of a folder, for a model of the given shape.

    Raises: UnusableData if a file is missing, malformed or a pickle, if the adapters are of a kind that is not read, or
    naming the tensors that are missing, unknown, of a wrong shape or dtype, or not finite.
    """
    config = read_config(folder)
    tensors = read_adapter_tensors(folder)
    pairs = paired(tensors, shape)
    if absent := [path for path in aimed_at(config, shape) if path not in pairs]:
        raise refusal("has no tensors for", absent)
    return [
        Update(layer, target, a_RD.float(), b_OR.float(), scale_of(config, module_path(layer, target), len(a_RD)))
        for (layer, target), (a_RD, b_OR) in pairs.items()
    ]


def refusal(what: str, names: list[Any]) -> UnusableData:
    words = [module_path(*name) if isinstance(name, tuple) else str(name) for name in names]
    more = f" and {len(names) - NAMED_MAX} more" if len(names) > NAMED_MAX else ""
    return UnusableData(f"{TENSORS} {what} {', '.join(words[:NAMED_MAX])}{more}")


def module_path(layer: int, target: str) -> str:
    return f"model.layers.{layer}.{PATHS[target]}"


def read_config(folder: pathlib.Path) -> dict[str, Any]:
    """Raises: UnusableData if it is no config, or of adapters of a kind that is not read."""
    try:
        config = json.loads((folder / CONFIG).read_text())
    except (OSError, ValueError) as error:
        raise UnusableData(f"{CONFIG} cannot be read: {error}") from error
    if not isinstance(config, dict):
        raise UnusableData(f"{CONFIG} must hold an object")
    if config.get("peft_type") != "LORA":
        raise UnusableData(f"adapters of type {config.get('peft_type')!r} cannot be merged here, only those of LORA")
    for key, value in config.items():
        refuse_unless_neutral(key, value)
    for key, kinds in {"r": (int,), "lora_alpha": (int, float)}.items():
        if type(config.get(key)) not in kinds or not 0 < config[key] < math.inf:
            raise UnusableData(f"{key} in {CONFIG} is {config.get(key)!r}, not a number above 0")
    patterns = config.get("alpha_pattern") or {}
    if not isinstance(patterns, dict) or not all(type(alpha) in (int, float) for alpha in patterns.values()):
        raise UnusableData(f"alpha_pattern in {CONFIG} is {patterns!r}, not a number for each name")
    if odd := [name for name in patterns if not PLAIN_NAME.fullmatch(name)]:
        raise UnusableData(f"alpha_pattern in {CONFIG} has {odd[0]!r}: names are read, expressions are not")
    return config


def refuse_unless_neutral(key: str, value: object) -> None:
    """Raises: UnusableData if a setting changes what is computed, and is not read."""
    if key == "bias" and value == "none":
        return
    if key == "init_lora_weights" and value not in KEEPS_THE_BASE:
        raise UnusableData(f"init_lora_weights is {value!r}: {REASONS['loftq_config']}")
    if key in IGNORED_KEYS | READ_KEYS or not value:
        return
    raise UnusableData(f"{key} in {CONFIG} is {value!r}: {REASONS.get(key, 'what that changes is not read')}")


def read_adapter_tensors(folder: pathlib.Path) -> dict[str, Tensor]:
    """Raises: UnusableData if there is no file of tensors, or only one that could run code."""
    path = folder / TENSORS
    if not path.exists():
        pickles = [name for name in PICKLES if (folder / name).exists()]
        if pickles:
            raise a_pickle(pickles[0])
        raise UnusableData(f"the folder has no {TENSORS}")
    if is_pickle(path):
        raise a_pickle(TENSORS)
    try:
        return load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise UnusableData(f"{TENSORS} cannot be read: {error}") from error


def a_pickle(name: str) -> UnusableData:
    help = "Save the adapters with `save_pretrained(…, safe_serialization=True)`."
    return UnusableData(f"{name} is a pickle, and reading it could run code", help=help)


def paired(tensors: dict[str, Tensor], shape: ModelConfig) -> dict[tuple[int, str], tuple[Tensor, Tensor]]:
    """A and B of each layer and target. Raises: UnusableData naming the tensors that will not do."""
    target_of = {path: target for target, path in PATHS.items()}
    found: dict[tuple[int, str], dict[str, Tensor]] = {}
    unknown = []
    for name, tensor in tensors.items():
        match = TENSOR.fullmatch(name)
        if not match or match[2] not in target_of or int(match[1]) >= shape.layers:
            unknown.append(name)
            continue
        found.setdefault((int(match[1]), target_of[match[2]]), {})[match[3]] = tensor
    if unknown:
        raise refusal(f"has tensors that a model of {shape.layers} layers has no place for:", unknown)
    if single := [key for key, matrices in found.items() if len(matrices) < 2]:
        raise refusal("has only one of A and B for", single)
    if not found:
        raise UnusableData(f"{TENSORS} is empty")
    if faults := list(faults_of(found, shape)):
        raise UnusableData(f"{TENSORS} does not fit: {'; '.join(faults[:NAMED_MAX])}")
    return {key: (matrices["A"], matrices["B"]) for key, matrices in sorted(found.items())}


def faults_of(found: dict[tuple[int, str], dict[str, Tensor]], shape: ModelConfig) -> Iterator[str]:
    """What is wrong with the matrices themselves."""
    outputs = {part.target: part.last_row - part.first_row for parts in places(shape).values() for part in parts}
    inputs = {"out": shape.heads * shape.head_width, "down": shape.feed_forward_width}
    for (layer, target), matrices in found.items():
        rank = len(matrices["A"]) if matrices["A"].dim() else 0
        right = {"A": (rank, inputs.get(target, shape.width)), "B": (outputs[target], rank)}
        for letter, tensor in matrices.items():
            name = f"lora_{letter} of {module_path(layer, target)}"
            if tuple(tensor.shape) != right[letter] or not 1 <= rank <= RANK_MAX:
                yield f"{name} is {tuple(tensor.shape)}, not {right[letter]} with a rank of 1 to {RANK_MAX}"
            elif not tensor.dtype.is_floating_point:
                yield f"{name} is {tensor.dtype}, which holds no fractions"
            elif not torch.isfinite(tensor).all():
                yield f"{name} holds a number that is not finite"


def aimed_at(config: dict[str, Any], shape: ModelConfig) -> Iterator[tuple[int, str]]:
    """The layers and targets that the config names, as far as it names them plainly."""
    names, left_out = config.get("target_modules"), config.get("exclude_modules") or []
    if not isinstance(names, list) or not isinstance(left_out, list):
        return
    layers = config.get("layers_to_transform")
    chosen = range(shape.layers) if layers is None else [layers] if isinstance(layers, int) else layers
    for layer in chosen:
        for target in PATHS:
            path = module_path(layer, target)
            if ends_with(path, names) and not ends_with(path, left_out):
                yield layer, target


def ends_with(path: str, names: list[str]) -> bool:
    return any(f".{path}".endswith(f".{name}") for name in names)


def scale_of(config: dict[str, Any], path: str, rank: int) -> float:
    """What B A is multiplied by; the rank is that of the tensors."""
    named = [alpha for name, alpha in (config.get("alpha_pattern") or {}).items() if ends_with(path, [name])]
    alpha = named[0] if named else config["lora_alpha"]
    return alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)

"""A model on disk: weights, shape and tokenizer, enough to compute with it.

model.safetensors    the weights, float32
config.json          {"format": 1, "architecture": {…}, "tokenizer": {"kind": …}, "vocabulary_size": …}
tokenizer.json       of BPE only, in the format of Hugging Face
"""

import dataclasses
import json
import pathlib
from typing import Any

import safetensors
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from trainer_worker.trainer.engine.errors import BadCheckpoint
from trainer_worker.trainer.engine.model import Decoder, ModelConfig
from trainer_worker.trainer.engine.tokenizers import BytePairTokenizer, ByteTokenizer, Tokenizer

FORMAT = 1


@dataclasses.dataclass(frozen=True)
class StoredModel:
    """What a folder holds."""

    model: Decoder
    tokenizer: Tokenizer


def save_model(folder: pathlib.Path, model: Decoder, tokenizer: Tokenizer) -> None:
    save_weights(folder, model.state_dict())
    save_config(folder, model.config, tokenizer)


def save_weights(folder: pathlib.Path, weights: dict[str, Tensor]) -> None:
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, folder / "model.safetensors")


def save_config(folder: pathlib.Path, shape: ModelConfig, tokenizer: Tokenizer) -> None:
    """All of a stored model but its weights."""
    config = {
        "format": FORMAT,
        "architecture": dataclasses.asdict(shape),
        "tokenizer": {"kind": tokenizer.kind},
        "vocabulary_size": tokenizer.vocabulary_size,
    }
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True))
    if isinstance(tokenizer, BytePairTokenizer):
        tokenizer.save(folder / "tokenizer.json")


def load_model(folder: pathlib.Path) -> StoredModel:
    """The model of a folder whose hashes have been checked. It is on the CPU, in float32.

    Raises: BadCheckpoint if a file is missing or malformed, or a weight has another name or shape or is not finite.
    """
    shape, config = read_config(folder)
    tokenizer = load_tokenizer(folder, config)
    if not config["vocabulary_size"] == tokenizer.vocabulary_size == shape.vocabulary_size:
        raise BadCheckpoint(f"the tokenizer has {tokenizer.vocabulary_size} tokens, the model {shape.vocabulary_size}")
    weights = read_tensors(folder / "model.safetensors")
    with torch.device("meta"):
        model = Decoder(shape)
    check_tensors(weights, {name: tensor.shape for name, tensor in model.state_dict().items()})
    model = Decoder(shape)
    model.load_state_dict(weights)
    return StoredModel(model=model, tokenizer=tokenizer)


def read_config(folder: pathlib.Path) -> tuple[ModelConfig, dict[str, Any]]:
    """The shape of the model, and everything that config.json says. Raises: BadCheckpoint."""
    config = read_json(folder / "config.json", keys={"format", "architecture", "tokenizer", "vocabulary_size"})
    try:
        return ModelConfig.from_values(config["architecture"]), config
    except ValueError as error:
        raise BadCheckpoint(f"config.json: {error}") from error


def load_tokenizer(folder: pathlib.Path, config: dict[str, Any]) -> Tokenizer:
    if config["format"] != FORMAT:
        raise BadCheckpoint(f"config.json has format {config['format']!r}, this version reads {FORMAT}")
    match config["tokenizer"]:
        case {"kind": "bytes"}:
            return ByteTokenizer()
        case {"kind": "bpe"}:
            return BytePairTokenizer.load(folder / "tokenizer.json")
    raise BadCheckpoint(f"config.json names an unknown tokenizer: {config['tokenizer']!r}")


def read_json(path: pathlib.Path, *, keys: set[str]) -> dict[str, Any]:
    """Raises: BadCheckpoint unless the file is an object with exactly these keys."""
    try:
        values = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise BadCheckpoint(f"{path.name} cannot be read: {error}") from error
    if not isinstance(values, dict) or set(values) != keys:
        raise BadCheckpoint(f"{path.name} must hold exactly {', '.join(sorted(keys))}")
    return values


def read_tensors(path: pathlib.Path) -> dict[str, Tensor]:
    """Raises: BadCheckpoint if the file is not in safetensors format."""
    try:
        return load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise BadCheckpoint(f"{path.name} cannot be read: {error}") from error


def check_tensors(tensors: dict[str, Tensor], shapes: dict[str, torch.Size]) -> None:
    """Raises: BadCheckpoint unless there is exactly one finite float32 tensor of each name and shape."""
    if set(tensors) != set(shapes):
        raise BadCheckpoint(f"tensors are missing or unknown: {sorted(set(tensors) ^ set(shapes))[:5]}")
    for name, tensor in tensors.items():
        if tensor.shape != shapes[name] or tensor.dtype != torch.float32:
            raise BadCheckpoint(f"{name} is {tuple(tensor.shape)} {tensor.dtype}, not {tuple(shapes[name])} float32")
        if not torch.isfinite(tensor).all():
            raise BadCheckpoint(f"{name} holds a number that is not finite")

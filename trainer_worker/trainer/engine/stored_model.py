"""A model on disk: weights, shape and tokenizer, enough to compute with it.

model.safetensors    the weights, float32
config.json          {"format": 1, "architecture": {…}, "tokenizer": {"kind": …}, "vocabulary_size": …}; of a reward
                     model also "head": "reward"
tokenizer.json       unless tokens are bytes, in the format of Hugging Face

`vocabulary_size` is that of the tokenizer; the model may have a few rows more, which stand for nothing.
"""

import dataclasses
import json
import pathlib
from collections.abc import Collection, Mapping
from typing import Any

import safetensors
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from trainer_worker.trainer.engine.errors import BadCheckpoint
from trainer_worker.trainer.engine.model import Decoder, ModelConfig
from trainer_worker.trainer.engine.reward_model import HEAD, RewardModel, not_for_text
from trainer_worker.trainer.engine.tensor_checks import faults_of_names, faults_of_tensors, sentence
from trainer_worker.trainer.engine.tokenizer_files import FileTokenizer
from trainer_worker.trainer.engine.tokenizers import (
    BytePairTokenizer,
    ByteTokenizer,
    Tokenizer,
    load_tokenizer_file,
)

FORMAT = 1
# Rows of an embedding beyond the tokenizer's tokens: models pad to round numbers, Qwen by up to 399.
SPARE_ROWS_MAX = 1024


@dataclasses.dataclass(frozen=True)
class StoredModel:
    """What a folder holds."""

    model: Decoder
    tokenizer: Tokenizer


def save_model(folder: pathlib.Path, model: Decoder, tokenizer: Tokenizer) -> None:
    save_weights(folder, model.state_dict())
    save_config(folder, model, tokenizer)


def save_weights(folder: pathlib.Path, weights: dict[str, Tensor]) -> None:
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, folder / "model.safetensors")


def save_config(folder: pathlib.Path, model: Decoder, tokenizer: Tokenizer) -> None:
    """All of a stored model but its weights."""
    config = {
        "format": FORMAT,
        "architecture": model.config.to_values(),
        "tokenizer": tokenizer.settings(),
        "vocabulary_size": tokenizer.vocabulary_size,
    }
    if isinstance(model, RewardModel):
        config["head"] = HEAD
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True))
    if isinstance(tokenizer, FileTokenizer):
        tokenizer.save(folder / "tokenizer.json")


def load_model(folder: pathlib.Path) -> StoredModel:
    """The model of a folder whose hashes have been checked. It is on the CPU, in float32.

    Raises: BadCheckpoint if a file is missing or malformed, or a weight has another name or shape or is not finite, or
    if it is a reward model.
    """
    stored = load_any_model(folder)
    if isinstance(stored.model, RewardModel):
        raise BadCheckpoint(str(not_for_text("the model")))
    return stored


def load_any_model(folder: pathlib.Path) -> StoredModel:
    """The same, also of a reward model."""
    shape, config = read_config(folder)
    kind = RewardModel if config.get("head") == HEAD else Decoder
    tokenizer = load_tokenizer(folder, config)
    if config["vocabulary_size"] != tokenizer.vocabulary_size:
        raise BadCheckpoint(f"the tokenizer has {tokenizer.vocabulary_size} tokens, not {config['vocabulary_size']}")
    require_same_tokens(tokenizer, shape)
    weights = read_tensors(folder / "model.safetensors")
    check_tensors(weights, shapes_of(shape, kind))
    return StoredModel(model=decoder_of(shape, weights, kind), tokenizer=tokenizer)


def require_same_tokens(tokenizer: Tokenizer, shape: ModelConfig) -> None:
    """Raises: BadCheckpoint if a model has no row for a token, or too many rows for the tokens that there are."""
    if not tokenizer.vocabulary_size <= shape.vocabulary_size <= tokenizer.vocabulary_size + SPARE_ROWS_MAX:
        raise BadCheckpoint(
            f"the tokenizer has {tokenizer.vocabulary_size} tokens, the model {shape.vocabulary_size}",
            help="Use the tokenizer that the model was trained with.",
        )


def shapes_of(shape: ModelConfig, kind: type[Decoder] = Decoder) -> dict[str, torch.Size]:
    """The name and shape of every weight, without making one."""
    with torch.device("meta"):
        return {name: tensor.shape for name, tensor in kind(shape).state_dict().items()}


def decoder_of(shape: ModelConfig, weights: Mapping[str, Tensor], kind: type[Decoder] = Decoder) -> Decoder:
    """A decoder that holds copies of these weights, in float32; nothing is drawn at random for it."""
    with torch.device("meta"):
        model = kind(shape)
    # A copy of its own: the tensors may be a view on a file.
    copies = {name: tensor.to(torch.float32, copy=True).contiguous() for name, tensor in weights.items()}
    model.load_state_dict(copies, assign=True)
    model.lay_rotary_tables()
    return model


def read_config(folder: pathlib.Path) -> tuple[ModelConfig, dict[str, Any]]:
    """The shape of the model, and everything that config.json says. Raises: BadCheckpoint."""
    keys = {"format", "architecture", "tokenizer", "vocabulary_size"}
    config = read_json(folder / "config.json", keys=keys, optional={"head"})
    if config["format"] != FORMAT:
        raise BadCheckpoint(f"config.json has format {config['format']!r}, this version reads {FORMAT}")
    if config.get("head", HEAD) != HEAD:
        raise BadCheckpoint(f"config.json names an unknown head: {config['head']!r}")
    try:
        return ModelConfig.from_values(config["architecture"]), config
    except ValueError as error:
        raise BadCheckpoint(f"config.json: {error}") from error


def load_tokenizer(folder: pathlib.Path, config: dict[str, Any]) -> Tokenizer:
    match config["tokenizer"]:
        case {"kind": "bytes"}:
            return ByteTokenizer(config["tokenizer"].get("chat_template"))
        case {"kind": "bpe"}:
            template = config["tokenizer"].get("chat_template")
            return BytePairTokenizer.load(folder / "tokenizer.json", chat_template=template)
        case {"kind": "file", "end_of_text": int(end_of_text), "chat_template": None | str() as template}:
            return load_tokenizer_file(folder / "tokenizer.json", end_of_text=end_of_text, chat_template=template)
    raise BadCheckpoint(f"config.json names an unknown tokenizer: {config['tokenizer']!r}")


def read_json(path: pathlib.Path, *, keys: set[str], optional: Collection[str] = ()) -> dict[str, Any]:
    """Raises: BadCheckpoint unless the file is an object with exactly these keys."""
    try:
        values = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise BadCheckpoint(f"{path.name} cannot be read: {error}") from error
    if not isinstance(values, dict) or set(values) - set(optional) != keys:
        raise BadCheckpoint(f"{path.name} must hold exactly {', '.join(sorted(keys))}")
    return values


def read_tensors(path: pathlib.Path) -> dict[str, Tensor]:
    """Raises: BadCheckpoint if the file is not in safetensors format."""
    try:
        return load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise BadCheckpoint(f"{path.name} cannot be read: {error}") from error


def check_tensors(tensors: dict[str, Tensor], shapes: dict[str, torch.Size]) -> None:
    """Raises: BadCheckpoint with names, unless there is exactly one finite float32 tensor of each name and shape."""
    faults = [*faults_of_names(set(tensors), set(shapes)), *faults_of_tensors(tensors, shapes)]
    faults += [f"{name} is {tensor.dtype}" for name, tensor in tensors.items() if tensor.dtype != torch.float32]
    if faults:
        raise BadCheckpoint(sentence(faults))

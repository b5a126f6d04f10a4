"""Writes a folder that `transformers` loads: config.json, model.safetensors, and the files of a tokenizer."""

import json
import pathlib

from safetensors.torch import save_file
from torch import Tensor

from trainer_worker.trainer.engine.families.family import Family, family_of
from trainer_worker.trainer.engine.families.names import weights_of
from trainer_worker.trainer.engine.families.settings import CONFIG
from trainer_worker.trainer.engine.families.tokenizer_folder import write_tokenizer
from trainer_worker.trainer.engine.stored_model import StoredModel

WEIGHTS = "model.safetensors"


def write_folder(folder: pathlib.Path, stored: StoredModel) -> Family:
    """Writes the files into an empty folder, and says as which family.

    Raises: UnusableData if no family has all the parts of the model.
    """
    shape, tokenizer = stored.model.config, stored.tokenizer
    family = family_of(shape)
    save_file(their_weights(stored, norm_offset=family.norm_offset), folder / WEIGHTS, metadata={"format": "pt"})
    ends = {"eos_token_id": tokenizer.end_of_text, "bos_token_id": next(iter(tokenizer.beginning), None)}
    config = {"architectures": [family.architecture], "model_type": family.model_type, "torch_dtype": "float32"}
    write_json(folder / CONFIG, config | family.write(shape) | ends)
    write_json(folder / "generation_config.json", {name: end for name, end in ends.items() if end is not None})
    write_tokenizer(folder, tokenizer, context_length=shape.context_length)
    return family


def their_weights(stored: StoredModel, *, norm_offset: float) -> dict[str, Tensor]:
    """Views on our weights where they need no change, by the names that they have there."""
    ours = stored.model.state_dict()
    found: dict[str, Tensor] = {}
    for weight in weights_of(stored.model.config):
        whole = ours[weight.name]
        whole = whole - norm_offset if weight.is_norm and norm_offset else whole
        rows = whole.split([part.rows for part in weight.parts])
        found |= {part.name: tensor.contiguous() for part, tensor in zip(weight.parts, rows, strict=True)}
    return found


def write_json(path: pathlib.Path, values: object) -> None:
    path.write_text(json.dumps(values, indent=2, ensure_ascii=False))

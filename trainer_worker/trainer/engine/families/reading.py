"""Reads a folder of Hugging Face: config.json, safetensors, and the files of a tokenizer.

Weights are read tensor by tensor into the larger ones of ours, as float32.
"""

import contextlib
import dataclasses
import json
import pathlib
from collections.abc import Generator, Iterator
from typing import Any

import safetensors
import torch
from torch import Tensor

from trainer_worker.trainer.engine.errors import BadCheckpoint, UnusableData
from trainer_worker.trainer.engine.families.family import Family, family_named
from trainer_worker.trainer.engine.families.names import Weight, weights_of
from trainer_worker.trainer.engine.families.pickles import is_pickle
from trainer_worker.trainer.engine.families.settings import CONFIG, CONTEXT_LENGTH_MAX, Settings
from trainer_worker.trainer.engine.families.tokenizer_folder import read_tokenizer
from trainer_worker.trainer.engine.model import ModelConfig
from trainer_worker.trainer.engine.stored_model import StoredModel, decoder_of, require_same_tokens, shapes_of
from trainer_worker.trainer.engine.tensor_checks import NAMED_MAX, faults_of_names, named, sentence

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
JSON_BYTES_MAX = 64 << 20  # an index of 100,000 tensors has 10 MB
FLOATS = {"F64", "F32", "F16", "BF16"}
# Tables that old files carry and that follow from config.json.
DERIVED = ("rotary_emb.inv_freq", "attention.bias", "attn.masked_bias")


@dataclasses.dataclass(frozen=True)
class Found:
    """A model that was read, with what is worth knowing about how."""

    stored: StoredModel
    family: Family
    notes: tuple[str, ...]


class Tensors:
    """All tensors of one file or several, by name; nothing is read until it is asked for."""

    def __init__(self, folder: pathlib.Path, stack: contextlib.ExitStack) -> None:
        self.file_of: dict[str, Any] = {}
        for path in weight_files(folder):
            try:
                file = stack.enter_context(safetensors.safe_open(path, framework="pt"))
                names = list(file.keys())
            except (OSError, safetensors.SafetensorError) as error:
                raise UnusableData(f"{path.name} cannot be read: {error}") from error
            if twice := sorted(set(names) & set(self.file_of)):
                raise UnusableData(f"{path.name} holds tensors that another file holds as well: {named(twice)}")
            self.file_of |= dict.fromkeys(names, file)

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self.file_of[name].get_slice(name).get_shape())

    def dtype(self, name: str) -> str:
        return self.file_of[name].get_slice(name).get_dtype()

    def read(self, name: str) -> Tensor:
        tensor: Tensor = self.file_of[name].get_tensor(name)
        return tensor


def read_folder(folder: pathlib.Path) -> Generator[None, None, Found]:
    """Yields after each part of the work, as a sign of life; returns the model.

    Raises: UnusableData, naming what is missing, extra, of a wrong shape or not finite, an architecture that is not
    read, a pickle, or a tokenizer that makes other tokens than the model knows.
    """
    refuse_pickles(folder)
    settings = Settings(read_object(folder / CONFIG))
    family = family_named(settings)
    shape = family.read(settings)
    yield
    try:
        tokenizer, notes = read_tokenizer(folder, settings, vocabulary_size=shape.vocabulary_size)
        require_same_tokens(tokenizer, shape)
    except BadCheckpoint as error:
        raise UnusableData(str(error), help=error.help) from error
    yield
    weights: dict[str, Tensor] = {}
    with contextlib.ExitStack() as stack:
        tensors = Tensors(folder, stack)
        check_names(tensors, shape)
        yield from read_weights(tensors, shape, norm_offset=family.norm_offset, into=weights)
    stored = StoredModel(model=decoder_of(shape, weights), tokenizer=tokenizer)
    return Found(stored=stored, family=family, notes=(*notes, *notes_on(settings, shape)))


def notes_on(settings: Settings, shape: ModelConfig) -> Iterator[str]:
    promised = settings.whole("max_position_embeddings")
    if promised > shape.context_length:
        yield f"The context is {CONTEXT_LENGTH_MAX:,} tokens here; the model was made for {promised:,}."


def refuse_pickles(folder: pathlib.Path) -> None:
    pickles = [path.name for path in sorted(folder.iterdir()) if path.is_file() and is_pickle(path)]
    if pickles:
        help = "Leave such files out; save the weights with `save_pretrained(…, safe_serialization=True)`."
        raise UnusableData(f"pickles could run code when they are read: {named(pickles)}", help=help)


def weight_files(folder: pathlib.Path) -> list[pathlib.Path]:
    """The files with tensors: the one, or those that the index names. Raises: UnusableData if one is missing."""
    if (folder / WEIGHTS).exists():
        return [folder / WEIGHTS]
    if not (folder / INDEX).exists():
        raise UnusableData(f"there is neither {WEIGHTS} nor {INDEX}")
    places = read_object(folder / INDEX).get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(name, str) for name in places.values()):
        raise UnusableData(f"{INDEX} has no weight_map from tensors to files")
    names = sorted(set(places.values()))
    files = {path.name for path in folder.iterdir() if path.is_file() and path.suffix == ".safetensors"}
    if absent := [name for name in names if name not in files]:
        raise UnusableData(f"{INDEX} names files that are missing: {named(absent)}")
    return [folder / name for name in names]


def read_object(path: pathlib.Path) -> dict[str, Any]:
    """Raises: UnusableData unless the file holds a JSON object."""
    try:
        if path.stat().st_size > JSON_BYTES_MAX:
            raise UnusableData(f"{path.name} is larger than {JSON_BYTES_MAX:,} bytes")
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UnusableData(f"there is no {path.name}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise UnusableData(f"{path.name} cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise UnusableData(f"{path.name} must hold an object")
    return values


def check_names(tensors: Tensors, shape: ModelConfig) -> None:
    """Raises: UnusableData that names every tensor which is missing, extra, of a wrong shape, or not of floats."""
    wanted = wanted_shapes(shape)
    found = {name for name in tensors.file_of if not name.endswith(DERIVED)}
    if shape.tied_head:
        found -= {"lm_head.weight"}  # compared when the embedding is read
    faults = list(faults_of_names(found, set(wanted)))
    for name in sorted(found & set(wanted)):
        if tensors.shape(name) != wanted[name]:
            faults.append(f"{name} is {tensors.shape(name)}, not {wanted[name]}")
        elif tensors.dtype(name) not in FLOATS:
            faults.append(f"{name} is {tensors.dtype(name)}; {', '.join(sorted(FLOATS))} are read")
    if faults:
        raise UnusableData(sentence(faults), help="Is config.json the one that belongs to these weights?")


def wanted_shapes(shape: ModelConfig) -> dict[str, tuple[int, ...]]:
    """The name and shape of every tensor that the files must hold."""
    ours = shapes_of(shape)
    return {part.name: (part.rows, *ours[weight.name][1:]) for weight in weights_of(shape) for part in weight.parts}


def read_weights(
    tensors: Tensors, shape: ModelConfig, *, norm_offset: float, into: dict[str, Tensor]
) -> Iterator[None]:
    """Fills `into` with our tensors. Raises: UnusableData that names those which are not finite."""
    faults: list[str] = []
    for weight in weights_of(shape):
        into[weight.name] = read_weight(tensors, weight, norm_offset=norm_offset, faults=faults)
        if len(faults) > NAMED_MAX:
            break
        yield
    head = tensors.read("lm_head.weight").float() if shape.tied_head and "lm_head.weight" in tensors.file_of else None
    if head is not None and not torch.equal(head, into["embedding.weight"]):
        faults.append("lm_head.weight is not model.embed_tokens.weight, though config.json ties them")
    if faults:
        raise UnusableData(sentence(faults))


def read_weight(tensors: Tensors, weight: Weight, *, norm_offset: float, faults: list[str]) -> Tensor:
    parts = []
    for part in weight.parts:
        tensor = tensors.read(part.name).to(torch.float32)
        if not torch.isfinite(tensor).all():
            faults.append(f"{part.name} holds a number that is not finite")
        parts.append(tensor)
    whole = torch.cat(parts) if len(parts) > 1 else parts[0]
    return whole + norm_offset if weight.is_norm and norm_offset else whole

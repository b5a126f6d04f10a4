"""Adapters on disk, beside a model or instead of one.

adapter.safetensors    what `adapter_tensors` gives, float32
adapter_config.json    {"format": 1, "rank": …, "alpha": …, "dropout": …, "targets": […], "rank_stabilized": …}
"""

import dataclasses
import json
import pathlib

from torch import Tensor, nn

from trainer_worker.trainer.engine.errors import BadCheckpoint, UnusableData
from trainer_worker.trainer.engine.lora import LoraSettings, adapted_layers, merge, restore_adapters, settings_of
from trainer_worker.trainer.engine.model import Decoder
from trainer_worker.trainer.engine.stored_model import decoder_of, read_json, read_tensors

FORMAT = 1
TENSORS, CONFIG = "adapter.safetensors", "adapter_config.json"


@dataclasses.dataclass(frozen=True)
class StoredAdapters:
    """What a folder holds."""

    settings: LoraSettings
    tensors: dict[str, Tensor]

    def put_onto(self, model: Decoder) -> None:
        """Puts them beside the weights of a plain model, which are frozen. Raises: BadCheckpoint if they do not fit."""
        for layer in adapted_layers(model, self.settings):
            layer.make_room()
        try:
            restore_adapters(model, self.tensors)
        except ValueError as error:
            raise BadCheckpoint(f"{TENSORS}: {error}") from error

    def merged_into(self, model: Decoder) -> Decoder:
        """A plain model that computes what the given one would with them. The given one is used up.

        Raises: BadCheckpoint if they do not fit.
        """
        self.put_onto(model)
        return decoder_of(model.config, merge(model), type(model))


def has_adapters(folder: pathlib.Path) -> bool:
    return (folder / TENSORS).exists()


def save_adapter_config(folder: pathlib.Path, model: nn.Module) -> None:
    """Writes what the adapters of a model are like. Raises: ValueError if it has none."""
    values = {"format": FORMAT} | dataclasses.asdict(settings_of(model))
    (folder / CONFIG).write_text(json.dumps(values, indent=2, sort_keys=True))


def read_adapters(folder: pathlib.Path) -> StoredAdapters:
    """The adapters of a folder whose hashes have been checked.

    Raises: BadCheckpoint if a file is missing or malformed. Whether they fit a model is seen when they are put onto it.
    """
    names = {field.name for field in dataclasses.fields(LoraSettings)}
    values = read_json(folder / CONFIG, keys={"format"} | names)
    if values.pop("format") != FORMAT:
        raise BadCheckpoint(f"{CONFIG} has another format than {FORMAT}, the one that this version reads")
    try:
        settings = LoraSettings(**values | {"targets": tuple(values["targets"])})
    except (TypeError, UnusableData) as error:
        raise BadCheckpoint(f"{CONFIG}: {error}") from error
    return StoredAdapters(settings=settings, tensors=read_tensors(folder / TENSORS))

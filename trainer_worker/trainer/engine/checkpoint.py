"""The full state of a run, written as one file set that exists whole or not at all.

Beside the files of a stored model:

    optimizer.safetensors    the moments of AdamW by `{moment}.{weight}`; empty before the first step
    state.json               TrainingState
"""

import dataclasses
import json
import pathlib
from collections.abc import Callable
from typing import Any

import torch
from safetensors.torch import save_file

from artifacts import AlreadyStored, CorruptFileSet, FileSet, NotStored, Store
from trainer_worker.trainer.engine import rng
from trainer_worker.trainer.engine.errors import BadCheckpoint
from trainer_worker.trainer.engine.faultpoints import faultpoint
from trainer_worker.trainer.engine.model import Decoder
from trainer_worker.trainer.engine.optimizers import optimizer_tensors, restore_optimizer
from trainer_worker.trainer.engine.stored_model import (
    FORMAT,
    StoredModel,
    load_model,
    read_json,
    read_tensors,
    save_model,
)
from trainer_worker.trainer.engine.tokenizers import Tokenizer


@dataclasses.dataclass
class TrainingState:
    """Where a run is: with weights and moments, all that its next step depends on.

    `samples` is the position in the data, counted in sequences. `metrics` are those of the step, told after the
    checkpoint and hence told again by whoever goes on from it.
    """

    seed: int
    lineage: int
    precision: str
    batch_size: int
    micro_batch_size: int
    threads: int
    dataset_sha256: str
    versions: dict[str, str]
    step: int = 0
    samples: int = 0
    tokens: int = 0
    skipped_in_a_row: int = 0
    metrics: dict[str, float] = dataclasses.field(default_factory=dict)
    validation_loss: float | None = None
    validation_bits_per_byte: float | None = None


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """What was read back. The tensors of the optimizer are put in place by `restore`."""

    stored: StoredModel
    state: TrainingState
    random: dict[str, Any]
    folder: pathlib.Path


def is_finite(model: Decoder) -> bool:
    """Whether every weight is a number: a state that is not must never become a checkpoint."""
    norms = torch._foreach_norm([weight.detach() for weight in model.parameters()])
    return bool(torch.isfinite(torch.stack(norms)).all())


def write_checkpoint(
    store: Store,
    prefix: str,
    *,
    model: Decoder,
    optimizer: torch.optim.Optimizer,
    tokenizer: Tokenizer,
    state: TrainingState,
) -> FileSet:
    """Stores the state under `{prefix}/step-{step}`. Raises: artifacts.NoSpace."""
    faultpoint("checkpoint_begins")

    def fill(folder: pathlib.Path) -> None:
        save_model(folder, model, tokenizer)
        save_file(optimizer_tensors(model, optimizer), folder / "optimizer.safetensors")
        faultpoint("checkpoint_optimizer")
        values = {"format": FORMAT, "training": dataclasses.asdict(state), "random": rng.capture()}
        (folder / "state.json").write_text(json.dumps(values, indent=1, sort_keys=True, allow_nan=False))
        faultpoint("checkpoint_filled")

    files = write_once(store, f"{prefix}/step-{state.step}", fill)
    faultpoint("checkpoint_stored")
    return files


def write_once(store: Store, prefix: str, fill: Callable[[pathlib.Path], None]) -> FileSet:
    """What this attempt has stored for this step before is the same state, and stands."""
    try:
        return store.write_file_set(prefix, fill)
    except AlreadyStored:
        files = store.find_file_set(prefix)
        if files is None:
            raise
        return files


def read_checkpoint(store: Store, prefix: str, *, manifest_sha256: str, scratch: pathlib.Path) -> Checkpoint:
    """Reads a checkpoint with every hash. Raises: BadCheckpoint if anything about it is wrong."""
    try:
        folder = store.read_file_set(prefix, manifest_sha256=manifest_sha256, scratch=scratch)
    except (CorruptFileSet, NotStored) as error:
        raise BadCheckpoint(f"checkpoint {prefix}: {error}") from error
    values = read_json(folder / "state.json", keys={"format", "training", "random"})
    if values["format"] != FORMAT:
        raise BadCheckpoint(f"state.json has format {values['format']!r}, this version reads {FORMAT}")
    state = training_state(values["training"])
    return Checkpoint(stored=load_model(folder), state=state, random=values["random"], folder=folder)


def training_state(values: dict[str, Any]) -> TrainingState:
    fields = {field.name for field in dataclasses.fields(TrainingState)}
    if not isinstance(values, dict) or set(values) != fields:
        raise BadCheckpoint(f"state.json must describe the training by exactly {', '.join(sorted(fields))}")
    return TrainingState(**values)


def restore(checkpoint: Checkpoint, model: Decoder, optimizer: torch.optim.Optimizer) -> None:
    """Puts the moments and the random generators back. Raises: BadCheckpoint if they do not fit the model."""
    tensors = read_tensors(checkpoint.folder / "optimizer.safetensors")
    if not all(torch.isfinite(tensor).all() for tensor in tensors.values()):
        raise BadCheckpoint("optimizer.safetensors holds a number that is not finite")
    try:
        restore_optimizer(model, optimizer, tensors)
        rng.restore(checkpoint.random)
    except (ValueError, KeyError, TypeError, RuntimeError) as error:
        raise BadCheckpoint(f"the training state cannot be put back: {error}") from error

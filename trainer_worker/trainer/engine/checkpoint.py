"""The full state of a run, as the files of one folder.

Beside config.json and tokenizer.json of a stored model:

    model.safetensors        the weights; not in a checkpoint on the way of a run that trains adapters only
    adapter.safetensors      of a run that trains adapters: these, described by adapter_config.json
    best.safetensors         of a run that publishes its best weights: what moved, as it was then
    reference.safetensors    of a run that compares with its base: what that makes of the rows, see trainer/reference.py
    optimizer.safetensors    the optimizer's state by `{name}.{weight}`; empty before the first step
    state.json               TrainingState, and the random generators

In the complete checkpoint, model.safetensors is what is published: with adapters merged, and the best weights if those
were wanted.
"""

import dataclasses
import json
import pathlib
from typing import Any, Protocol

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from artifacts import CorruptFileSet, NotStored, Store
from trainer_worker.trainer.engine import rng
from trainer_worker.trainer.engine.errors import BadCheckpoint
from trainer_worker.trainer.engine.faultpoints import faultpoint
from trainer_worker.trainer.engine.model import Decoder
from trainer_worker.trainer.engine.stored_model import read_json, read_tensors, save_config, save_weights
from trainer_worker.trainer.engine.tokenizers import Tokenizer

FORMAT = 1


@dataclasses.dataclass
class TrainingState:
    """Where a run is: with weights and the optimizer's state, all that its next step depends on.

    `samples` is the position in the data, counted in sequences. `metrics` are those of the step, told after the
    checkpoint and hence told again by whoever goes on from it. Losses are in nats per token.
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
    metrics: dict[str, float] = dataclasses.field(default_factory=dict)
    data_chain: str = ""
    loss_chain: str = ""
    compiled: bool = False
    processor: str = ""  # on which the run began, as torch calls what it can do: it decides how attention is computed
    scaler: dict[str, float] = dataclasses.field(default_factory=dict)
    # Health: see trainer/health.py.
    skipped_in_a_row: int = 0
    skipped_steps: int = 0
    rollbacks: int = 0
    bad_step: int = 0
    recent_losses: list[float] = dataclasses.field(default_factory=list)
    spike_step: int = 0
    # Held-out loss, and what it says about when to stop: see trainer/overfitting.py.
    validation_loss: float | None = None
    validation_bits_per_byte: float | None = None
    best_loss: float | None = None
    best_bits_per_byte: float | None = None
    best_accuracy: float | None = None
    best_step: int = 0
    patience_loss: float | None = None
    evaluations_in_vain: int = 0
    interval_loss: float = 0.0
    interval_steps: int = 0
    best_training_loss: float | None = None
    overfitting_told: bool = False
    last_step: int | None = None
    # The hardest rows since the last evaluation: see trainer/blame.py.
    blamed: list[dict[str, Any]] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """What was read back. The tensors are put in place by `restore`."""

    state: TrainingState
    random: dict[str, Any]
    folder: pathlib.Path


class Moments(Protocol):
    """The state of an optimizer, by names."""

    def tensors(self) -> dict[str, Tensor]: ...

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Raises: ValueError if they are not for these weights."""


def is_finite(model: nn.Module) -> bool:
    """Whether every weight is a number: a state that is not must never become a checkpoint."""
    norms = torch._foreach_norm([weight.detach() for weight in model.parameters()])
    return bool(torch.isfinite(torch.stack(norms)).all())


def fill_checkpoint(
    folder: pathlib.Path,
    *,
    model: Decoder,
    weights: dict[str, Tensor] | None,
    adapters: dict[str, Tensor] | None,
    best: dict[str, Tensor] | None,
    reference: dict[str, Tensor] | None,
    optimizer: Moments,
    tokenizer: Tokenizer,
    state: TrainingState,
) -> None:
    """Writes the files into an empty folder; `weights` are left out if there are none to publish or to go on from."""
    faultpoint("checkpoint_begins")
    if weights is not None:
        save_weights(folder, weights)
    save_config(folder, model, tokenizer)
    faultpoint("checkpoint_model")
    kept = {"adapter": adapters, "best": best, "reference": reference, "optimizer": optimizer.tensors()}
    for name, tensors in kept.items():
        if tensors is not None:
            save_tensors(tensors, folder / f"{name}.safetensors")
    faultpoint("checkpoint_optimizer")
    training = dataclasses.asdict(state)
    # How fast it went is no part of the run: the same run makes the same files, whose hash its receipt shows.
    training["metrics"] = {key: value for key, value in state.metrics.items() if not key.startswith("perf/")}
    values = {"format": FORMAT, "training": training, "random": rng.capture()}
    (folder / "state.json").write_text(json.dumps(values, indent=1, sort_keys=True, allow_nan=False))
    faultpoint("checkpoint_filled")


def save_tensors(tensors: dict[str, Tensor], path: pathlib.Path) -> None:
    save_file({name: tensor.detach().contiguous() for name, tensor in tensors.items()}, path)


def read_checkpoint(store: Store, prefix: str, *, manifest_sha256: str, scratch: pathlib.Path) -> Checkpoint:
    """Reads a checkpoint with every hash. Raises: BadCheckpoint if anything about it is wrong."""
    try:
        folder = store.read_file_set(prefix, manifest_sha256=manifest_sha256, scratch=scratch)
    except (CorruptFileSet, NotStored) as error:
        raise BadCheckpoint(f"checkpoint {prefix}: {error}") from error
    values = read_json(folder / "state.json", keys={"format", "training", "random"})
    if values["format"] != FORMAT:
        raise BadCheckpoint(f"state.json has format {values['format']!r}, this version reads {FORMAT}")
    return Checkpoint(state=training_state(values["training"]), random=values["random"], folder=folder)


def training_state(values: dict[str, Any]) -> TrainingState:
    """What is missing was not yet kept when the checkpoint was written, and begins anew. Raises: BadCheckpoint."""
    fields = dataclasses.fields(TrainingState)
    known = {field.name for field in fields}
    needed = {field.name for field in fields if field.default is field.default_factory is dataclasses.MISSING}
    if not isinstance(values, dict) or not needed <= set(values) <= known:
        raise BadCheckpoint(f"state.json must describe the training by exactly {', '.join(sorted(known))}")
    return TrainingState(**values)


def restore(checkpoint: Checkpoint, optimizer: Moments) -> None:
    """Puts the optimizer's state and the random generators back. Raises: BadCheckpoint if they do not fit the model."""
    tensors = finite_tensors(checkpoint.folder / "optimizer.safetensors")
    try:
        optimizer.restore(tensors)
        rng.restore(checkpoint.random)
    except (ValueError, KeyError, TypeError, RuntimeError) as error:
        raise BadCheckpoint(f"the training state cannot be put back: {error}") from error


def finite_tensors(path: pathlib.Path) -> dict[str, Tensor]:
    """Raises: BadCheckpoint if the file cannot be read, or holds a number that is not finite."""
    tensors = read_tensors(path)
    if not all(torch.isfinite(tensor).all() for tensor in tensors.values()):
        raise BadCheckpoint(f"{path.name} holds a number that is not finite")
    return tensors

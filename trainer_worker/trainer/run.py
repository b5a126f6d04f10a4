"""All that the steps of one attempt work on."""

import dataclasses
import pathlib
from collections.abc import Callable, Generator
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from artifacts import FileSet, Store
from trainer_worker.trainer.engine.batch import Batch
from trainer_worker.trainer.engine.checkpoint import TrainingState, is_finite
from trainer_worker.trainer.engine.evaluate import Evaluation
from trainer_worker.trainer.engine.model import Decoder
from trainer_worker.trainer.engine.optimizers import Optimizers
from trainer_worker.trainer.engine.precision import LossScaler
from trainer_worker.trainer.engine.samples import Samples
from trainer_worker.trainer.engine.tokenizers import Tokenizer
from trainer_worker.trainer.snapshots import NotKept
from trainer_worker.trainer.telling import Told
from trainer_worker.trainer.writing import Storing
from tutelage.v1 import training_pb2
from tutelage_internal.v1 import workers_pb2

# The fields that steps read have the same names in both.
Spec = training_pb2.TrainSpec | training_pb2.FineTuneSpec


@dataclasses.dataclass
class Waiting:
    """A snapshot on its way into the store."""

    step: int
    lineage: int
    prefix: str
    folder: pathlib.Path
    complete: bool
    validation_loss: float | None
    validation_bits_per_byte: float | None


@dataclasses.dataclass
class Kept:
    """Checkpoints of a run: the newest that is stored, the one that is being stored, and the next.

    `stall_s` is how long training has waited for them since that was told, `trouble` why the last one was not stored.
    """

    storing: Storing
    newest: FileSet | None = None
    newest_step: int = 0
    in_flight: Waiting | None = None
    next: Waiting | None = None
    stall_s: float = 0.0
    trouble: NotKept | None = None


@dataclasses.dataclass
class Reference:
    """What the base makes of the answers that a run learns from, in nats: NaN where that is not known.

    Shapes: both (rows, answers), float32, on the CPU, one row for each of the training and of the validation part.
    """

    training: Tensor
    validation: Tensor
    complete: Callable[[np.ndarray], Generator[Told, None, None]]
    """Computes what is not known of rows of the training part."""

    def tensors(self) -> dict[str, Tensor]:
        return {"training": self.training, "validation": self.validation}


@dataclasses.dataclass(frozen=True)
class Found:
    """What passing forward and backward over a batch has found, beside the gradients that it left in the weights.

    Tensors stay on their device: `loss` is the mean, a scalar; `losses` those of the targets of a `Batch`, (B, T), or
    of each row of anything else, (B,). `metrics` are further scalars, by their names.
    """

    loss: Tensor
    losses: Tensor
    metrics: dict[str, Tensor] = dataclasses.field(default_factory=dict)


class Lesson(Protocol):
    """What one step learns from."""

    @property
    def positions(self) -> int:
        """How many are computed."""


class Method(Protocol):
    """What a method of training does in a step; the loop around it is `recipes/next_token.py`'s for all of them.

    A module of `recipes` with these functions is one.
    """

    def next_batch(self, run: "Run") -> Generator[Told, None, tuple[Any, np.ndarray]]:
        """The `Lesson` of the next step, and the numbers of its rows (B,), int64."""

    def forward_and_backward(self, run: "Run", batch: Any) -> Found:
        """Leaves in each weight that learns the gradient of the mean loss. Called again, with half the
        `micro_batch_size`, if memory runs out."""

    def evaluate(self, run: "Run") -> Generator[Told, None, Evaluation | None]:
        """Measures on held-out rows; None if there are none."""


@dataclasses.dataclass
class Run:
    """What one attempt works on.

    `hidden` is that of the model, compiled or as it is. `best` holds what moved, as it was at the lowest held-out loss.
    `predicts` says whether the last held-out loss was a number.
    """

    spec: Spec
    method: Method
    model: Decoder
    hidden: Callable[..., Tensor]
    optimizer: Optimizers
    scaler: LossScaler
    tokenizer: Tokenizer
    training: Samples
    validation: Samples
    bytes_of_token: np.ndarray
    prompt: str
    state: TrainingState
    device: torch.device
    store: Store
    kept: Kept
    checkpoint_prefix: str
    recorded_step: int
    resumed: bool
    adapted: bool = False
    best: dict[str, Tensor] | None = None
    reference: Reference | None = None
    scratch: pathlib.Path = pathlib.Path()
    predicts: bool = True

    def predict(self, batch: Batch) -> Tensor:
        """The hidden state at every position, from which the next token follows. Shape (B, T, D)."""
        return self.hidden(batch.tokens_BT, **batch.places)

    def weights_are_finite(self) -> bool:
        return is_finite(self.model)

    @property
    def told_before(self) -> bool:
        """Whether what this step tells is recorded already."""
        return self.state.step <= self.recorded_step

    @property
    def over(self) -> bool:
        """Whether this was the last step."""
        return self.state.step >= (self.state.last_step or self.spec.steps)


def spec_of(assignment: workers_pb2.Assignment) -> Spec:
    """What is trained, or verified, in words that both kinds of training share."""
    kind = assignment.WhichOneof("spec")
    if kind == "verification":
        inner = assignment.verification
        return inner.fine_tune if inner.WhichOneof("spec") == "fine_tune" else inner.train
    return assignment.fine_tune if kind == "fine_tune" else assignment.train

"""How the weights are moved: optimizers, schedules, and which setting means something to which of them."""

import dataclasses
import enum
from collections.abc import Mapping


class Optimizer(enum.Enum):
    """The rule that turns gradients into movements of the weights."""

    ADAMW = "ADAMW"
    ADAM = "ADAM"
    SGD = "SGD"
    RMSPROP = "RMSPROP"
    ADAFACTOR = "ADAFACTOR"
    MUON = "MUON"


class Schedule(enum.Enum):
    """How the learning rate goes after warm-up."""

    CONSTANT = "CONSTANT"
    LINEAR = "LINEAR"
    COSINE = "COSINE"
    WARMUP_STABLE_DECAY = "WARMUP_STABLE_DECAY"
    INVERSE_SQUARE_ROOT = "INVERSE_SQUARE_ROOT"


OWN_SETTINGS: Mapping[Optimizer, frozenset[str]] = {
    Optimizer.ADAMW: frozenset(["beta1", "beta2", "epsilon"]),
    Optimizer.ADAM: frozenset(["beta1", "beta2", "epsilon"]),
    Optimizer.SGD: frozenset(["momentum", "nesterov"]),
    Optimizer.RMSPROP: frozenset(["beta2", "epsilon", "momentum"]),
    Optimizer.ADAFACTOR: frozenset(["epsilon"]),
    Optimizer.MUON: frozenset(["beta1", "beta2", "epsilon", "momentum", "nesterov"]),
}
"""What each optimizer reads of the settings that not all of them read; Muon's are for what AdamW moves, too."""

ADAM_KINDS = frozenset([Optimizer.ADAMW, Optimizer.ADAM, Optimizer.RMSPROP, Optimizer.ADAFACTOR, Optimizer.MUON])
"""Optimizers whose steps are as long as the learning rate, whatever the gradient."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimizationSpec:
    """How the weights are moved, decided; what the optimizer or the schedule does not read is None."""

    learning_rate: float
    final_learning_rate_ratio: float
    warmup_steps: int
    weight_decay: float
    clip_norm: float
    batch_size: int
    micro_batch_size: int
    beta1: float | None = None
    beta2: float | None = None
    epsilon: float | None = None
    optimizer: Optimizer = Optimizer.ADAMW
    schedule: Schedule = Schedule.COSINE
    momentum: float | None = None
    nesterov: bool | None = None
    decay_ratio: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimizationDraft:
    """How the weights are moved, as asked for."""

    learning_rate: float | None = None
    final_learning_rate_ratio: float | None = None
    warmup_steps: int | None = None
    weight_decay: float | None = None
    beta1: float | None = None
    beta2: float | None = None
    epsilon: float | None = None
    clip_norm: float | None = None
    batch_size: int | None = None
    micro_batch_size: int | None = None
    optimizer: Optimizer | None = None
    schedule: Schedule | None = None
    momentum: float | None = None
    nesterov: bool | None = None
    decay_ratio: float | None = None

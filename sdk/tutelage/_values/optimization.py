"""How weights are moved, kept from learning by heart, and computed."""

import dataclasses

from tutelage._values.value import Value, WireEnum


class Optimizer(WireEnum):
    """The rule that turns gradients into movements of the weights."""

    UNSPECIFIED = "UNSPECIFIED"
    """The service chooses AdamW."""
    ADAMW = "ADAMW"
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019)."""
    ADAM = "ADAM"
    """Adam; weight decay is added to the gradient (Kingma and Ba 2015)."""
    SGD = "SGD"
    """Stochastic gradient descent with momentum, of Nesterov's kind if wished."""
    RMSPROP = "RMSPROP"
    """RMSProp (Hinton 2012); `beta2` is its smoothing."""
    ADAFACTOR = "ADAFACTOR"
    """Adafactor (Shazeer and Stern 2018): the second moment of a matrix as two vectors, the least memory."""
    MUON = "MUON"
    """Muon (Jordan 2024) for the matrices of the blocks, AdamW for the rest."""


class Schedule(WireEnum):
    """How the learning rate goes after warm-up."""

    UNSPECIFIED = "UNSPECIFIED"
    """The service chooses the cosine."""
    CONSTANT = "CONSTANT"
    """Stays at the highest."""
    LINEAR = "LINEAR"
    """Falls in a straight line."""
    COSINE = "COSINE"
    """Falls along half a cosine."""
    WARMUP_STABLE_DECAY = "WARMUP_STABLE_DECAY"
    """Stays, and falls in a straight line over the last `decay_ratio` of the steps (warm-up, stable, decay)."""
    INVERSE_SQUARE_ROOT = "INVERSE_SQUARE_ROOT"
    """Falls with the root of the step; `final_learning_rate_ratio` is where it ends falling."""


class Compilation(WireEnum):
    """Whether steps are compiled."""

    UNSPECIFIED = "UNSPECIFIED"
    """The worker decides: it compiles where that pays within the run."""
    ON = "ON"
    """Always."""
    OFF = "OFF"
    """Never."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimizationSpec(Value):
    """How the weights are moved."""

    learning_rate: float | None
    """Highest learning rate, reached after warm-up; above 0, at most 1. Default: the preset's."""
    final_learning_rate_ratio: float | None
    """Learning rate at the last step, as a share of the highest; 0 to 1. Default 0.1."""
    warmup_steps: int | None
    """Steps of linear warm-up; 0 to the number of steps. Default: 5% of the steps, at most 200."""
    weight_decay: float | None
    """Decoupled weight decay of matrices; norms and embeddings do not decay. 0 to 1. Default 0.1."""
    beta1: float | None
    """Decay of the first moment of Adam's kind; 0 to below 1. Default 0.9."""
    beta2: float | None
    """Decay of the second moment; 0 to below 1. Default 0.95; for RMSProp 0.99."""
    epsilon: float | None
    """Added to the root of the second moment; above 0. Default 1e-8."""
    clip_norm: float | None
    """Largest global norm of the gradient; larger ones are scaled down to it. 0 switches clipping off. Default 1."""
    batch_size: int | None
    """Sequences in one optimizer step; 1 to 65536. Default: the preset's."""
    micro_batch_size: int | None
    """Sequences computed at once; divides `batch_size`, and the gradients of the parts are added up. Default:
    the largest that the preset allows, `batch_size` for most.
    """
    optimizer: Optimizer | None
    """The rule. Default: AdamW."""
    schedule: Schedule | None
    """How the learning rate goes. Default: cosine."""
    momentum: float | None
    """Momentum of SGD, RMSProp and Muon; 0 to below 1. Default: 0.9 for SGD, 0 for RMSProp, 0.95 for Muon. Refused for
    the others.
    """
    nesterov: bool | None
    """Whether momentum looks ahead, for SGD and Muon. Default: false for SGD, true for Muon. Refused for the others."""
    decay_ratio: float | None
    """Share of the steps over which SCHEDULE_WARMUP_STABLE_DECAY falls; above 0, at most 1. Default 0.2. Refused for
    the other schedules.
    """


@dataclasses.dataclass(frozen=True, kw_only=True)
class EarlyStoppingSpec(Value):
    """When training ends before its last step."""

    patience: int | None
    """Evaluations in a row without improvement after which training ends; 1 to 1000. 0 switches early stopping off.
    Default 0.
    """
    min_delta: float | None
    """What counts as an improvement, in nats per token; 0 to 10. Default 0."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RegularizationSpec(Value):
    """What keeps the model from learning the text by heart, beside weight decay."""

    residual_dropout: float | None
    """Share of what each layer adds to the residual stream that is left out; 0 to below 1. Default 0."""
    attention_dropout: float | None
    """Share of the attention weights that is left out; 0 to below 1. Default 0."""
    embedding_dropout: float | None
    """Share of the embedding that is left out; 0 to below 1. Default 0."""
    label_smoothing: float | None
    """Probability that is spread over all tokens instead of the right one; 0 to below 1. Default 0. Evaluations are
    without it.
    """
    early_stopping: EarlyStoppingSpec | None
    """When training ends early."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ComputeSpec(Value):
    """How a step is computed; nothing here changes what is learnt, but for the last bits."""

    activation_checkpointing: bool | None
    """Whether activations are computed again in the backward pass instead of kept: less memory, a third more time.
    Default false.
    """
    compilation: Compilation | None
    """Whether steps are compiled."""

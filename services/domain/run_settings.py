"""Settings of a run that pretraining and fine-tuning share: data, looks on the way, arithmetic, when to stop."""

import dataclasses
import enum


class Precision(enum.Enum):
    """The arithmetic of forward and backward passes; AUTO is decided by the worker when training starts."""

    AUTO = "AUTO"
    FP32 = "FP32"
    BF16 = "BF16"
    TF32 = "TF32"
    FP16 = "FP16"


GPU_PRECISIONS = frozenset([Precision.TF32, Precision.FP16])


class Compilation(enum.Enum):
    """Whether steps are compiled; AUTO is decided by the worker."""

    AUTO = "AUTO"
    ON = "ON"
    OFF = "OFF"


class LossOn(enum.Enum):
    """Which tokens of a row the loss counts; AUTO is the completion where a row has one, else all."""

    AUTO = "AUTO"
    ALL = "ALL"
    COMPLETION = "COMPLETION"


@dataclasses.dataclass(frozen=True, kw_only=True)
class MixturePart:
    """A further dataset, and how many sequences come from it for each one of the first dataset."""

    dataset: str
    weight: float = 1.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class RowsSpec:
    """How rows become sequences, decided. Without `chat_template` it is that of the base model, else ChatML."""

    packing: bool = True
    loss_on: LossOn = LossOn.AUTO
    chat_template: str | None = None
    deduplicate: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class EarlyStoppingSpec:
    """When training ends before its last step, decided; a patience of 0 is never."""

    patience: int = 0
    min_delta: float = 0.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class RegularizationSpec:
    """What keeps the model from learning the text by heart, decided."""

    residual_dropout: float = 0.0
    attention_dropout: float = 0.0
    embedding_dropout: float = 0.0
    label_smoothing: float = 0.0
    early_stopping: EarlyStoppingSpec = EarlyStoppingSpec()


@dataclasses.dataclass(frozen=True, kw_only=True)
class ComputeSpec:
    """How a step is computed, decided."""

    activation_checkpointing: bool = False
    compilation: Compilation = Compilation.AUTO


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationSpec:
    """How progress is measured on held-out text, decided."""

    interval_steps: int
    sequences: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class SamplesSpec:
    """Text drawn on the way, decided. Where rows are rendered first, the trainer takes the prompt from them: None."""

    interval_steps: int
    prompt: str | None
    tokens: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckpointsSpec:
    """When state is saved, and which state is published, decided."""

    interval_steps: int
    publish_best: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class MixturePartDraft:
    """A further dataset, as asked for."""

    dataset: str = ""
    weight: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class RowsDraft:
    """How rows become sequences, as asked for."""

    packing: bool | None = None
    loss_on: LossOn | None = None
    chat_template: str | None = None
    deduplicate: bool | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class EarlyStoppingDraft:
    """When training ends before its last step, as asked for."""

    patience: int | None = None
    min_delta: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class RegularizationDraft:
    """What keeps the model from learning the text by heart, as asked for."""

    residual_dropout: float | None = None
    attention_dropout: float | None = None
    embedding_dropout: float | None = None
    label_smoothing: float | None = None
    early_stopping: EarlyStoppingDraft = EarlyStoppingDraft()


@dataclasses.dataclass(frozen=True, kw_only=True)
class ComputeDraft:
    """How a step is computed, as asked for."""

    activation_checkpointing: bool | None = None
    compilation: Compilation | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationDraft:
    """How progress is measured, as asked for."""

    interval_steps: int | None = None
    sequences: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class SamplesDraft:
    """Text drawn on the way, as asked for."""

    interval_steps: int | None = None
    prompt: str | None = None
    tokens: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckpointsDraft:
    """When state is saved, as asked for."""

    interval_steps: int | None = None
    publish_best: bool | None = None

"""What is trained, on what, and how: the specification of a training job.

A caller sends a draft, in which most things are left open; `services.domain.resolution` fills in the rest, so that a
job always shows every value that was used. Fields carry the names of tutelage/v1/training.proto. The parts of a
specification can be imported from here, wherever they are written down.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

from services.domain.architecture import Architecture, ArchitectureDraft, TokenizerDraft, TokenizerKind, TokenizerSpec
from services.domain.flops import flops_per_token
from services.domain.optimization import OptimizationDraft, OptimizationSpec, Optimizer, Schedule
from services.domain.plain import from_plain, to_plain
from services.domain.run_settings import (
    CheckpointsDraft,
    CheckpointsSpec,
    Compilation,
    ComputeDraft,
    ComputeSpec,
    EarlyStoppingDraft,
    EarlyStoppingSpec,
    EvaluationDraft,
    EvaluationSpec,
    LossOn,
    MixturePart,
    MixturePartDraft,
    Precision,
    RegularizationDraft,
    RegularizationSpec,
    RowsDraft,
    RowsSpec,
    SamplesDraft,
    SamplesSpec,
)

__all__ = [
    "Architecture",
    "ArchitectureDraft",
    "CheckpointsDraft",
    "CheckpointsSpec",
    "Compilation",
    "ComputeDraft",
    "ComputeSpec",
    "EarlyStoppingDraft",
    "EarlyStoppingSpec",
    "EvaluationDraft",
    "EvaluationSpec",
    "LossOn",
    "MixturePart",
    "MixturePartDraft",
    "OptimizationDraft",
    "OptimizationSpec",
    "Optimizer",
    "Precision",
    "RegularizationDraft",
    "RegularizationSpec",
    "RowsDraft",
    "RowsSpec",
    "SamplesDraft",
    "SamplesSpec",
    "Schedule",
    "TokenizerDraft",
    "TokenizerKind",
    "TokenizerSpec",
    "TrainDraft",
    "TrainSpec",
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainSpec:
    """Pretraining of a language model on one dataset or several, every default filled in.

    `rows` is None where all datasets are plain text, which has no rows to speak of.
    """

    kind: ClassVar[str] = "train"

    dataset: str
    preset: str
    architecture: Architecture
    tokenizer: TokenizerSpec
    steps: int
    seed: int
    optimization: OptimizationSpec
    evaluation: EvaluationSpec
    samples: SamplesSpec
    checkpoints: CheckpointsSpec
    precision: Precision
    model: str
    mixture: tuple[MixturePart, ...] = ()
    rows: RowsSpec | None = None
    regularization: RegularizationSpec = RegularizationSpec()
    compute: ComputeSpec = ComputeSpec()

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return self.architecture.parameters(self.tokenizer.vocabulary_size)

    @property
    def trained_parameters(self) -> int:
        """Number of weights that move: all of them."""
        return self.parameters

    @property
    def shape(self) -> Architecture:
        """The shape of the model."""
        return self.architecture

    @property
    def vocabulary_size(self) -> int:
        """Number of tokens that the model knows."""
        return self.tokenizer.vocabulary_size

    @property
    def context_length(self) -> int:
        """Tokens of one sequence."""
        return self.architecture.context_length

    @property
    def adapted(self) -> bool:
        """Whether adapters are trained beside weights that stay."""
        return False

    @property
    def tokens_per_step(self) -> int:
        """Tokens that one optimizer step trains on."""
        return self.optimization.batch_size * self.architecture.context_length

    @property
    def flops_per_step(self) -> float:
        """Floating-point operations of one step."""
        shape = self.architecture
        recomputed = self.compute.activation_checkpointing
        of_token = flops_per_token(
            shape, parameters=self.parameters, context_length=shape.context_length, recomputed=recomputed
        )
        return of_token * self.tokens_per_step

    def to_json(self) -> dict[str, Any]:
        """Return plain values that `from_json` turns back."""
        return to_plain(self)

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> "TrainSpec":
        """Return the specification behind plain values."""
        return from_plain(cls, plain)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainDraft:
    """Pretraining as a caller asks for it; what is None or empty is left to the service."""

    dataset: str
    preset: str = ""
    architecture: ArchitectureDraft = ArchitectureDraft()
    tokenizer: TokenizerDraft = TokenizerDraft()
    steps: int | None = None
    seed: int | None = None
    optimization: OptimizationDraft = OptimizationDraft()
    evaluation: EvaluationDraft = EvaluationDraft()
    samples: SamplesDraft = SamplesDraft()
    checkpoints: CheckpointsDraft = CheckpointsDraft()
    precision: Precision | None = None
    model: str = ""
    mixture: tuple[MixturePartDraft, ...] = ()
    rows: RowsDraft = RowsDraft()
    regularization: RegularizationDraft = RegularizationDraft()
    compute: ComputeDraft = ComputeDraft()
